import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { link, mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath, pathToFileURL } from "node:url";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { FileStore, type LockHolder, StackLocked, type UpdateRecord } from "../../../engine/src/store.ts";
import { PATIENCE_MS } from "../../helpers/until.ts";
import { goldenText } from "./golden.ts";

const NAME = { project: "p", stack: "s" };
let dir: string;
let children: ChildProcess[] = [];

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "engine-store-"));
});
afterEach(async () => {
  for (const child of children) child.kill("SIGKILL");
  children = [];
  await rm(dir, { recursive: true, force: true });
});

const open = () => FileStore.open(pathToFileURL(dir).href, "/");
const at = (...parts: string[]) => join(dir, ".pulumi", ...parts);
const put = async (path: string, content: string | Uint8Array) => {
  await mkdir(join(path, ".."), { recursive: true });
  await writeFile(path, content);
};
const lockFiles = async () => (await readdir(at("locks/organization/p/s"))).filter((file) => file.endsWith(".json"));

function start(fixture: string, ...args: string[]): ChildProcess {
  const script = fileURLToPath(new URL(`fixtures/${fixture}.ts`, import.meta.url));
  const child = spawn(process.execPath, [script, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  children.push(child);
  return child;
}

describe("the store", () => {
  it("refuses what is no folder, a layout that it does not know, and names that lead elsewhere", async () => {
    await expect(FileStore.open("s3://bucket", "/")).rejects.toThrow(/"s3:\/\/bucket".*--engine pulumi/);
    await put(at("meta.yaml"), "version: 2\n");
    await expect(open()).rejects.toThrow(/layout version 2/);
    await rm(at("meta.yaml"));
    await put(at("stacks/old.json"), "{}");
    await expect(open()).rejects.toThrow(/pulumi state upgrade/);
    await rm(at("stacks/old.json"));
    const store = await open();
    for (const stack of ["..", "a/b", "", "x".repeat(101)]) {
      await expect(store.save({ project: "p", stack }, "{}"), stack).rejects.toThrow(/is no name/);
    }
    await expect(store.lock({ project: "..", stack: "s" })).rejects.toThrow(/is no name/);
  });

  it("takes a relative URL from the base folder, which need not exist", async () => {
    expect((await FileStore.open("file://state", dir)).root).toBe(join(dir, "state", ".pulumi"));
    expect((await FileStore.open("file://./a/../state", dir)).root).toBe(join(dir, "state", ".pulumi"));
    expect((await FileStore.open(`file://${dir}/with%20space`, "/")).root).toBe(join(dir, "with space", ".pulumi"));
    expect((await FileStore.open(`file://${dir}/x?metadata=skip`, "/")).root).toBe(join(dir, "x", ".pulumi"));
  });

  it("has no state of a stack that was never saved", async () => {
    const store = await open();
    expect(await store.load(NAME)).toBeUndefined();
    expect(await store.list()).toEqual([]);
    expect(await store.history(NAME)).toEqual([]);
  });

  it("saves where Pulumi does, keeps the state before as .bak, and lists what is there", async () => {
    const store = await open();
    await store.save(NAME, "one");
    await store.save(NAME, "two");
    await store.save({ project: "p", stack: "a" }, "x");
    await store.save({ project: "o", stack: "b.c" }, "x");
    expect(await readFile(at("stacks/p/s.json"), "utf8")).toBe("two");
    expect(await readFile(at("stacks/p/s.json.bak"), "utf8")).toBe("one");
    expect(await readFile(at("meta.yaml"), "utf8")).toBe("version: 1\n");
    expect((await stat(at("stacks/p/s.json"))).mode & 0o077).toBe(0);
    expect(await store.list()).toEqual([{ project: "o", stack: "b.c" }, { project: "p", stack: "a" }, NAME]);
    expect(await store.list("o")).toEqual([{ project: "o", stack: "b.c" }]);
    expect((await readdir(at("stacks/p"))).sort()).toEqual(["a.json", "s.json", "s.json.bak"]);
  });

  it("refuses a state that is gone while the history knows of resources, with its latest copy", async () => {
    const store = await open();
    const state = (...resources: object[]) => JSON.stringify({ version: 3, checkpoint: { latest: { resources } } });
    const record: UpdateRecord = {
      ...{ kind: "update", startTime: 1, endTime: 2, message: "", environment: {}, config: {} },
      ...{ result: "succeeded", resourceChanges: {} },
    };
    const file = at("stacks/p/s.json");
    // The first update of all failed before anything was saved.
    await store.recordUpdate(NAME, record);
    expect(await store.load(NAME)).toBeUndefined();
    await store.save(NAME, state({}));
    await store.save(NAME, state({}, {}));
    await store.recordUpdate(NAME, record);
    await rm(file);
    await expect(store.load(NAME)).rejects.toThrow(
      /s\.json is gone, and .*\/s-\d+\.checkpoint\.json, .*has 2 resources/,
    );
    // A later update was killed: nothing newer than its last state but one is left.
    await put(file, state({}, {}, {}));
    await utimes(file, new Date(), new Date(Date.now() + 5000));
    await store.save(NAME, state());
    await rm(file);
    await expect(store.load(NAME)).rejects.toThrow(/s\.json\.bak, .*has 3 resources/);
    await put(file, state({}));
    await store.moveHistory(NAME, { project: "p", stack: "t" });
    await store.retire(NAME);
    expect(await store.load(NAME)).toBeUndefined();
  });

  it("leaves nothing half-written where a save was cut off when the state and its .bak were one file", async () => {
    const store = await open();
    await store.save(NAME, "one");
    await link(at("stacks/p/s.json"), at("stacks/p/s.json.bak"));
    await store.save(NAME, "two");
    expect(await readFile(at("stacks/p/s.json.bak"), "utf8")).toBe("one");
    expect((await readdir(at("stacks/p"))).sort()).toEqual(["s.json", "s.json.bak"]);
  });

  it("reads the newest of a plain and a compressed state, and goes on with a plain one", async () => {
    const store = await open();
    await put(at("stacks/p/s.json"), "plain");
    await put(at("stacks/p/s.json.gz"), gzipSync("packed"));
    await utimes(at("stacks/p/s.json"), new Date(1000), new Date(1000));
    expect(await store.load(NAME)).toBe("packed");
    await put(at("stacks/p/s.json.zst"), zstdCompressSync("newest"));
    await utimes(at("stacks/p/s.json.gz"), new Date(2000), new Date(2000));
    expect(await store.load(NAME)).toBe("newest");
    await store.save(NAME, "next");
    expect(await store.load(NAME)).toBe("next");
    expect(await readdir(at("stacks/p"))).toContain("s.json.zst.bak");
    expect(await readdir(at("stacks/p"))).not.toContain("s.json.zst");
  });

  it("adds updates to the history with a copy and a backup of the state, and forgets a removed stack", async () => {
    const store = await open();
    const record = (result: "succeeded" | "failed"): UpdateRecord => ({
      kind: "update",
      startTime: 1_700_000_000,
      endTime: 1_700_000_009,
      message: "",
      environment: {},
      config: { "p:key": { secure: "v1:a:b" }, "p:large": 123456789012345678901n },
      result,
      resourceChanges: { create: 2 },
    });
    await store.save(NAME, "state one");
    await store.recordUpdate(NAME, record("failed"));
    await store.save(NAME, "state two");
    await sleep(2);
    await store.recordUpdate(NAME, record("succeeded"));

    expect((await store.history(NAME)).map(({ result }) => result)).toEqual(["succeeded", "failed"]);
    const files = (await readdir(at("history/p/s"))).sort();
    expect(files).toHaveLength(4);
    expect(files[0]).toMatch(/^s-\d{19}\.checkpoint\.json$/);
    expect(files[1]).toMatch(/^s-\d{19}\.history\.json$/);
    expect(await readFile(at("history/p/s", files[2]!), "utf8")).toBe("state two");
    const backups = (await readdir(at("backups/p/s"))).sort();
    expect(backups).toHaveLength(2);
    expect(await readFile(at("backups/p/s", backups[0]!), "utf8")).toBe("state one");

    await put(at("stacks/p/s.json.attrs"), "{}");
    await store.remove(NAME);
    expect(await readdir(at("stacks/p"))).toEqual([]);
    expect(await store.load(NAME)).toBeUndefined();
    expect(await store.history(NAME)).toEqual([]);
    expect(await readdir(at("backups/p/s"))).toHaveLength(2);
  });

  it("sweeps up what a killed writer left in the history, the backups and beside the state, and nothing else", async () => {
    const store = await open();
    await store.save(NAME, "whole");
    const half = [
      "stacks/p/s.json.bak.7.tmp",
      "history/p/s/.s-1.history.json.7.1.tmp",
      "backups/p/s/.s.1.json.7.2.tmp",
    ];
    for (const file of half) await put(at(file), "hal");
    await put(at("stacks/p/.s.json.json.7.3.tmp"), "of the stack s.json, which is being written");
    await (await store.lock(NAME)).release();
    for (const file of half) expect(await readdir(dirname(at(file)))).not.toContain(basename(file));
    expect(await readdir(at("stacks/p"))).toEqual([".s.json.json.7.3.tmp", "s.json"]);
    expect(await store.load(NAME)).toBe("whole");
  });

  it("is never half written: killed in the middle of saving, the state is whole and the rest is swept up", async () => {
    const child = start("saveForever", dir);
    await once(child.stdout!, "data");
    const folder = at("stacks/p");
    const deadline = Date.now() + PATIENCE_MS;
    // The kill must come while a temporary file lies there.
    for (;;) {
      const files = await readdir(folder).catch(() => [] as string[]);
      const half = files.find((file) => file.endsWith(".tmp") && file.startsWith(".s.json."));
      if (half !== undefined && files.includes("s.json.bak")) break;
      if (Date.now() > deadline) throw new Error("no save was seen at work");
    }
    child.kill("SIGKILL");
    await once(child, "exit");

    const store = await open();
    const state = JSON.parse((await store.load(NAME))!) as { round: number; end: number };
    expect(state.end).toBe(state.round);
    expect(JSON.parse(await readFile(`${folder}/s.json.bak`, "utf8"))).toHaveProperty("end");
    const lock = await store.lock(NAME);
    expect((await readdir(folder)).sort()).toEqual(["s.json", "s.json.bak"]);
    await lock.release();
  });
});

describe("the lock", () => {
  it("names its holder and the way out", async () => {
    const store = await open();
    const lock = await store.lock(NAME);
    const error = (await (await open()).lock(NAME).catch((e: unknown) => e)) as StackLocked;
    expect(error).toBeInstanceOf(StackLocked);
    expect(error.holders).toHaveLength(1);
    expect(error.message).toMatch(
      new RegExp(
        `stack s is locked:\\n  by .+@${hostname()}, process ${process.pid}, since 20.*\\.json\\)\\nWait.*pulumi cancel`,
      ),
    );
    await lock.release();
    await lock.release();
    await (await store.lock(NAME)).release();
    expect(await lockFiles()).toEqual([]);
  });

  it("is the official CLI's: it keeps a stack that this one holds, and the other way round", async () => {
    const store = await open();
    const foreign = JSON.parse(goldenText("05-lock.json")) as LockHolder;
    await put(at("locks/organization/p/s/12345678.json"), JSON.stringify({ ...foreign, hostname: "elsewhere" }));
    await expect(store.lock(NAME)).rejects.toThrow(new RegExp(`@elsewhere, process ${foreign.pid}, since`));
    await rm(at("locks/organization/p/s/12345678.json"));
    const lock = await store.lock(NAME);
    const [file] = await lockFiles();
    const own = JSON.parse(await readFile(at("locks/organization/p/s", file!), "utf8")) as object;
    expect(Object.keys(own).filter((key) => key !== "process")).toEqual(Object.keys(foreign));
    await lock.release();
  });

  it("of which nothing can be read holds", async () => {
    await put(at("locks/organization/p/s/x.json"), "{");
    await expect((await open()).lock(NAME)).rejects.toThrow(/process unknown.*x\.json/);
  });

  it("goes back when what it was taken for fails", async () => {
    const store = await open();
    await expect(store.withLock(NAME, () => Promise.reject(new Error("on purpose")))).rejects.toThrow("on purpose");
    expect(await lockFiles()).toEqual([]);
  });

  it("goes back when the process exits without a word", async () => {
    const child = start("holdLock", dir, "exit");
    expect(await once(child, "exit")).toEqual([3, null]);
    expect(await lockFiles()).toEqual([]);
  });

  it("of a killed process is cleared, with a word, and that of a living one is not", async () => {
    const child = start("holdLock", dir);
    await once(child.stdout!, "data");
    const store = await open();
    await expect(store.lock(NAME)).rejects.toThrow(new RegExp(`process ${child.pid}`));
    child.kill("SIGKILL");
    await once(child, "exit");
    expect(await lockFiles()).toHaveLength(1);
    const cleared: LockHolder[] = [];
    const lock = await store.lock(NAME, (holder) => cleared.push(holder));
    expect(cleared).toMatchObject([{ pid: child.pid, hostname: hostname() }]);
    expect(await lockFiles()).toHaveLength(1);
    await lock.release();
  });

  it("is held by one of several processes at a time", async () => {
    const counter = join(dir, "counter");
    await writeFile(counter, "0");
    const racers = [1, 2, 3].map(() => start("lockAndCount", dir, counter, "15"));
    for (const racer of racers) expect((await Promise.all([racer.exitCode ?? once(racer, "exit")])).flat()[0]).toBe(0);
    expect(await readFile(counter, "utf8")).toBe("45");
    expect(await lockFiles()).toEqual([]);
  });
});
