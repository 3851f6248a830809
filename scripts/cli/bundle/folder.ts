import { existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { UserError } from "../errors.ts";
import { readIfThere } from "../files.ts";

export const manifestOf = (folder: string): string => join(folder, "bundle.json");
/** Lies in a bundle until it is whole. */
const markOf = (folder: string) => join(folder, "bundle.unfinished");
/** What a bundle keeps at its top, and what it wants no more is removed from. */
const parts = ["git", "wheels", "models", "tokenizer", "images", "plugins"];

/** Whether a path is of the folders that are a bundle's own. */
export const isPart = (path: string): boolean => parts.some((part) => path.startsWith(`${part}/`));

/**
 * Refuses a folder that is none of a bundle's own.
 * @throws UserError (exit code 2) where it has files of somebody's at the places where a bundle keeps its own
 */
export function checkFolder(folder: string): void {
  const manifest = readIfThere(manifestOf(folder));
  const begun = existsSync(markOf(folder)) || (manifest !== undefined && /^\s*(\{\s*"form":|$)/.test(manifest));
  const theirs = begun ? [] : [...parts, "bundle.json"].filter((name) => existsSync(join(folder, name)));
  if (theirs.length > 0)
    throw new UserError(
      `${folder} is no bundle, and has ${theirs.join(", ")} in it, where a bundle removes what it does not name. Give it a folder of its own, such as ${join(folder, "bundle")}.`,
      2,
    );
}

/** Begins a bundle, or goes on with one that was cut. Without its manifest it is none: what is half made is not served. */
export function beginBundle(folder: string): void {
  writeFileSync(markOf(folder), "`atelier bundle create` was cut here; run it again, it goes on.\n");
  rmSync(manifestOf(folder), { force: true });
}

/** Its manifest is written. */
export const endBundle = (folder: string): void => rmSync(markOf(folder), { force: true });
