import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

/**
 * `.atelier/<stack>/renamed`: the id of the workspace that the stack had when it got this name (`atelier stack rename`). The workspace still
 * carries the earlier name: by this it is known as the stack's own.
 */
export const renamedFile = (home: string, stack: string): string => join(home, stack, "renamed");

/** Nothing where the stack was never renamed. */
export function readRenamed(home: string, stack: string): string | undefined {
  const file = renamedFile(home, stack);
  return existsSync(file) ? readFileSync(file, "utf8").trim() : undefined;
}
