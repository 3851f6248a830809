import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** One hash over the name and the content of every file below a folder, or below some of its folders. */
export function fingerprintOf(folder: string, parts: string[] = [""]): string {
  const hash = createHash("sha256");
  const add = (path: string) => {
    for (const entry of readdirSync(path, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
      if (entry.name === "__pycache__") continue;
      const full = join(path, entry.name);
      if (entry.isDirectory()) add(full);
      else hash.update(`${entry.name}\0`).update(readFileSync(full));
    }
  };
  for (const part of parts) add(join(folder, part));
  return hash.digest("hex").slice(0, 16);
}
