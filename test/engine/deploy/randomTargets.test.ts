import { readFileSync } from "node:fs";
import { expect, test, vi } from "vitest";
import { decodeCheckpoint } from "../../../engine/src/checkpoint.ts";
import { integrityFaults } from "../../../engine/src/integrity.ts";
import type { EngineOptions } from "../../../engine/src/options.ts";
import { PassphraseSecrets } from "../../../engine/src/secrets.ts";
import { fc } from "../../helpers/random.ts";
import type { FakeProvider } from "./fakeProvider.ts";
import { setUp } from "./setUp.ts";
import type { TinyEntry } from "./tinyProgram.ts";
import { spec } from "./workspace.ts";

vi.mock("node:crypto", async () => (await import("./quick.ts")).quickCrypto());
vi.mock("../../../engine/src/deploy/program/program.ts", async (original) =>
  (await import("./quick.ts")).tinyProgram(original),
);

/** How many stories are told; TARGET_STORIES tells another number of them. */
const STORIES = Number(process.env.TARGET_STORIES ?? 20);

interface Shape {
  component: boolean;
  parent: number;
  leans: number[];
  n: number;
  fixed: number;
  deleteFirst: boolean;
  dropped: boolean;
}

const shape: fc.Arbitrary<Shape> = fc.record({
  component: fc.boolean(),
  parent: fc.nat(7),
  leans: fc.array(fc.nat(7), { maxLength: 2 }),
  n: fc.nat(1),
  fixed: fc.nat(1),
  deleteFirst: fc.boolean(),
  dropped: fc.boolean(),
});

/** A program of the shapes; what leans on nothing that is there leans on nothing. */
function program(shapes: Shape[], order: number[]): TinyEntry[] {
  const entries: TinyEntry[] = [];
  const components = new Set<string>();
  for (const at of order) {
    const one = shapes[at] as Shape;
    if (one.dropped) continue;
    const earlier = (index: number): string | undefined => {
      const entry = entries[index % Math.max(1, entries.length)];
      return entry?.name;
    };
    const parent = earlier(one.parent);
    const leans = one.component ? [] : one.leans.map(earlier).filter((name) => name !== undefined);
    const [from, ...dependsOn] = [...new Set(leans)].filter((name) => !components.has(name));
    entries.push({
      name: `r${at}`,
      component: one.component,
      ...(parent && components.has(parent) && one.parent % 2 === 0 ? { parent } : {}),
      inputs: one.component ? { n: one.n } : { n: one.n, fixed: one.fixed, ...(from && { from: { $out: from } }) },
      dependsOn,
      ...(one.component ? {} : { options: { deleteBeforeReplace: one.deleteFirst } }),
    });
    if (one.component) components.add(`r${at}`);
  }
  return entries;
}

/** Nothing can be done to the resource of that name. */
function failAt(fake: FakeProvider, broken: string): void {
  const must = (name: string): void => {
    if (name === broken) throw new Error("broken");
  };
  fake.create = async ({ name, inputs }) => {
    must(name);
    return fake.make(name, inputs);
  };
  fake.update = async ({ name, id, news }) => {
    must(name);
    fake.world.set(id, news);
    return { outputs: { ...news, out: `${name}-out` } };
  };
  fake.delete = async ({ name }) => must(name);
}

const indices = fc.shuffledSubarray([0, 1, 2, 3, 4, 5, 6], { minLength: 7 });
const story = fc.record({
  before: fc.array(shape, { minLength: 7, maxLength: 7 }),
  after: fc.array(shape, { minLength: 7, maxLength: 7 }),
  order: indices,
  targets: fc.array(fc.nat(6), { minLength: 1, maxLength: 3 }),
  how: fc.constantFrom("targets", "excludes", "replace", "both"),
  dependents: fc.boolean(),
  refresh: fc.boolean(),
  gone: fc.option(fc.nat(6), { nil: undefined }),
  fails: fc.option(fc.nat(6), { nil: undefined }),
});

test(`${STORIES} random stories of runs about a part: the state is sound after each, and a whole run mends all`, async () => {
  let refused = 0;
  await fc.assert(
    fc.asyncProperty(story, async ({ before, after, order, targets, how, dependents, refresh, gone, fails }) => {
      const { fake, work } = setUp();
      const secrets = (salt: string) => PassphraseSecrets.open("correct-horse", salt);
      const run = async (
        kind: "preview" | "up" | "refresh" | "destroy",
        entries: TinyEntry[],
        options: Partial<EngineOptions> = {},
      ) => {
        const done = await work.run(kind, { providers: fake.providers, ...spec(...entries), ...options });
        const { snapshot } = await decodeCheckpoint(readFileSync(work.stateFile, "utf8"), ({ salt }) => secrets(salt));
        expect(integrityFaults(snapshot), kind).toEqual([]);
        const ids = snapshot.resources
          .filter(({ type, pendingReplacement }) => type.startsWith("fake:") && !pendingReplacement)
          .map(({ id }) => id);
        if (gone === undefined) expect([...fake.world.keys()].sort(), kind).toEqual(ids.sort());
        return done;
      };
      const first = program(before, [0, 1, 2, 3, 4, 5, 6]);
      expect((await run("up", first)).errors).toEqual([]);
      if (gone !== undefined) fake.world.delete([...fake.world.keys()][gone] ?? "");
      const second = program(after, order);
      const patterns = targets.map((at) => `**::r${at}`);
      const options: Partial<EngineOptions> = {
        refresh,
        targetDependents: dependents,
        excludeDependents: dependents,
        ...(how === "targets" || how === "both" ? { targets: patterns } : {}),
        ...(how === "excludes" ? { excludes: patterns } : {}),
        ...(how === "replace" || how === "both" ? { replace: patterns.slice(0, 1) } : {}),
      };
      const planned = await run("preview", second, options);
      if (fails !== undefined) failAt(fake, `r${fails}`);
      const done = await run("up", second, options);
      Object.assign(fake, { create: undefined, update: undefined, delete: undefined });
      if (!done.errors.includes("broken")) expect(done.result, done.errors.join()).toBe(planned.result);
      if (done.result === "failed") {
        refused++;
        expect(done.errors.join()).toMatch(/left out of this run|not among the targets|broken/);
      }
      await run("destroy", [], {
        targets: patterns.slice(1),
        targetDependents: dependents,
        ...(patterns.length < 2 && { targets: ["**::none"] }),
      });
      if (gone !== undefined) await run("refresh", []);
      const whole = await run("up", second);
      expect(whole.errors).toEqual([]);
      const again = await run("preview", second);
      expect(Object.keys(again.changes)).toEqual(["same"]);
      expect((await run("destroy", [])).errors).toEqual([]);
      expect(fake.world.size).toBe(0);
    }),
    { numRuns: STORIES, endOnFailure: false },
  );
  expect(refused).toBeLessThan(STORIES);
});
