import { randomUUID } from "node:crypto";
import { unlinkSync } from "node:fs";
import { mkdir, readdir, readFile, unlink } from "node:fs/promises";
import { hostname, userInfo } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { writeBeside } from "./files.ts";
import { hasEnded, ownIdentity, type ProcessIdentity, readIdentity } from "./processIdentity.ts";

/** Two that start at the same moment both withdraw; the next try comes after a random while. */
const TRIES = 5;
const RETRY_MS = 60;

export interface LockHolder {
  pid: number;
  username: string;
  hostname: string;
  /** RFC 3339 */
  timestamp: string;
  /** Not of the official CLI's locks, nor where the system does not tell it. */
  process?: ProcessIdentity | undefined;
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
      // The official CLI passes over what it does not know.
      process: ownIdentity(),
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
    if (isDead(holder)) {
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
    const { pid, username, hostname, timestamp, process } = JSON.parse(text) as Partial<LockHolder>;
    return {
      pid: pid ?? 0,
      username: username ?? "unknown",
      hostname: hostname ?? "unknown",
      timestamp: timestamp ?? "",
      process: readIdentity(process),
      path,
    };
  } catch {
    return { pid: 0, username: "unknown", hostname: "unknown", timestamp: "", path };
  }
}

/** True only when it is certain. */
function isDead({ pid, hostname: host, process: identity }: LockHolder): boolean {
  return pid > 0 && host === hostname() && hasEnded(pid, identity);
}
