import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import fc from "fast-check";
import { afterAll, describe, expect, test, vi } from "vitest";
import { change, entry } from "./arbitraries.ts";
import type { Errand } from "./child/errand.ts";
import { readJournal } from "./child/journal.ts";
import { changed, EMPTY, planted } from "./model.ts";
import { randomness } from "./randomStories.ts";
import { registrationsOf } from "./registrations.ts";
import { Stage } from "./story.ts";

vi.mock("node:fs/promises", async () => (await import("./inProcess.ts")).fileSystem());
vi.mock("node:crypto", async () => (await import("./inProcess.ts")).quickCrypto());
vi.mock("../../../engine/src/deploy/program/program.ts", async (original) =>
  (await import("./inProcess.ts")).programs(await original()),
);
vi.mock("../../../engine/src/deploy/monitor/monitor.ts", async (original) =>
  (await import("./inProcess.ts")).monitored(await original()),
);

const stage = new Stage();
afterAll(() => stage.close());

/** What is kept on purpose, or protected, is left to the stories: here nobody sees the states in between. */
const plainEntry = entry.map((one) => ({ ...one, retain: undefined, protect: undefined }));
const plainChange = change.filter(({ kind }) => kind !== "retain" && kind !== "protect");

const errand = fc.record({
  entries: fc.array(plainEntry, { minLength: 3, maxLength: 10 }),
  fresh: fc.array(plainEntry, { minLength: 1, maxLength: 2 }),
  chapters: fc.array(
    fc.record({
      operation: fc.constantFrom<Errand["operations"][number]["operation"]>(
        "up",
        "up",
        "up",
        "up",
        "preview",
        "destroy",
      ),
      changes: fc.array(plainChange, { minLength: 2, maxLength: 6 }),
      parallel: fc.constantFrom(16, 1, 3),
      seed: fc.nat(),
    }),
    { minLength: 3, maxLength: 5 },
  ),
  /** Killed when the world has changed so many times, and so many ms have passed. */
  kill: fc.record({ changes: fc.noBias(fc.nat(14)), delay: fc.noBias(fc.nat(12)) }),
  tidy: fc.boolean(),
});

const CHILD_DEADLINE_MS = 60_000;

describe("slow", () => {
  test("a process killed with -9 at any moment of several updates", { timeout: 3_600_000 }, async () => {
    const { seed, runs, path } = randomness(0.05, 3);
    console.log(`${runs} kills, seed ${seed}`);
    let cut = 0;
    let pending = 0;
    const property = fc.asyncProperty(errand, async ({ entries, fresh, chapters, kill, tidy }) => {
      let model = planted(entries);
      let uid = entries.length;
      // Which program was the last to be begun can't be told: the state is put right for the last of all.
      const operations = chapters.map(({ operation, changes, parallel, seed: delays }) => {
        for (const one of changes) {
          model = changed(model, one, () => ({ ...(fresh[uid % fresh.length] ?? EMPTY), uid: uid++ }));
        }
        return { operation, registrations: registrationsOf(model), parallel, seed: delays };
      });
      const place = stage.place();
      const ended = await runAndKill({ projectDir: stage.dir, ...place, operations }, kill);
      if (!ended) cut++;
      const left = await stage.goOn(model, readJournal(place.journal), place.dir, tidy);
      pending += left.pending;
    });
    await fc.assert(property, { seed, numRuns: runs, path, endOnFailure: true });
    console.log(`${cut} of ${runs} killed while at work, ${pending} operations found pending`);
    expect(cut).toBeGreaterThan(runs / 4);
  });
});

/** True: it had come to its end before it could be killed. */
async function runAndKill(what: Errand, { changes, delay }: { changes: number; delay: number }): Promise<boolean> {
  const child = spawn(process.execPath, [join(import.meta.dirname, "child", "main.ts")], {
    stdio: ["pipe", "pipe", "inherit"],
    env: { ...process.env, NODE_COMPILE_CACHE: join(stage.dir, "compile-cache") },
  });
  let told = "";
  const closed = once(child, "close");
  const reached = new Promise<void>((resolve) => {
    child.stdout.on("data", (text) => {
      told += String(text);
      if (told.split("\n").length > changes + 1) resolve();
    });
  });
  child.stdin.end(JSON.stringify(what));
  const timer = new AbortController();
  const late = sleep(CHILD_DEADLINE_MS, undefined, { signal: timer.signal }).catch(() => {});
  await Promise.race([reached.then(() => sleep(delay)), closed, late]);
  timer.abort();
  child.kill("SIGKILL");
  await closed;
  if (!told.startsWith("ready")) throw new Error("the process to be killed did not get to work");
  return told.includes("done");
}
