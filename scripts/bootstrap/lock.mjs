import { mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { BootstrapError, say } from "./errors.mjs";

/**
 * Runs `work` while holding a folder as a lock. A dead holder's lock is cleared with a word.
 * @param {string} folder the lock; must not exist when free
 * @param {() => unknown} work
 * @param {{ deadlineMs?: number, doing?: string }} [options] `doing` names what the holder does, for the lines said
 */
export async function withLock(folder, work, { deadlineMs = 600_000, doing = "works" } = {}) {
  const end = Date.now() + deadlineMs;
  let said = false;
  while (!take(folder)) {
    const holder = readHolder(folder);
    if (isDead(folder, holder)) {
      if (clear(folder, holder)) say(`A lock of process ${holder?.pid ?? "unknown"}, which is gone, was cleared.`);
      continue;
    }
    if (Date.now() > end) {
      throw new BootstrapError(
        `Process ${holder?.pid ?? "unknown"} on ${holder?.host ?? "this machine"} has held ${folder} since ${holder?.since ?? "a while"}. ` +
          "If it does nothing any more, end it and run the same command again.",
      );
    }
    if (!said && holder) {
      say(`Waiting: process ${holder.pid} ${doing}.`);
      said = true;
    }
    // A holder without a name yet has one in a moment.
    await sleep(holder ? 250 : 10);
  }
  try {
    return await work();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function take(folder) {
  try {
    mkdirSync(dirname(folder), { recursive: true });
    mkdirSync(folder);
  } catch (error) {
    if (error.code === "EEXIST" && error.path === folder) return false;
    throw new BootstrapError(
      `${folder} can't be made (${error.message}). What is installed lies in the clone: is it on a disk that can be written to, and yours?`,
    );
  }
  const holder = { pid: process.pid, host: hostname(), since: new Date().toISOString() };
  writeFileSync(join(folder, "holder.json"), JSON.stringify(holder));
  return true;
}

function readHolder(folder) {
  try {
    return JSON.parse(readFileSync(join(folder, "holder.json"), "utf8"));
  } catch {
    return undefined;
  }
}

function isDead(folder, holder) {
  if (!holder) {
    // Between mkdir and the holder's name there is a moment; longer means that it died in it.
    const age = Date.now() - (statSync(folder, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
    return age > 30_000;
  }
  if (holder.host !== hostname()) return false;
  try {
    process.kill(holder.pid, 0);
    return false;
  } catch (error) {
    return error.code === "ESRCH";
  }
}

/** Moved aside first: of two that see the same dead holder, one clears, and a new holder's lock goes back. */
function clear(folder, dead) {
  const aside = `${folder}.${process.pid}`;
  try {
    renameSync(folder, aside);
  } catch {
    return false;
  }
  if (JSON.stringify(readHolder(aside)) !== JSON.stringify(dead)) {
    renameSync(aside, folder);
    return false;
  }
  rmSync(aside, { recursive: true, force: true });
  return true;
}
