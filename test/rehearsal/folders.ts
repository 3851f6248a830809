import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const made: string[] = [];

/** A folder of a test's own, outside the repository; its name has a space, as users' folders do. */
export function folder(): string {
  const path = mkdtempSync(join(tmpdir(), "atelier rehearsal-"));
  made.push(path);
  return path;
}

/** For afterAll. */
export function removeFolders(): void {
  for (const path of made.splice(0)) rmSync(path, { recursive: true, force: true });
}
