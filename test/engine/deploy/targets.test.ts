import { readFileSync, writeFileSync } from "node:fs";
import { describe, expect, test, vi } from "vitest";
import { deleteFromState } from "../../../engine/src/index.ts";
import { setUp } from "./setUp.ts";
import type { TinyEntry } from "./tinyProgram.ts";
import { nameOf, spec } from "./workspace.ts";

vi.mock("node:crypto", async () => (await import("./quick.ts")).quickCrypto());
vi.mock("../../../engine/src/deploy/program/program.ts", async (original) =>
  (await import("./quick.ts")).tinyProgram(original),
);

const THING = "urn:pulumi:dev::tiny::fake:index:Thing::";

/** Three in a row (b takes from a, c leans on b) and one beside them. */
const row = (n: number): TinyEntry[] => [
  { name: "a", inputs: { n } },
  { name: "b", inputs: { n, from: { $out: "a" } } },
  { name: "c", inputs: { n }, dependsOn: ["b"] },
  { name: "d", inputs: { n } },
];

function targeted() {
  const { fake, work, run } = setUp();
  const only = (kind: "preview" | "up" | "refresh" | "destroy", options: object, ...entries: TinyEntry[]) =>
    work.run(kind, { providers: fake.providers, ...spec(...entries), ...options });
  const names = (): string[] => work.resources().map(({ urn }) => nameOf(urn));
  return { fake, work, run, only, names };
}

test("what is to be made anew and is not there is an error before anything is done, with what may have been meant", async () => {
  const { fake, work, run, only } = targeted();
  await run("up", { name: "box", component: true }, { name: "server", parent: "box", inputs: { n: 1 } });
  fake.calls.length = 0;
  const { urn } = work.resource("server");
  expect(urn).toContain("$fake:");
  const told = async (wrong: string) => {
    const done = await only("up", { replace: [wrong] }, { name: "other" });
    expect(done.result).toBe("failed");
    return done.errors.join();
  };
  expect(await told(urn.replace("$fake", ""))).toContain(`write it in single ones: '${urn}'.`);
  expect(await told(urn.replace("server", "sever"))).toContain(`Did you mean '${urn}'?`);
  expect(await told("urn:pulumi:dev::tiny::none::none")).not.toMatch(/Did you mean|shell/);
  expect(fake.calls).toEqual([]);
  await expect(deleteFromState(work.options(), [urn.replace("Thing", "Thin")])).rejects.toThrow(`mean '${urn}'?`);
});

test("a refresh of targets leaves what else an earlier run was cut off in creating", async () => {
  const { work, run, only } = targeted();
  await run("up", { name: "a" });
  const state = JSON.parse(readFileSync(work.stateFile, "utf8"));
  const resource = { ...work.resource("a"), urn: `${THING}half`, id: undefined };
  state.checkpoint.latest.pending_operations = [{ type: "creating", resource }];
  writeFileSync(work.stateFile, JSON.stringify(state));
  const forgets = async (options: object) =>
    (await only("refresh", options)).diagnostics.some(({ message }) => message.includes("The state now forgets that"));
  expect(await forgets({ targets: [`${THING}a`] })).toBe(false);
  expect(await forgets({ excludes: ["**::half"] })).toBe(false);
  expect(work.checkpoint().pending_operations).toHaveLength(1);
  expect(await forgets({})).toBe(true);
  expect(work.checkpoint().pending_operations).toBeUndefined();
});

test("what an excluded resource still uses is not deleted when it is replaced, until a run takes that resource in", async () => {
  const { fake, work, run, only } = targeted();
  const pair = (fixed: number): TinyEntry[] => [
    { name: "a", inputs: { fixed } },
    { name: "b", inputs: { from: { $out: "a" } } },
  ];
  await run("up", ...pair(1));
  fake.calls.length = 0;
  const done = await only("up", { excludes: [`${THING}b`] }, ...pair(2));
  expect(done.errors).toEqual([]);
  expect(fake.calls).toEqual(["create a"]);
  expect(work.resources().filter(({ urn }) => nameOf(urn) === "a")).toHaveLength(2);
  await run("up", ...pair(2));
  expect(fake.calls).toContain("delete a");
  expect(work.resources().filter(({ urn }) => nameOf(urn) === "a")).toHaveLength(1);
});

describe("pitfall 11: targets", () => {
  test("only the target changes; what the run is not about stays as it was, inputs and all", async () => {
    const { fake, work, run, only } = targeted();
    await run("up", ...row(1));
    const before = work.resource("d");
    fake.calls.length = 0;
    const done = await only("up", { targets: [`${THING}b`] }, ...row(2));
    expect(done.errors).toEqual([]);
    expect(fake.calls).toEqual(["update b"]);
    expect(done.steps).toEqual(["same a", "update b", "same c", "same d"]);
    expect(work.resource("b").inputs).toMatchObject({ n: 2 });
    expect(work.resource("c").inputs).toMatchObject({ n: 1 });
    expect(work.resource("d")).toEqual(before);
    expect((await run("up", ...row(2))).changes).toEqual({ same: 2, update: 3 });
  });

  test("a pattern names several, and dependents follow where they are told to", async () => {
    const { fake, run, only } = targeted();
    await run("up", ...row(1));
    fake.calls.length = 0;
    await only("up", { targets: ["**::a"], targetDependents: true }, ...row(2));
    expect(fake.calls).toEqual(["update a", "update b", "update c"]);
    fake.calls.length = 0;
    await only("up", { targets: ["urn:*:dev::tiny::**::d"] }, ...row(3));
    expect(fake.calls).toEqual(["update d"]);
  });

  test("what is new and no target is left out; the program goes on without it, and the file is sound", async () => {
    const { fake, names, only, run } = targeted();
    const done = await only("up", { targets: [`${THING}a`] }, ...row(1));
    expect(done.errors).toEqual([]);
    expect(fake.calls).toEqual(["create a"]);
    expect(done.changes).toEqual({ create: 2 });
    expect(done.outputs).toEqual({ a: { value: "a-out", secret: false } });
    expect(names()).toEqual(["tiny-dev", "default_1_0_0", "a"]);
    expect((await run("up", ...row(1))).changes).toEqual({ same: 2, create: 3 });
  });

  test("a target that needs what is left out is an error that names it; a preview shows all of them", async () => {
    const { fake, only } = targeted();
    const options = { targets: [`${THING}b`, `${THING}c`] };
    const seen = await only("preview", options, ...row(1));
    expect(seen.result).toBe("failed");
    expect(seen.errors.join()).toMatch(/::b leans on .*::a, which does not exist yet and is left out of this run/);
    expect((await only("up", options, ...row(1))).result).toBe("failed");
    expect(fake.calls).toEqual([]);
  });

  test("deletes keep to the targets; what leans on them must be named or follow", async () => {
    const { fake, names, run, only } = targeted();
    await run("up", ...row(1));
    fake.calls.length = 0;
    await only("up", { targets: [`${THING}c`] }, { name: "a", inputs: { n: 1 } });
    expect(fake.calls).toEqual(["delete c"]);
    expect(names()).toEqual(expect.arrayContaining(["a", "b", "d"]));

    const refused = await only("destroy", { targets: [`${THING}a`] });
    expect(refused.errors.join()).toMatch(/::b would have to be deleted too.*--target-dependents/);
    expect(fake.calls).toEqual(["delete c"]);
    await only("destroy", { targets: [`${THING}a`], targetDependents: true });
    expect(fake.calls.slice(1)).toEqual(["delete b", "delete a"]);
    expect(names()).toContain("d");
  });

  test("an untouched resource keeps before it what it leans on, also what the program has dropped", async () => {
    const { work, run, only, names } = targeted();
    await run("up", ...row(1));
    // b still leans on a, which the program no longer has and the run may not delete.
    const done = await only("up", { targets: [`${THING}d`] }, { name: "b", inputs: { n: 5 } }, row(2)[3] as TinyEntry);
    expect(done.errors).toEqual([]);
    expect(names().indexOf("a")).toBeLessThan(names().indexOf("b"));
    expect(work.resource("d").inputs).toEqual({ n: 2 });
    expect((await run("refresh")).result).toBe("succeeded");
  });

  test("a target that the program has dropped stays while something that is left out leans on it", async () => {
    const { fake, run, only, names } = targeted();
    await run("up", { name: "a" }, { name: "b", inputs: { from: { $out: "a" } } });
    const done = await only("up", { targets: [`${THING}a`] }, { name: "b" });
    expect(done.errors).toEqual([]);
    expect(done.diagnostics.map(({ message }) => message).join()).toMatch(/::a is not deleted: .*::b leans on it/);
    expect(names()).toEqual(expect.arrayContaining(["a", "b"]));
    await run("up", { name: "b" });
    expect(fake.calls.at(-1)).toBe("delete a");
  });

  test("a provider made anew leaves the one before to those that are left out", async () => {
    const { run, only, names } = targeted();
    const using = (n: number): TinyEntry[] => [
      { name: "mine", type: "pulumi:providers:fake", inputs: { zone: "z" } },
      { name: "a", provider: "mine", inputs: { n } },
      { name: "b", provider: "mine", inputs: { n } },
    ];
    await run("up", ...using(1));
    const options = { replace: ["**::mine"], targets: ["**::a"] };
    expect((await only("up", options, ...using(2))).errors).toEqual([]);
    expect(names().filter((name) => name === "mine")).toHaveLength(2);
    expect((await run("up", ...using(2))).errors).toEqual([]);
    expect(names().filter((name) => name === "mine")).toHaveLength(1);
  });

  test("dependences that turn round are refused, not written out of order", async () => {
    const { fake, run, only } = targeted();
    await run("up", { name: "a" }, { name: "b", dependsOn: ["a"] });
    const turned: TinyEntry[] = [{ name: "b" }, { name: "a", dependsOn: ["b"] }];
    // `b` leans on a target only in the state, and was left alone before the target was met.
    for (const targetDependents of [false, true]) {
      const refused = await only("up", { targets: [`${THING}a`], targetDependents }, ...turned);
      expect(refused.errors.join()).toMatch(/::a leans on .*::b, which still leans on it in the state/);
    }
    expect((await run("up", ...turned)).result).toBe("succeeded");
    expect(fake.world.size).toBe(2);
  });

  test("a renamed resource that is no target keeps its old name until its turn comes", async () => {
    const { work, run, only, names } = targeted();
    await run("up", { name: "part", component: true }, { name: "x", parent: "part" }, { name: "d", inputs: { n: 1 } });
    const renamed: TinyEntry[] = [
      { name: "house", component: true, options: { aliases: [{ name: "part" }] } },
      { name: "x", parent: "house" },
      { name: "d", inputs: { n: 2 } },
    ];
    expect((await only("up", { targets: [`${THING}d`] }, ...renamed)).errors).toEqual([]);
    expect(names()).toContain("part");
    expect(work.resource("d").inputs).toEqual({ n: 2 });
    await run("up", ...renamed);
    expect(names()).not.toContain("part");
  });

  test("excludes: all but these, and all that these lean on stays", async () => {
    const { fake, run, only, names } = targeted();
    await run("up", ...row(1));
    fake.calls.length = 0;
    await only("up", { excludes: [`${THING}b`] }, ...row(2));
    expect(fake.calls.sort()).toEqual(["update a", "update c", "update d"]);
    fake.calls.length = 0;
    await only("up", { excludes: [`${THING}b`], excludeDependents: true }, ...row(3));
    expect(fake.calls.sort()).toEqual(["update a", "update d"]);
    await only("destroy", { excludes: [`${THING}b`] });
    expect(names()).toEqual(["tiny-dev", "default_1_0_0", "a", "b"]);
    await expect(only("up", { targets: ["x"], excludes: ["y"] })).rejects.toThrow("cannot be combined");
  });

  test("a URN that names nothing fails the run, before anything is deleted", async () => {
    const { fake, run, only } = targeted();
    await run("up", ...row(1));
    fake.calls.length = 0;
    for (const kind of ["up", "refresh", "destroy"] as const) {
      const failed = await only(kind, { targets: [`${THING}typo`] }, { name: "a" });
      expect(failed.errors.join(), kind).toMatch(/Thing::typo: there is no such resource/);
    }
    expect(fake.calls).toEqual([]);
  });

  test("a refresh reads the targets alone", async () => {
    const { fake, names, run, only } = targeted();
    await run("up", ...row(1));
    fake.world.clear();
    await only("refresh", { targets: [`${THING}d`] });
    expect(names()).not.toContain("d");
    expect(names()).toContain("a");
  });
});

describe("replace", () => {
  test("what is named is made anew although nothing has changed", async () => {
    const { fake, run, only } = targeted();
    await run("up", ...row(1));
    fake.calls.length = 0;
    const done = await only("up", { replace: [`${THING}d`] }, ...row(1));
    expect(fake.calls).toEqual(["create d", "delete d"]);
    expect(done.changes).toEqual({ same: 4, replace: 1 });
  });

  test("a protected one is not; the option deleteBeforeReplace holds", async () => {
    const { fake, run, only } = targeted();
    const thing = (protect: boolean): TinyEntry => ({ name: "a", options: { protect, deleteBeforeReplace: true } });
    await run("up", thing(true));
    fake.calls.length = 0;
    expect((await only("up", { replace: [`${THING}a`] }, thing(true))).errors.join()).toMatch(
      /is protected, and --replace would replace it.*don't name it/,
    );
    expect(fake.calls).toEqual([]);
    await only("up", { replace: [`${THING}a`] }, thing(false));
    expect(fake.calls).toEqual(["delete a", "create a"]);
  });

  test("with targets: a dependent that must be replaced along has to be one too", async () => {
    const { fake, run, only } = targeted();
    fake.diff = async ({ oldInputs, news }) =>
      typeof news.from !== "string" && oldInputs.from !== undefined
        ? { changes: "some", replaceKeys: ["from"], deleteBeforeReplace: true }
        : {};
    const pair: TinyEntry[] = [
      { name: "a", options: { deleteBeforeReplace: true } },
      { name: "b", inputs: { from: { $out: "a" } } },
    ];
    await run("up", ...pair);
    fake.calls.length = 0;
    const options = { targets: [`${THING}a`], replace: [`${THING}a`] };
    const refused = await only("up", options, ...pair);
    expect(refused.errors.join()).toMatch(/::b must be replaced together with .*::a/);
    expect(fake.calls).toEqual([]);
    await only("up", { ...options, targetDependents: true }, ...pair);
    expect(fake.calls).toEqual(["delete b", "delete a", "create a", "create b"]);
  });
});

describe("a refresh before an update", () => {
  test("what was removed by hand is made again by one up, and shown by a preview that changes nothing", async () => {
    const { fake, work, run, only } = targeted();
    await run("up", ...row(1));
    expect((await run("up", ...row(1))).changes).toEqual({ same: 5 });
    fake.world.delete("d-4");
    fake.calls.length = 0;
    const id = work.resource("d").id;
    const seen = await only("preview", { refresh: true }, ...row(1));
    expect(seen.steps.filter((step) => step.endsWith(" d"))).toEqual(["refresh d", "create d"]);
    expect(work.resource("d").id).toBe(id);
    const done = await only("up", { refresh: true }, ...row(1));
    expect(done.errors).toEqual([]);
    expect(fake.calls).toEqual(["create d"]);
    expect(work.resource("d").id).not.toBe(id);
  });

  test("a read that fails ends it: the program's wishes are not held against a state that is not known", async () => {
    const { fake, run, only } = targeted();
    await run("up", ...row(1));
    fake.read = async () => {
      throw new Error("unreachable");
    };
    fake.calls.length = 0;
    const failed = await only("up", { refresh: true }, ...row(2));
    expect(failed.result).toBe("failed");
    expect(fake.calls).toEqual([]);
  });
});
