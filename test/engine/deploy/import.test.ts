import { describe, expect, test, vi } from "vitest";
import { importResources, stackHistory } from "../../../engine/src/index.ts";
import { setUp } from "./setUp.ts";
import type { TinyEntry } from "./tinyProgram.ts";
import { nameOf } from "./workspace.ts";

vi.mock("node:crypto", async () => (await import("./quick.ts")).quickCrypto());
vi.mock("../../../engine/src/deploy/program/program.ts", async (original) =>
  (await import("./quick.ts")).tinyProgram(original),
);

const TYPE = "fake:index:Thing";
const THING = `urn:pulumi:dev::tiny::${TYPE}::`;

describe("the option import", () => {
  test("what is there is taken over and not made; a preview shows it and takes nothing", async () => {
    const { fake, work, run } = setUp();
    fake.world.set("outside", { n: 1 });
    const thing: TinyEntry = { name: "a", inputs: { n: 1 }, options: { import: "outside" } };
    const seen = await run("preview", thing);
    expect(seen.errors).toEqual([]);
    expect(seen.steps).toEqual(["import a"]);
    const done = await run("up", thing);
    expect(done.changes).toEqual({ create: 1, import: 1 });
    expect(done.outputs.a?.value).toBe("a-out");
    expect(work.resource("a")).toMatchObject({ id: "outside", importID: "outside", inputs: { n: 1 } });
    expect(fake.calls).toEqual([]);
    expect((await run("up", thing)).changes).toEqual({ same: 2 });
    expect((await run("up", { ...thing, options: {} })).changes).toEqual({ same: 2 });
    await run("up");
    expect(fake.calls).toEqual(["delete a"]);
  });

  test("what the program wants of it differently is changed in place, but never by a replacement", async () => {
    const { fake, work, run } = setUp();
    fake.world.set("outside", { n: 1, fixed: 1 });
    const thing = (n: number, fixed: number): TinyEntry => ({
      name: "a",
      inputs: { n, fixed },
      options: { import: "outside" },
    });
    const refused = await run("up", thing(1, 2));
    expect(refused.errors.join()).toMatch(/differs from the program in fixed.*importing it would replace it/);
    expect(fake.calls).toEqual([]);
    // Left in the state, the next update would take it for one of ours, and replace it.
    expect(work.resources().filter(({ urn }) => nameOf(urn) === "a")).toEqual([]);
    expect(work.checkpoint().pending_operations).toBeUndefined();
    expect((await run("up", thing(1, 2))).errors.join()).toMatch(/importing it would replace it/);
    expect(fake.world.get("outside")).toEqual({ n: 1, fixed: 1 });
    const done = await run("up", thing(2, 1));
    expect(done.errors).toEqual([]);
    expect(fake.calls).toEqual(["update a"]);
    expect(fake.world.get("outside")).toEqual({ n: 2, fixed: 1 });
    expect(work.resources().filter(({ urn }) => nameOf(urn) === "a")).toHaveLength(1);
  });

  test("another one in place of one that was made: the one before is deleted", async () => {
    const { fake, work, run } = setUp();
    await run("up", { name: "a", inputs: { n: 1 } });
    fake.world.set("outside", { n: 1 });
    fake.calls.length = 0;
    const done = await run("up", { name: "a", inputs: { n: 1 }, options: { import: "outside" } });
    expect(done.errors).toEqual([]);
    expect(done.steps).toEqual(["import-replacement a", "replace a", "delete-replaced a"]);
    expect(fake.calls).toEqual(["delete a"]);
    expect(work.resource("a").id).toBe("outside");
    expect([...fake.world.keys()]).toEqual(["outside"]);
  });

  test("another one that differs is refused, and the one before stays", async () => {
    const { fake, work, run } = setUp();
    await run("up", { name: "a", inputs: { n: 1, fixed: 1 } });
    const { id } = work.resource("a");
    fake.world.set("outside", { n: 1, fixed: 2 });
    fake.calls.length = 0;
    const refused = await run("up", { name: "a", inputs: { n: 1, fixed: 1 }, options: { import: "outside" } });
    expect(refused.errors.join()).toMatch(/importing it would replace it/);
    expect(fake.calls).toEqual([]);
    expect(work.resource("a").id).toBe(id);
    expect((await run("up", { name: "a", inputs: { n: 1, fixed: 1 } })).changes).toEqual({ same: 2 });
  });

  test("an id that names nothing, and a provider that can't read, are told; nothing is made", async () => {
    const { fake, work, run } = setUp();
    const thing: TinyEntry = { name: "a", options: { import: "outside" } };
    expect((await run("up", thing)).errors.join()).toContain(`no ${TYPE} with the id "outside"`);
    fake.read = async ({ id, inputs, outputs }) => ({ id, inputs, outputs });
    expect((await run("up", thing)).errors.join()).toContain("its provider can't read");
    expect(fake.calls).toEqual([]);
    expect(work.checkpoint().pending_operations).toBeUndefined();
  });
});

describe("the command import", () => {
  test("reads into a stack that is new: protected, and the program that describes it finds nothing to do", async () => {
    const { fake, work, run } = setUp();
    fake.world.set("outside", { n: 1 });
    const options = work.options({ providers: fake.providers });
    const one = { type: TYPE, name: "a", id: "outside", version: "1.0.0" };
    const seen = await importResources({ ...options, preview: true }, [one]);
    expect(seen.changes).toEqual({ create: 1, import: 1 });
    expect((await importResources(options, [one])).result).toBe("succeeded");
    expect(work.resource("a")).toMatchObject({ id: "outside", protect: true, inputs: { n: 1 } });
    expect(work.resource("a").importID).toBeUndefined();
    expect((await run("preview", { name: "a", inputs: { n: 1 }, options: { protect: true } })).changes).toEqual({
      same: 2,
    });
    expect((await stackHistory(options))[0]?.kind).toBe("resource-import");
  });

  test("under a parent, by the provider that is there, beside what is there", async () => {
    const { fake, work, run } = setUp();
    const part: TinyEntry[] = [{ name: "part", component: true }, { name: "b" }];
    await run("up", ...part);
    fake.world.set("outside", { n: 1 });
    const parent = work.resource("part").urn;
    const options = work.options({ providers: fake.providers });
    const done = await importResources(options, [{ type: TYPE, name: "a", id: "outside", parent, protect: false }]);
    expect(done.diagnostics).toEqual([]);
    expect(work.resource("a")).toMatchObject({ parent, provider: work.resource("b").provider });
    const described: TinyEntry[] = [...part, { name: "a", parent: "part", inputs: { n: 1 } }];
    expect((await run("preview", ...described)).changes).toEqual({ same: 4 });
  });

  test("goes on where a run before has failed: what that has imported is left alone, and a name given twice is refused", async () => {
    const { fake, work } = setUp();
    const options = work.options({ providers: fake.providers });
    const all = ["a", "b"].map((name) => ({ type: TYPE, name, id: `${name}-outside`, version: "1.0.0" }));
    fake.world.set("a-outside", { n: 1 });
    const failed = await importResources(options, all);
    expect(failed.diagnostics.map(({ message }) => message).join()).toContain(
      'no fake:index:Thing with the id "b-outside"',
    );
    fake.world.set("b-outside", { n: 2 });
    const done = await importResources(options, all);
    expect(done.diagnostics).toEqual([]);
    expect(done.changes).toEqual({ import: 1 });
    expect(["a", "b"].map((name) => work.resource(name).inputs)).toEqual([{ n: 1 }, { n: 2 }]);
    const twice = await importResources(
      options,
      [1, 2].map((id) => ({ type: TYPE, name: "c", id: `${id}` })),
    );
    expect(twice.diagnostics.map(({ message }) => message).join()).toContain("::c is to be imported twice");
  });

  test("names that are taken, parents and providers that are not there are refused before anything is read", async () => {
    const { fake, work, run } = setUp();
    await run("up", { name: "a" });
    const options = work.options({ providers: fake.providers });
    const fails = async (one: object): Promise<string> => {
      const { diagnostics } = await importResources(options, [{ type: TYPE, name: "x", id: "y", ...one }]);
      return diagnostics.map(({ message }) => message).join();
    };
    expect(await fails({ name: "a" })).toContain(`${THING}a is in the state already, with the id "a-1"`);
    expect(await fails({ parent: `${THING}none` })).toContain("there is no such resource");
    expect(await fails({ provider: `${THING}a` })).toContain('is no provider of the package "fake"');
    expect(await fails({ type: "fake" })).toContain("package:module:Name");
    expect(await fails({})).toContain('no fake:index:Thing with the id "y"');
    expect(work.resources()).toHaveLength(3);
  });
});
