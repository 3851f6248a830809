import { execFileSync } from "node:child_process";
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/**
 * A virtual environment with Python packages, installed by uv; kept in the system's folder for temporary files for the next bench.
 * @returns its folder of programs
 * @throws when Python, or an index of packages, can't be had
 */
export function pythonTools(name: string, packages: string[]): string {
  const dir = join(tmpdir(), `atelier-bench-${name}`);
  const bin = join(dir, "bin");
  const done = join(dir, "installed");
  if (existsSync(done)) return bin;
  rmSync(dir, { recursive: true, force: true });
  const run = (program: string, args: string[]) =>
    execFileSync(program, args, { stdio: ["ignore", "ignore", "pipe"], timeout: 300_000 });
  run("python3", ["-m", "venv", dir]);
  run(join(bin, "pip"), ["install", "--quiet", "--disable-pip-version-check", "uv"]);
  run(join(bin, "uv"), ["pip", "install", "--quiet", "--python", join(bin, "python"), ...packages]);
  writeFileSync(done, "");
  return bin;
}
