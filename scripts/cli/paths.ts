import { join, resolve } from "node:path";

/** The repository. */
export const root = resolve(import.meta.dirname, "..", "..");

/** Where a machine keeps what it makes for itself (docs/architecture.md). */
export const home = resolve(process.env.ATELIER_HOME ?? join(root, ".atelier"));

export const project = "atelier";

export const stateDir = join(home, "state");

/** The file backend of both engines. A URL: some letters of a path mean something else in it. */
export const backendUrl = `file://${stateDir
  .replaceAll("\\", "/")
  .replace(/^(?!\/)/, "/")
  .replace(/[%?#]/g, encodeURIComponent)}`;

export const passphraseFile = join(home, "passphrase");

export const stackHome = (stack: string): string => join(home, stack);

/** The pinned key of an `ssh` host. */
export const hostKeyFile = (stack: string): string => join(stackHome(stack), "hostkey");

export const reportDir = (stack: string): string => join(stackHome(stack), "report");
