import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, symlinkSync } from "node:fs";
import { dirname, join, resolve } from "node:path";

const root = resolve(import.meta.dirname, "../..");
const compiled = join(root, ".atelier", "cache", "tests-compiled");

/**
 * Lays a copy of this project's files into a folder, without its tests.
 * @param packages whether it shares this checkout's installed packages
 */
export function copyProject(dir: string, { packages }: { packages: boolean }): void {
  const files = execFileSync("git", ["ls-files", "-co", "--exclude-standard", "-z"], { cwd: root, encoding: "utf8" });
  const made = new Set<string>();
  for (const file of files.split("\0")) {
    if (file === "" || file.startsWith("test/") || !existsSync(join(root, file))) continue;
    const folder = dirname(join(dir, file));
    if (!made.has(folder)) mkdirSync(folder, { recursive: true });
    made.add(folder);
    copyFileSync(join(root, file), join(dir, file));
  }
  if (packages) symlinkSync(join(root, "node_modules"), join(dir, "node_modules"));
  mkdirSync(compiled, { recursive: true });
  symlinkSync(compiled, join(dir, ".compiled"));
}

/** The environment in which Node uses what it compiled of other copies, wherever they lie, and adds to it: it writes each file whole. */
export const withCompiled = (dir: string): Record<string, string> => ({
  NODE_COMPILE_CACHE: join(dir, ".compiled"),
  NODE_COMPILE_CACHE_PORTABLE: "1",
});
