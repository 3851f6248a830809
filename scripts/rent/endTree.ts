import { spawnSync } from "node:child_process";

/** Milliseconds for a look at what runs: who ends a command that hangs must not hang by it. */
const timeout = 20_000;

/**
 * Ends a process and all that it has started. Not by a group of its own: then who ends the update's group would leave it running.
 */
export function endTree(pid: number | undefined): void {
  if (pid === undefined) return;
  if (process.platform === "win32") {
    spawnSync("taskkill", ["/pid", String(pid), "/t", "/f"], { timeout });
    return;
  }
  const { stdout } = spawnSync("ps", ["-A", "-o", "pid=,ppid="], { encoding: "utf8", timeout });
  const pairs = (stdout ?? "").split("\n").map((line) => line.trim().split(/\s+/).map(Number));
  const below = (one: number): number[] =>
    pairs.flatMap(([child = 0, parent]) => (parent === one && child !== one ? [child, ...below(child)] : []));
  for (const one of [pid, ...below(pid)]) {
    try {
      process.kill(one, "SIGKILL");
    } catch {
      // It ended meanwhile.
    }
  }
}
