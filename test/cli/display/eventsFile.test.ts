import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EventsFile } from "../../../scripts/cli/display/eventsFile.ts";
import { until } from "../../helpers/until.ts";
import { done, start } from "./recorded.ts";

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "atelier-events-"));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const linesOf = (text: string) =>
  text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line));

describe("a file", () => {
  test("that can't be is a mistake of usage, told before anything is done", () => {
    expect(() => new EventsFile(join(dir, "no", "such"))).toThrowError(/--events cannot write to .*ENOENT/);
    expect(() => new EventsFile(dir)).toThrowError(/EISDIR/);
  });

  test("is emptied first, and holds each event before the next one comes, numbered through", async () => {
    const path = join(dir, "events.jsonl");
    writeFileSync(path, "of an earlier run\n");
    const events = new EventsFile(path);
    expect(readFileSync(path, "utf8")).toBe("");
    events.event({ ...start("a", "create", 1), sequence: 7 });
    expect(linesOf(readFileSync(path, "utf8"))).toMatchObject([{ sequence: 0, timestamp: 1, resourcePreEvent: {} }]);
    events.event({ ...done("a", "create", 2), sequence: 0 });
    expect(linesOf(readFileSync(path, "utf8")).map(({ sequence }) => sequence)).toEqual([0, 1]);
    expect(await events.close()).toBeUndefined();
  });

  test.skipIf(!existsSync("/dev/full"))("on a full disk is told at the end, and stops nobody", async () => {
    const events = new EventsFile("/dev/full");
    for (let n = 0; n < 3; n++) events.event(start("a", "create", n));
    expect(await events.close()).toMatch(/^Not all events went to \/dev\/full: .*ENOSPC/);
  });
});

describe.skipIf(process.platform === "win32")("a FIFO", () => {
  let count = 0;
  const fifo = () => {
    const path = join(dir, `fifo${count++}`);
    execFileSync("mkfifo", [path]);
    return path;
  };
  const reader = (command: string) => {
    const child = spawn("sh", ["-c", command], { stdio: ["ignore", "pipe", "ignore"] });
    let text = "";
    child.stdout.setEncoding("utf8").on("data", (part: string) => {
      text += part;
    });
    const ended = new Promise<string>((resolve) => child.on("close", () => resolve(text)));
    return { ended, text: () => text };
  };

  test("that nobody reads holds up nothing, and is told at the end", async () => {
    const events = new EventsFile(fifo());
    for (let n = 0; n < 2000; n++) events.event(start(`a${n}`, "create", n));
    expect(await events.close()).toContain("nobody read it");
  });

  test("whose reader goes away ends the writing, and nothing else", async () => {
    const path = fifo();
    const { ended } = reader(`head -n 1 '${path}'`);
    const events = new EventsFile(path);
    let n = 0;
    await until("the writing has ended", () => {
      if (events.writes) events.event(start(`a${n++}`, "create", n));
      return !events.writes;
    });
    expect(linesOf(await ended)).toHaveLength(1);
    expect(await events.close()).toContain("its reader went away");
  });

  test("gives a reader that comes late, or is slow, every event", async () => {
    const path = fifo();
    const events = new EventsFile(path);
    // More than the kernel keeps for a pipe.
    for (let n = 0; n < 1000; n++) events.event(start(`a${n}`, "create", n));
    const { ended, text } = reader(`sleep 0.3; exec cat '${path}'`);
    await until("it has begun to read", () => text() !== "");
    events.event(done("a999", "create", 1000));
    expect(await events.close()).toBeUndefined();
    const lines = linesOf(await ended);
    expect(lines.map(({ sequence }) => sequence)).toEqual(Array.from({ length: 1001 }, (_, n) => n));
  });

  test("is read live", async () => {
    const path = fifo();
    const { text, ended } = reader(`exec cat '${path}'`);
    const events = new EventsFile(path);
    events.event(start("a", "create", 1));
    await until("it is read", () => linesOf(text()).length === 1);
    events.event(done("a", "create", 2));
    await until("the next is read", () => linesOf(text()).length === 2);
    expect(await events.close()).toBeUndefined();
    await ended;
  });
});
