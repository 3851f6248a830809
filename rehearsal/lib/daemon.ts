import { spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import { endProcesses, isOurs } from "./processes.ts";

/** A server of the rehearsal that outlives the command that started it: one script, one folder of its own. */
export interface Daemon {
  /** Its path; with the folder it is in the process's command line, and so says whose that is. */
  script: string;
  /** Absolute. Its log lies here. */
  dir: string;
}

/** Half a second on a quiet machine; a rehearsal may be one of many things at work on it. */
const START_MS = 120_000;

export interface DaemonStart {
  /** After `--dir <dir>`. */
  args: string[];
  /** For Node itself. */
  nodeArgs?: string[];
  /** Besides PATH and HOME. */
  env?: Record<string, string>;
}

const mark = ({ script, dir }: Daemon) => `${script} --dir ${dir} `;

/** Whether the process of this number runs, and is this daemon. */
export const daemonRuns = (daemon: Daemon, pid: number | undefined): pid is number => isOurs(pid, mark(daemon));

/** Ends it. Nothing happens when it does not run. */
export async function stopDaemon(daemon: Daemon, pid: number | undefined): Promise<void> {
  if (daemonRuns(daemon, pid)) await endProcesses([pid], (number) => daemonRuns(daemon, number));
}

/** Whether it runs and says at `base` that it is made of today's code. */
export async function daemonServes(
  daemon: Daemon,
  { pid, base, fingerprint }: { pid: number; base: string; fingerprint: string },
): Promise<boolean> {
  if (!daemonRuns(daemon, pid)) return false;
  try {
    const response = await fetch(`${base}/control/health`, { signal: AbortSignal.timeout(20_000) });
    return ((await response.json()) as { fingerprint: string }).fingerprint === fingerprint;
  } catch {
    return false;
  }
}

/**
 * Starts it detached, and waits for its one message, at most two minutes.
 * @param Told what the message holds; `{ error }` says why it can't serve
 * @throws Error with that reason alone
 */
export async function startDaemon<Told extends object>(
  { script, dir }: Daemon,
  { args, nodeArgs = [], env = {} }: DaemonStart,
): Promise<{ told: Exclude<Told, { error: string }>; pid: number }> {
  const log = openSync(join(dir, "daemon.log"), "a", 0o600);
  const child = spawn(process.execPath, [...nodeArgs, script, "--dir", dir, ...args], {
    detached: true,
    cwd: "/",
    stdio: ["ignore", log, log, "ipc"],
    env: { PATH: process.env.PATH, HOME: process.env.HOME, ...env },
  });
  closeSync(log);
  const told = await new Promise<Told | { error: string }>((answer) => {
    const deadline = setTimeout(() => answer({ error: `it said nothing for ${START_MS / 1000} s` }), START_MS);
    const once = (said: Told | { error: string }) => {
      clearTimeout(deadline);
      answer(said);
    };
    child.once("message", (message) => once(message as Told));
    child.once("error", (error) => once({ error: error.message }));
    child.once("exit", (code) => once({ error: `it ended with ${code}; see ${join(dir, "daemon.log")}` }));
  });
  child.unref();
  if (!("error" in told)) return { told: told as Exclude<Told, { error: string }>, pid: child.pid ?? 0 };
  child.kill();
  throw new Error(String(told.error));
}
