import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

/** The words of a process's command line, joined by spaces; "" when it is gone or a zombie. */
export function commandLine(pid: number): string {
  return readProc(pid, "cmdline").replaceAll("\0", " ").trim();
}

/** Whether `pid` runs and its command line holds `mark`: a number alone may since be someone else's. */
export function isOurs(pid: number | undefined, mark: string): pid is number {
  return pid !== undefined && pid > 1 && commandLine(pid).includes(mark);
}

/** Every process that carries `NAME=value` in its environment, as far as we may look. */
export function processesWith(variable: string): number[] {
  const found: number[] = [];
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) continue;
    if (`\0${readProc(Number(name), "environ")}`.includes(`\0${variable}\0`)) found.push(Number(name));
  }
  return found;
}

/**
 * Ends processes: asks (SIGTERM), and after `graceMs` insists (SIGKILL). Returns when all are gone.
 * `still` is asked before each signal, so that a number that passed to another process is left alone.
 */
export async function endProcesses(pids: number[], still: (pid: number) => boolean, graceMs = 2000): Promise<void> {
  const left = (pid: number) => still(pid) || isEnding(pid);
  const asked = pids.filter(still);
  for (const pid of asked) signal(pid, "SIGTERM");
  const deadline = Date.now() + graceMs;
  while (asked.some(left) && Date.now() < deadline) await sleep(10);
  for (const pid of asked) if (still(pid)) signal(pid, "SIGKILL");
  // Killed, it still wants the processor once.
  const end = Date.now() + 60_000;
  while (asked.some(left)) {
    if (Date.now() > end) throw new Error(`Processes ${asked.filter(left).join(", ")} survive SIGKILL.`);
    await sleep(10);
  }
}

/** A dying process loses its command line and environment first, and its ports only after. */
function isEnding(pid: number): boolean {
  const [, state] = /\) (\S)/.exec(readProc(pid, "stat")) ?? [];
  return state !== undefined && !"ZX".includes(state) && commandLine(pid) === "";
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

function readProc(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "utf8");
  } catch {
    return "";
  }
}
