import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { FileStore, type LockHolder } from "../../../engine/src/store.ts";

// Which locks are cleared: those of processes that have certainly ended, and no others.

const NAME = { project: "p", stack: "s" };
const HOLD = fileURLToPath(new URL("./fixtures/holdLock.ts", import.meta.url));
const IN_CONTAINER = ["--pid", "--fork", "--mount-proc", "--kill-child"];
const noNamespaces = spawnSync("unshare", [...IN_CONTAINER, "true"]).status !== 0;
const INITIAL = "pid:[4026531836]";

let dir: string;
let store: FileStore;
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "engine-locks-"));
  store = await FileStore.open(pathToFileURL(dir).href, "/");
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const locks = () => join(dir, ".pulumi", "locks", "organization", "p", "s");

/** What the lock of this process says, given back already. */
async function ownLock(): Promise<LockHolder & { process: NonNullable<LockHolder["process"]> }> {
  const lock = await store.lock(NAME);
  const [file] = readdirSync(locks()).filter((name) => name.endsWith(".json"));
  const own = JSON.parse(readFileSync(join(locks(), file!), "utf8"));
  await lock.release();
  return own;
}

/** True when the stack can be had although this lock lies there. */
async function isCleared(lock: object): Promise<boolean> {
  const file = join(locks(), "other.json");
  writeFileSync(file, JSON.stringify(lock));
  const cleared: LockHolder[] = [];
  try {
    await (await store.lock(NAME, (holder) => cleared.push(holder))).release();
  } catch (error) {
    expect(String(error)).toMatch(/is locked/);
  }
  rmSync(file, { force: true });
  return cleared.length > 0;
}

/** A number that no process has. */
async function freePid(): Promise<number> {
  const child = spawn("true");
  await once(child, "exit");
  return child.pid!;
}

describe.skipIf(process.platform !== "linux")("the lock of a process", () => {
  it("that lives holds, whatever the clock says by now", async () => {
    const own = await ownLock();
    expect(await isCleared({ ...own, timestamp: "2020-01-01T00:00:00Z" })).toBe(false);
    const { process: _, ...official } = own;
    expect(await isCleared({ ...official, timestamp: "2020-01-01T00:00:00Z" })).toBe(false);
  });

  it("that has ended is cleared, also when a younger one has its number", async () => {
    const own = await ownLock();
    expect(await isCleared({ ...own, pid: await freePid() })).toBe(true);
    const younger = { ...own.process, start: own.process.start - 1 };
    expect(await isCleared({ ...own, process: younger })).toBe(true);
  });

  it("of another container holds: its number says nothing here", async () => {
    const own = await ownLock();
    const elsewhere = { ...own.process, pidNamespace: "pid:[1]" };
    expect(await isCleared({ ...own, pid: await freePid(), process: elsewhere })).toBe(false);
  });

  it("of before the machine was started anew is cleared, and that of a container somewhere is not", async () => {
    const own = await ownLock();
    const before = { ...own.process, boot: "00000000-0000-4000-8000-000000000000" };
    const here = own.process.pidNamespace === INITIAL;
    expect(await isCleared({ ...own, process: { ...before, pidNamespace: INITIAL } })).toBe(here);
    expect(await isCleared({ ...own, process: { ...before, pidNamespace: "pid:[1]" } })).toBe(false);
  });

  it("of which the number alone is known is cleared where this process sees all of its machine's", async () => {
    const own = await ownLock();
    const official = { pid: await freePid(), username: "x", hostname: hostname(), timestamp: own.timestamp };
    expect(await isCleared(official)).toBe(own.process.pidNamespace === INITIAL);
  });

  it.skipIf(noNamespaces)("outside holds in a container of the same name, and the other way round", async () => {
    const inContainer = [...IN_CONTAINER, process.execPath, HOLD, dir];
    const lock = await store.lock(NAME);
    const inside = spawnSync("unshare", [...inContainer, "exit"], { encoding: "utf8" });
    expect(inside.stderr).toMatch(/is locked/);
    await lock.release();

    const holder = spawn("unshare", inContainer, { stdio: ["ignore", "pipe", "inherit"] });
    try {
      await once(holder.stdout, "data");
      await expect(store.lock(NAME)).rejects.toThrow(/is locked/);
    } finally {
      // It passes over a polite word; its child goes along.
      holder.kill("SIGKILL");
      await once(holder, "exit");
    }
  });

  it.skipIf(noNamespaces)("outside that is the official CLI's holds in a container as well", async () => {
    const { process: _, ...official } = await ownLock();
    writeFileSync(join(locks(), "other.json"), JSON.stringify(official));
    const inside = spawnSync("unshare", [...IN_CONTAINER, process.execPath, HOLD, dir, "exit"], { encoding: "utf8" });
    expect(inside.stderr).toMatch(/is locked/);
  });
});
