import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test, vi } from "vitest";
import { setUp } from "./setUp.ts";
import type { TinyEntry } from "./tinyProgram.ts";
import { nameOf } from "./workspace.ts";

vi.mock("node:crypto", async () => (await import("./quick.ts")).quickCrypto());
vi.mock("../../../engine/src/deploy/program/program.ts", async (original) =>
  (await import("./quick.ts")).tinyProgram(original),
);

const FAKE = "fake:index:Thing";

type Aliases = NonNullable<TinyEntry["options"]>["aliases"];

describe("pitfall 12: aliases in every form", () => {
  const part = { name: "part", component: true };
  const house = { name: "house", component: true };
  const a: TinyEntry = { name: "a" };
  const inPart: TinyEntry = { name: "a", parent: "part" };
  /** What there was, and under which alias the program has it now. */
  const forms: [string, TinyEntry[], TinyEntry[]][] = [
    ["a URN", [a], [{ name: "b", options: { aliases: [`urn:pulumi:dev::tiny::${FAKE}::a`] } }]],
    ["another name", [a], [{ name: "b", options: { aliases: [{ name: "a" }] } }]],
    ["another type", [a], [{ name: "a", type: "fake:other:Thing", options: { aliases: [{ type: FAKE }] } }]],
    [
      "another parent",
      [part, inPart],
      [part, house, { ...a, parent: "house", options: { aliases: [{ parent: "part" }] } }],
    ],
    ["no parent", [a], [part, { ...inPart, options: { aliases: [{ parent: null }] } }]],
    [
      "a parent that is there no more",
      [part, inPart],
      [{ ...a, options: { aliases: [{ parent: "urn:pulumi:dev::tiny::test:index:Part::part" }] } }],
    ],
    [
      "name and parent at once",
      [part, inPart],
      [part, { name: "b", options: { aliases: [{ name: "a", parent: "part" }] } }],
    ],
    [
      "name, type and no parent at once",
      [a],
      [
        part,
        {
          name: "b",
          type: "fake:other:Thing",
          parent: "part",
          options: { aliases: [{ name: "a", type: FAKE, parent: null }] },
        },
      ],
    ],
    [
      "several, of which one fits",
      [a],
      [{ name: "c", options: { aliases: [{ name: "b" }, { name: "a" }, { type: "fake:no:Thing" }] } }],
    ],
  ];
  test.each(forms)("%s", async (_form, before, after) => {
    const { fake, work, run } = setUp();
    await run("up", ...before);
    const done = await run("up", ...after);
    expect(done.errors).toEqual([]);
    expect(fake.calls).toEqual(["create a"]);
    const last = after.at(-1) as TinyEntry;
    expect(work.resource(last.name)).toMatchObject({ id: "a-1", type: last.type ?? FAKE });
    // The next run knows it under its own name.
    expect((await run("up", ...after.map((entry) => ({ ...entry, options: {} })))).changes.same).toBe(after.length + 1);
    expect(fake.calls).toEqual(["create a"]);
  });

  test("another stack's and another project's name: what was imported from there is the same resource", async () => {
    const { importStack, exportStack } = await import("../../../engine/src/index.ts");
    const { fake, work, run } = setUp();
    await run("up", { name: "a" });
    const moved = JSON.stringify(await exportStack(work.options())).replaceAll(
      `urn:pulumi:dev::tiny::${FAKE}`,
      `urn:pulumi:old::former::${FAKE}`,
    );
    await importStack(work.options(), moved, { force: true });
    const aliases: Aliases = [{ stack: "old", project: "former" }];
    expect((await run("up", { name: "a", options: { aliases } })).errors).toEqual([]);
    expect(fake.calls).toEqual(["create a"]);
    expect(work.resource("a").urn).toContain("dev::tiny::");
  });

  test("a component's former name and type reach its children, their own aliases and grandchildren", async () => {
    const { fake, work, run } = setUp();
    await run(
      "up",
      { name: "app", component: true },
      { name: "app-part", component: true, parent: "app" },
      { name: "app-part-a", parent: "app-part" },
      { name: "old", parent: "app" },
    );
    fake.calls.length = 0;
    const done = await run(
      "up",
      {
        name: "web",
        component: true,
        type: "test:index:Web",
        options: { aliases: [{ name: "app", type: "test:index:Part" }] },
      },
      { name: "web-part", component: true, parent: "web" },
      { name: "web-part-a", parent: "web-part" },
      { name: "new", parent: "web", options: { aliases: [{ name: "old" }] } },
    );
    expect(done.errors).toEqual([]);
    expect(fake.calls).toEqual([]);
    expect(done.changes).toEqual({ same: 5 });
    const urns = work.resources().map(({ urn, parent }) => `${urn} ${String(parent)}`);
    expect(urns.join()).not.toMatch(/::app|::old|index:Part::app/);
  });

  test("one that is no URN is refused, and what it may have meant stays", async () => {
    const { fake, run } = setUp();
    await run("up", { name: "old" });
    for (const alias of ["old", "", "urn:pulumi:dev::tiny::old", { parent: "urn:part" }]) {
      for (const kind of ["preview", "up"] as const) {
        const failed = await run(kind, { name: "new", options: { aliases: [alias] } });
        expect(failed.result).toBe("failed");
        expect(failed.errors.join()).toMatch(
          /An alias of fake:index:Thing "new".* is no URN: a URN reads urn:pulumi:<stack>/,
        );
      }
    }
    expect(fake.calls).toEqual(["create old"]);
  });

  test("a resource and another's alias of the same name can't both be", async () => {
    const { fake, run } = setUp();
    await run("up", { name: "a" });
    for (const order of [
      [0, 1],
      [1, 0],
    ]) {
      const both: TinyEntry[] = [{ name: "a" }, { name: "b", options: { aliases: [{ name: "a" }] } }];
      const failed = await run("up", ...order.map((at) => both[at] as TinyEntry));
      expect(failed.result).toBe("failed");
      expect(failed.errors.join()).toMatch(/Only one can have it|is an alias of/);
    }
    expect(fake.world.size).toBe(1);
  });
});

describe("ignoreChanges and replaceOnChanges take paths", () => {
  test("ignored: a member, an element, every element; what was removed comes back", async () => {
    const { work, run } = setUp();
    const thing = (inputs: object, ignoreChanges: string[]): TinyEntry => ({
      name: "a",
      inputs: inputs as Record<string, unknown>,
      options: { ignoreChanges },
    });
    const paths = ["map.x", "list[0]", 'tags["a.b"]', "all[*].n"];
    const before = { map: { x: 1, y: 1 }, list: [1, 1], tags: { "a.b": 1 }, all: [{ n: 1 }, { n: 1 }] };
    await run("up", thing(before, paths));
    const after = { map: { y: 1 }, list: [2, 1], tags: { "a.b": 2 }, all: [{ n: 2 }, { n: 3 }] };
    expect((await run("preview", thing(after, paths))).changes).toEqual({ same: 2 });
    await run("up", thing({ ...after, map: { x: 9, y: 2 } }, paths));
    expect(work.resource("a").inputs).toMatchObject({ map: { x: 1, y: 2 }, list: [1, 1] });
    expect((await run("preview", thing(after, ["*"]))).changes).toEqual({ same: 2 });
  });

  test("replaced on: only what changes under the paths; dependents see it coming", async () => {
    const { fake, run } = setUp();
    const thing = (m: number, n: number): TinyEntry => ({
      name: "a",
      inputs: { map: { m }, list: [{ n }] },
      options: { replaceOnChanges: ["map", "list[*].n"], deleteBeforeReplace: true },
    });
    const user: TinyEntry = { name: "b", inputs: { from: { $out: "a" } }, options: { replaceOnChanges: ["from"] } };
    await run("up", thing(1, 1), user);
    expect((await run("preview", thing(2, 1), user)).changes).toEqual({ same: 1, replace: 2 });
    fake.calls.length = 0;
    await run("up", thing(1, 2), user);
    expect(fake.calls).toEqual(["delete b", "delete a", "create a", "create b"]);
  });

  test("a component is never replaced for them, and what lives as long as it stays", async () => {
    const { fake, run } = setUp();
    const part = (n: number): TinyEntry[] => [
      { name: "part", component: true, inputs: { n }, options: { replaceOnChanges: ["*"] } },
      { name: "a", deletedWith: "part" },
    ];
    await run("up", ...part(1));
    expect((await run("up", ...part(2))).changes).toEqual({ same: 2, update: 1 });
    expect(fake.calls).toEqual(["create a"]);
  });
});

describe("deletedWith and retainOnDelete", () => {
  test("what goes along with its own provider, or with what goes along with that, leaves the state with it", async () => {
    const { fake, work, run } = setUp();
    const entries: TinyEntry[] = [
      { name: "prov", type: "pulumi:providers:fake" },
      { name: "other", type: "pulumi:providers:fake" },
      { name: "a", provider: "prov", deletedWith: "prov" },
      { name: "b", provider: "other", deletedWith: "prov" },
      { name: "c", provider: "prov", deletedWith: "b" },
    ];
    await run("up", ...entries);
    fake.calls.length = 0;
    expect((await run("up")).errors).toEqual([]);
    expect(work.resources().map(({ urn }) => nameOf(urn))).toEqual(["tiny-dev"]);
    await run("up", ...entries);
    expect((await run("destroy")).errors).toEqual([]);
    expect(work.resources()).toEqual([]);
    expect(fake.calls).toEqual(["create a", "create b", "create c"]);
  });

  test("what is deleted with a replaced one is replaced too, and only the first is deleted", async () => {
    const { fake, run } = setUp();
    const pair = (fixed: number): TinyEntry[] => [
      { name: "a", inputs: { fixed }, options: { deleteBeforeReplace: true } },
      { name: "b", deletedWith: "a" },
    ];
    await run("up", ...pair(1));
    fake.calls.length = 0;
    const done = await run("up", ...pair(2));
    expect(done.changes).toEqual({ same: 1, replace: 2 });
    expect(fake.calls).toEqual(["delete a", "create a", "create b"]);
  });

  test("a retained one leaves the state alone, when it is replaced too", async () => {
    const { fake, work, run } = setUp();
    const thing = (fixed: number): TinyEntry => ({ name: "a", inputs: { fixed }, options: { retainOnDelete: true } });
    await run("up", thing(1));
    await run("up", thing(2));
    await run("up");
    expect(fake.calls).toEqual(["create a", "create a"]);
    expect(fake.world.size).toBe(2);
    expect(work.resources().map(({ urn }) => nameOf(urn))).toEqual(["tiny-dev"]);
  });
});

describe("custom time-outs", () => {
  test("stand in the state in seconds, reach the provider, and end a call that doesn't keep them", async () => {
    const { fake, work, run } = setUp();
    const seconds: number[] = [];
    fake.create = async ({ name, inputs, timeout }) => {
      seconds.push(timeout);
      return fake.make(name, inputs);
    };
    fake.delete = async ({ timeout }) => {
      seconds.push(timeout);
    };
    const customTimeouts = { create: "1h30m", update: "2m", delete: "500ms", read: "90s" };
    await run("up", { name: "a", options: { customTimeouts } });
    expect(work.resource("a").customTimeouts).toEqual({ create: 5400, update: 120, delete: 0.5, read: 90 });
    await run("destroy");
    expect(seconds).toEqual([5400, 0.5]);
  });

  test("are durations as Go reads them; what is none is told with its resource, all at once", async () => {
    const { fake, work, run } = setUp();
    const written = { create: ".5s", update: "+3m", delete: "0", read: "1.5h" };
    await run("up", { name: "a", options: { customTimeouts: written } });
    expect(work.resource("a").customTimeouts).toEqual({ create: 0.5, update: 180, read: 5400 });
    const wrong = { create: "soon", update: "-5s", delete: "2d", read: "1m" };
    const failed = await run("up", { name: "b", options: { customTimeouts: wrong } });
    expect(failed.errors).toEqual([
      'The option "customTimeouts" of fake:index:Thing "b": create "soon", update "-5s", delete "2d" is no duration. Write it as 90s, 10m or 1h30m.',
    ]);
    expect(fake.calls).toEqual(["create a"]);
  });

  test("the signal of a call is aborted a little after its time", async () => {
    const { fake, run } = setUp();
    const real = AbortSignal.timeout.bind(AbortSignal);
    const spied = vi.spyOn(AbortSignal, "timeout").mockImplementation(() => real(20));
    fake.create = ({ signal }) =>
      new Promise((_, reject) => {
        signal.addEventListener("abort", () => reject(new Error("too late")));
        void sleep(5000, undefined, { ref: false }).then(() => reject(new Error("was not told")));
      });
    const failed = await run("up", { name: "a", options: { customTimeouts: { create: "2s" } } });
    expect(failed.errors).toEqual(["too late"]);
    expect(spied.mock.calls).toContainEqual([7000]);
    spied.mockRestore();
  });
});

test("refreshBeforeUpdate, which only states of version 4 have, is refused by name", async () => {
  const { work, run } = setUp();
  await run("up", { name: "a" });
  const { importStack } = await import("../../../engine/src/index.ts");
  const text = JSON.stringify({ version: 4, features: ["refreshBeforeUpdate"], deployment: work.checkpoint() });
  await expect(importStack(work.options(), text)).rejects.toThrow(
    /refreshBeforeUpdate.*does not cover.*--engine pulumi/,
  );
});

describe("options that change nothing about the resource itself", () => {
  test("differences that are not to be shown: in the state and in the events", async () => {
    const { fake, work, run } = setUp();
    const thing: TinyEntry = { name: "a", inputs: { o: { p: 1 }, l: [1] }, options: { hideDiffs: ['o["p"]', "l[0]"] } };
    await run("up", thing);
    expect(work.resource("a").hideDiff).toEqual(["o.p", "l[0]"]);
    const changed = await run("preview", { ...thing, inputs: { o: { p: 2 }, l: [1] } });
    const shown = changed.events.find(({ resourcePreEvent }) => resourcePreEvent?.metadata.op === "update");
    expect(shown?.resourcePreEvent?.metadata.new?.hideDiffs).toEqual(["o.p", "l[0]"]);
    const kinds = await run("preview", {
      ...thing,
      inputs: { o: { q: 1 }, l: [2, 1] },
      options: { replaceOnChanges: ["l[1]"] },
    });
    const replaced = kinds.events.find(({ resourcePreEvent }) => resourcePreEvent?.metadata.op === "replace");
    expect(replaced?.resourcePreEvent?.metadata.detailedDiff).toEqual({
      "l[0]": { diffKind: "update", inputDiff: true },
      "l[1]": { diffKind: "add-replace", inputDiff: true },
      "o.p": { diffKind: "delete", inputDiff: true },
      "o.q": { diffKind: "add", inputDiff: true },
    });
    expect(fake.calls).toEqual(["create a"]);
  });

  test.each(["hideDiffs", "replaceOnChanges"])(
    "%s that are no paths are told, all at once, before anything is made",
    async (option) => {
      const { fake, run } = setUp();
      const wrong = await run("up", { name: "a", options: { [option]: ["o..p", "n", "l["] } });
      expect(wrong.errors).toHaveLength(1);
      expect(wrong.errors[0]).toContain(`The option "${option}" of fake:index:Thing "a": `);
      for (const path of ["o..p", "l["]) expect(wrong.errors[0]).toContain(`"${path}" is not a property path`);
      expect(fake.calls).toEqual([]);
    },
  );

  test.each([
    ["additionalSecretOutputs", ["nothing"]],
    ["ignoreChanges", ["n"]],
    ["replaceOnChanges", ["n"]],
    ["hideDiffs", ["n"]],
  ])("%s, alone in being new or gone, is saved", async (option, value) => {
    const { fake, work, run } = setUp();
    const field = option === "hideDiffs" ? "hideDiff" : option;
    await run("up", { name: "a", inputs: { n: 1 } });
    await run("up", { name: "a", inputs: { n: 1 }, options: { [option]: value } });
    expect(work.resource("a")[field]).toEqual(value);
    await run("up", { name: "a", inputs: { n: 1 } });
    expect(work.resource("a")[field]).toBeUndefined();
    expect(fake.calls).toEqual(["create a"]);
  });

  test("which input takes something from which resource, alone in being new, is saved", async () => {
    const { work, run } = setUp();
    const on = (inputs: object) => run("up", { name: "a" }, { name: "b", inputs });
    await on({ x: { $out: "a" }, y: "a-out" });
    expect(work.resource("b").propertyDependencies).toMatchObject({ x: [work.resource("a").urn] });
    await on({ x: "a-out", y: { $out: "a" } });
    expect(work.resource("b").propertyDependencies).toMatchObject({ y: [work.resource("a").urn] });
  });

  test("variables of a provider's process are refused by name: there is no such process", async () => {
    const { run } = setUp();
    const refused = await run("up", {
      name: "p",
      type: "pulumi:providers:fake",
      options: { envVarMappings: { MINE: "THEIRS" } },
    });
    expect(refused.errors.join()).toMatch(/"envVarMappings" of pulumi:providers:fake "p".*--engine pulumi/);
  });
});
