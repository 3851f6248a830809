import { UserError } from "./errors.ts";
import type { Session } from "./ssh.ts";

/** For sh: ends with 45 where this login may not read the file `$0`, or not enter the nearest folder that is there above it, and says which. */
export const mayGo =
  'd=$0; until test -e "$d"; do d=$(dirname "$d"); done; if test -d "$d"; then test -x "$d"; else test -r "$d"; fi || { echo "$d"; exit 45; };';

/** That something is not there would be no more than a guess. */
export const noEntry = ({ where, workspace }: Session, path: string): UserError =>
  new UserError(
    `${where} may not read ${path.trim()}: what is there, this login can't tell. Set host.user to the login that ${workspace} belongs to.`,
  );
