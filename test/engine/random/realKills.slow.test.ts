import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Workspace } from "../deploy/workspace.ts";
import { PROJECT, planted } from "./model.ts";
import { randomness } from "./randomStories.ts";
import { realEntry, realRegistrations } from "./realProgram.ts";
import { faultsOf, operationsOf, type SavedState } from "./saved.ts";

const ENGINE = pathToFileURL(join(import.meta.dirname, "..", "..", "..", "engine", "src", "index.ts")).href;
/** About what an update of such a program takes. */
const UPDATE_MS = 2500;

const killed = fc.record({
  entries: fc.array(
    realEntry.map((one) => ({ ...one, retain: undefined, inside: undefined })),
    { minLength: 4, maxLength: 10 },
  ),
  after: fc.noBias(fc.integer({ min: UPDATE_MS / 5, max: UPDATE_MS })),
});

/** How many of each command there are, by its log. */
function counted(log: string): Map<number, number> {
  const counts = new Map<number, number>();
  for (const line of existsSync(log) ? readFileSync(log, "utf8").split("\n").filter(Boolean) : []) {
    const uid = Number(line.slice(2));
    counts.set(uid, (counts.get(uid) ?? 0) + (line.startsWith("+") ? 1 : -1));
  }
  return counts;
}

describe("slow", () => {
  test("a real program's update killed with -9 at any moment", { timeout: 3_600_000 }, async () => {
    const { seed, runs, path } = randomness(0.005, 4);
    console.log(`${runs} real kills, seed ${seed}`);
    const property = fc.asyncProperty(killed, async ({ entries, after }) => {
      const work = new Workspace("random.ts", PROJECT);
      const log = join(work.dir, "log");
      const registrations = realRegistrations(planted(entries));
      const config = { program: JSON.stringify({ registrations }), log };
      const { onEvent: _, passphrase: __, ...options } = work.options({ config });
      const runner = join(import.meta.dirname, "..", "programs", "engine.mjs");
      const child = spawn(process.execPath, [runner, JSON.stringify({ kind: "up", options }), ENGINE], {
        stdio: "ignore",
      });
      const closed = once(child, "close");
      await Promise.race([sleep(after), closed]);
      child.kill("SIGKILL");
      await closed;
      // A command that was under way may still write its line.
      await sleep(200);

      const left = existsSync(work.stateFile) ? (work.checkpoint() as unknown as SavedState) : undefined;
      expect(left === undefined ? [] : faultsOf(left)).toEqual([]);
      const names = operationsOf(left).map(({ resource }) => resource.urn);
      const doubtful = new Set(
        registrations.filter(({ name }) => names.some((urn) => urn.endsWith(`::${name}`))).map(({ uid }) => uid),
      );
      expect((await work.run("up", { config })).errors).toEqual([]);
      const commands = registrations.filter(({ type }) => type === "fake:index:Thing").map(({ uid }) => uid);
      const there = counted(log);
      for (const uid of commands) expect([1, doubtful.has(uid) ? 2 : 1]).toContain(there.get(uid));
      expect(there.size).toBe(commands.length);
      expect((await work.run("preview", { config })).changes).toEqual({ same: registrations.length + 1 });
      expect((await work.run("destroy", { config })).errors).toEqual([]);
      for (const [uid, count] of counted(log)) expect([0, doubtful.has(uid) ? 1 : 0]).toContain(count);
      expect(work.resources()).toEqual([]);
    });
    await fc.assert(property, { seed, numRuns: runs, path, endOnFailure: true });
  });
});
