import { randomUUID } from "node:crypto";
import { unlinkSync } from "node:fs";
import { mkdir, readdir, readFile, unlink } from "node:fs/promises";
import { hostname, userInfo } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { writeBeside } from "./files.ts";

/** Two that start at the same moment both withdraw; the next try comes after a random while. */
const TRIES = 5;
const RETRY_MS = 60;
/** Clocks of file systems and of processes differ by a little. */
const CLOCK_SLACK_MS = 2000;

export interface LockHolder {
  pid: number;
  username: string;
  hostname: string;
  /** RFC 3339 */
  timestamp: string;
  /** The lock file. */
  path: string;
}

export interface Lock {
  /** Gives the lock back; harmless when called again. */
  release(): Promise<void>;
}

/** Another process holds the stack. */
export class StackLocked extends Error {
  readonly holders: LockHolder[];
  constructor(stack: string, holders: LockHolder[]) {
    super(
      `The stack ${stack} is locked:\n${holders
        .map(
          (h) =>
            `  by ${h.username}@${h.hostname}, process ${h.pid || "unknown"}, since ${h.timestamp || "unknown"} (${h.path})`,
        )
        .join(
          "\n",
        )}\nWait until it is done. If that process no longer exists, delete the file (the official CLI: pulumi cancel).`,
    );
    this.name = "StackLocked";
    this.holders = holders;
  }
}

const held = new Set<string>();
// The last net under process.exit and uncaught errors; a kill -9 is what the dead-holder rule is for.
process.on("exit", () => {
  for (const path of held) {
    try {
      unlinkSync(path);
    } catch {
      // Gone already.
    }
  }
});

/**
 * Takes the lock of a stack: looks, writes its own, looks again, and withdraws if another has come.
 * @param dir the folder of the stack's locks
 * @param onCleared told of each lock that was removed because its process on this machine is dead
 * @throws StackLocked
 */
export async function takeLock(dir: string, stack: string, onCleared?: (holder: LockHolder) => void): Promise<Lock> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const path = join(dir, `${randomUUID()}.json`);
  for (let attempt = 1; ; attempt++) {
    const before = await othersIn(dir, path, onCleared);
    if (before.length > 0) throw new StackLocked(stack, before);
    held.add(path);
    const own = {
      pid: process.pid,
      username: userInfo().username,
      hostname: hostname(),
      timestamp: new Date().toISOString(),
    };
    await writeBeside(path, JSON.stringify(own));
    const after = await othersIn(dir, path, onCleared);
    if (after.length === 0) return { release: () => drop(path) };
    await drop(path);
    if (attempt === TRIES) throw new StackLocked(stack, after);
    await sleep(RETRY_MS * attempt * (0.5 + Math.random()));
  }
}

async function drop(path: string): Promise<void> {
  held.delete(path);
  await unlink(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOENT") throw error;
  });
}

async function othersIn(dir: string, own: string, onCleared?: (holder: LockHolder) => void): Promise<LockHolder[]> {
  const others: LockHolder[] = [];
  for (const name of await readdir(dir)) {
    const path = join(dir, name);
    if (!name.endsWith(".json") || path === own) continue;
    const holder = await readHolder(path);
    if (holder === undefined) continue;
    if (await isDead(holder)) {
      for (const file of [path, `${path}.attrs`]) await unlink(file).catch(() => {});
      onCleared?.(holder);
    } else {
      others.push(holder);
    }
  }
  return others;
}

/** Undefined: the lock went away meanwhile. */
async function readHolder(path: string): Promise<LockHolder | undefined> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  try {
    const { pid, username, hostname, timestamp } = JSON.parse(text) as Partial<LockHolder>;
    return {
      pid: pid ?? 0,
      username: username ?? "unknown",
      hostname: hostname ?? "unknown",
      timestamp: timestamp ?? "",
      path,
    };
  } catch {
    return { pid: 0, username: "unknown", hostname: "unknown", timestamp: "", path };
  }
}

/** True only when it is certain: a process of this machine that is gone, or whose number belongs to a younger one now. */
async function isDead({ pid, hostname: host, timestamp }: LockHolder): Promise<boolean> {
  if (pid <= 0 || host !== hostname()) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ESRCH";
  }
  const since = Date.parse(timestamp);
  if (process.platform !== "linux" || Number.isNaN(since)) return false;
  const started = await startOf(pid);
  return started !== undefined && started > since + CLOCK_SLACK_MS;
}

/** When a process of this machine started, ms since the epoch; undefined where that can't be told. */
async function startOf(pid: number): Promise<number | undefined> {
  try {
    const [own, kernel] = await Promise.all([readFile(`/proc/${pid}/stat`, "utf8"), readFile("/proc/stat", "utf8")]);
    // The name before the last bracket may hold anything; the start is field 22, in ticks of 10 ms since boot.
    const ticks = Number(own.slice(own.lastIndexOf(")") + 2).split(" ")[19]);
    const boot = Number(/^btime (\d+)/m.exec(kernel)?.[1]);
    return Number.isFinite(ticks) && Number.isFinite(boot) ? boot * 1000 + ticks * 10 : undefined;
  } catch {
    return undefined;
  }
}
