import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, symlinkSync } from "node:fs";
import { dirname, join, resolve } from "node:path";

const root = resolve(import.meta.dirname, "../..");
const compiled = join(root, ".atelier", "cache", "tests-compiled");

/**
 * Lays a copy of this project's files into a folder, without its tests.
 * @param packages whether it shares this checkout's installed packages
 */
export function copyProject(dir: string, { packages }: { packages: boolean }): void {
  const files = execFileSync("git", ["ls-files", "-co", "--exclude-standard", "-z"], { cwd: root, encoding: "utf8" });
  for (const file of files.split("\0")) {
    if (file === "" || file.startsWith("test/") || !existsSync(join(root, file))) continue;
    mkdirSync(dirname(join(dir, file)), { recursive: true });
    cpSync(join(root, file), join(dir, file));
  }
  if (packages) symlinkSync(join(root, "node_modules"), join(dir, "node_modules"));
  if (existsSync(compiled)) cpSync(compiled, join(dir, ".compiled"), { recursive: true });
}

/** The environment in which Node uses what it compiled of earlier copies, wherever they lay, and adds to it. */
export const withCompiled = (dir: string): Record<string, string> => ({
  NODE_COMPILE_CACHE: join(dir, ".compiled"),
  NODE_COMPILE_CACHE_PORTABLE: "1",
});

/** Keeps for the next copies what Node has compiled of this one. */
export function keepCompiled(dir: string): void {
  const own = join(dir, ".compiled");
  if (existsSync(own)) cpSync(own, compiled, { recursive: true, force: false, errorOnExist: false });
}
