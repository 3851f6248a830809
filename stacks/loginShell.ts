/** Why a host may answer a command with nothing of ours, though the login worked; for the end of an error. */
export const unheard =
  "The login works, but its shell did not run the command that it was given: a start-up file of it (~/.bashrc, ~/.zshenv, config.fish, …) may end it or start another shell. " +
  "Such lines are for terminals only, behind: case $- in *i*) ;; *) return ;; esac";
