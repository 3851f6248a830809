/** The silent failures of the real Dify and its plugins (and of what stands before it), told on order. */
export const difyLies = [
  /** The SD plugin seems not to be there: the agent's tool is dropped without a word, a chatflow's node fails. */
  "plugin_missing",
  /** The same for its credential. */
  "credential_missing",
  /** The tool says "Failed to generate image"; everything has "succeeded". */
  "tool_fails",
  /** The agent answers in words and no picture comes, status 200. */
  "no_picture",
  /** An event error in the middle; then the stream stays open and silent. */
  "error_midstream",
  /** The stream stays open and silent after its first events. */
  "stalls",
  /** A white picture of the right size in the picture's place, its parameters with it. */
  "blank_picture",
  /** The same in black. */
  "black_picture",
  /** The first picture that was ever made here, whatever was asked for. */
  "old_picture",
  /** Noise that the WebUI never made. */
  "foreign_picture",
  /** Half of the picture's bytes. */
  "half_picture",
  /** The link was signed 400 s ago. */
  "expired_link",
  /** The link is answered 403. */
  "refused_link",
  /** The link has no address in it, as with an empty FILES_URL. */
  "relative_link",
  /** The model's tools are not sent to it: function_calling_type no_call. */
  "no_call",
  /** The model's bound of max_tokens is 2048. */
  "small_bound",
  /** The plugin daemon does not answer. */
  "daemon_down",
  /** The plugin daemon answers, but its plugins do not run yet: 500. */
  "runtime_missing",
  /** The next plugin's installation fails, as without a way to PyPI. */
  "install_fails",
  /** The next plugin's installation fails, as where the daemon has no Python for it. */
  "no_python",
] as const;

export type DifyLie = (typeof difyLies)[number];
