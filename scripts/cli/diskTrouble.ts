import { UserError } from "./errors.ts";
import { home } from "./paths.ts";

const refusals = ["EACCES", "EPERM", "EROFS", "ENOTDIR"];

/** What is wrong with a disk of this machine, or with whose files are there, with what to do; undefined: the error is of another kind. */
export function diskTrouble(error: unknown): UserError | undefined {
  const { code = "", path, syscall, message } = error as NodeJS.ErrnoException;
  if (code === "ENOSPC" || code === "EDQUOT")
    return new UserError(
      `There is no room left for ${path ?? home} on this machine (${message}). Make some, and run it again: the state is as the last finished step left it.`,
    );
  // A folder on a read-only disk is not there, says mkdir of all that leads to it.
  const refused = refusals.includes(code) || (code === "ENOENT" && syscall === "mkdir");
  if (!refused || !(path?.startsWith(home) || home.startsWith(`${path}/`))) return undefined;
  return new UserError(
    `${path} on this machine can't be used: ${message}. Atelier keeps what it makes in ${home}, for the user who began with it (once as root, by sudo, is root's for good), ` +
      "on a disk that can be written to. ATELIER_HOME=<folder> puts it elsewhere, with states of its own.",
  );
}
