import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test, vi } from "vitest";
import { setUp } from "./setUp.ts";
import { nameOf, spec } from "./workspace.ts";

vi.mock("node:crypto", async () => (await import("./quick.ts")).quickCrypto());
vi.mock("../../../engine/src/deploy/program/program.ts", async (original) =>
  (await import("./quick.ts")).tinyProgram(original),
);

describe("pitfall 9: refresh", () => {
  test("what is gone leaves the state and everybody's dependencies", async () => {
    const { fake, work, run } = setUp();
    await run("up", { name: "a" }, { name: "b", inputs: { from: { $out: "a" } } });
    fake.world.delete("a-1");
    const done = await run("refresh");
    expect(done.changes).toEqual({ delete: 1, same: 1 });
    expect(work.resource("b").dependencies ?? []).toEqual([]);
    expect(work.resources().map((state) => nameOf(state.urn))).not.toContain("a");
  });

  test("what has changed is taken over; what has not keeps its times and the file", async () => {
    const { fake, work, run } = setUp();
    await run("up", { name: "a", inputs: { n: 1 } }, { name: "b", inputs: { n: 1 } });
    const before = work.resource("b");
    fake.world.set("a-1", { n: 7 });
    expect((await run("refresh")).changes).toEqual({ update: 1, same: 1 });
    expect(work.resource("a").inputs).toEqual({ n: 7 });
    expect(work.resource("b")).toEqual(before);
    const written = statSync(work.stateFile).mtimeMs;
    expect((await run("refresh")).changes).toEqual({ same: 2 });
    expect(statSync(work.stateFile).mtimeMs).toBe(written);
  });

  test("a list with a secret in it, which its provider tells as one, is as it was; one that is told plainly stays secret", async () => {
    const { fake, work, run } = setUp();
    await run("up", { name: "a", inputs: { list: [1, { $secret: ["a text"] }] } });
    expect((await run("refresh")).changes).toEqual({ same: 1 });
    fake.world.set("a-1", { list: [1, "another text"] });
    expect((await run("refresh")).changes).toEqual({ update: 1 });
    expect(readFileSync(work.stateFile, "utf8")).not.toContain("another text");
  });

  test("a read that fails fails the run, and forgets nothing", async () => {
    const { fake, work, run } = setUp();
    await run("up", { name: "a" }, { name: "b" });
    fake.read = async () => {
      throw new Error("unreachable");
    };
    expect((await run("refresh")).result).toBe("failed");
    expect(work.resources()).toHaveLength(4);
  });
});

describe("pitfall 12: aliases", () => {
  test("a renamed resource is the same one, and references in the state follow", async () => {
    const { fake, work, run } = setUp();
    await run("up", { name: "a" }, { name: "b", inputs: { from: { $out: "a" } } });
    const urn = work.resource("a").urn;
    const done = await run(
      "up",
      { name: "new", options: { aliases: [{ name: "a" }] } },
      { name: "b", inputs: { from: { $out: "new" } } },
    );
    expect(done.steps).toEqual(["same new", "same b"]);
    expect(fake.calls).toEqual(["create a", "create b"]);
    expect(work.resource("b").dependencies).toEqual([work.resource("new").urn]);
    expect(readFileSync(work.stateFile, "utf8")).not.toContain(urn);
  });

  test("by URN; and a renamed component takes its children with it", async () => {
    const { fake, work, run } = setUp();
    await run("up", { name: "part", component: true }, { name: "part-a", parent: "part" });
    const done = await run(
      "up",
      { name: "house", component: true, options: { aliases: [work.resource("part").urn] } },
      { name: "house-a", parent: "house" },
    );
    expect(done.changes).toEqual({ same: 3 });
    expect(fake.calls).toEqual(["create part-a"]);
  });

  test("two that claim the same are refused", async () => {
    const { fake, run } = setUp();
    await run("up", { name: "a" });
    const alias = { options: { aliases: [{ name: "a" }] } };
    const failed = await run("up", { name: "x", ...alias }, { name: "y", ...alias });
    expect(failed.result).toBe("failed");
    expect(failed.errors.join()).toContain("Only one can have it");
    expect(fake.world.size).toBe(1);
  });
});

describe("pitfall 13: unset is not false", () => {
  test("a child takes protect and retainOnDelete from its parent, unless it says no itself", async () => {
    const { work, run } = setUp();
    await run(
      "up",
      { name: "part", component: true, options: { protect: true, retainOnDelete: true } },
      { name: "takes", parent: "part" },
      { name: "says-no", parent: "part", options: { protect: false, retainOnDelete: false } },
    );
    expect(work.resource("takes")).toMatchObject({ protect: true, retainOnDelete: true });
    expect(work.resource("says-no").protect).toBeUndefined();
    expect(work.resource("says-no").retainOnDelete).toBeUndefined();
  });
});

describe("pitfall 14: ignoreChanges", () => {
  test("puts the old input back before Check, and does nothing on create", async () => {
    const { fake, work, run } = setUp();
    const thing = (n: number, m: number) => ({ name: "a", inputs: { n, m }, options: { ignoreChanges: ["n"] } });
    await run("up", thing(1, 1));
    expect(work.resource("a").inputs).toEqual({ n: 1, m: 1 });
    expect((await run("up", thing(2, 1))).steps).toEqual(["same a"]);
    await run("up", thing(3, 2));
    expect(fake.calls).toEqual(["create a", "update a"]);
    expect(work.resource("a").inputs).toEqual({ n: 1, m: 2 });
  });
});

describe("pitfall 15: checked inputs everywhere", () => {
  test("names made by Check are carried over, except on replace", async () => {
    const { fake, work, run } = setUp();
    let count = 0;
    fake.check = async ({ olds, news }) => ({
      inputs: { ...news, name: olds?.name ?? `auto-${++count}` },
      failures: [],
    });
    await run("up", { name: "a", inputs: { n: 1, fixed: 1 } });
    await run("up", { name: "a", inputs: { n: 2, fixed: 1 } });
    expect(work.resource("a").inputs).toMatchObject({ name: "auto-1", n: 2 });
    await run("up", { name: "a", inputs: { n: 2, fixed: 2 } });
    expect(work.resource("a").inputs).toMatchObject({ name: "auto-2" });
  });

  test("a failed check names the resource, the property and the reason, and nothing is done", async () => {
    const { fake, run } = setUp();
    fake.check = async ({ news }) => ({ inputs: news, failures: [{ property: "n", reason: "must be a number" }] });
    const failed = await run("up", { name: "a" });
    expect(failed.errors).toEqual(['fake:index:Thing "a" is not valid:\n  n: must be a number']);
    expect(fake.calls).toEqual([]);
  });
});

describe("an unchanged run", () => {
  test("leaves the file as it is, but for its history", async () => {
    const { work, run } = setUp();
    const entries = [
      { name: "part", component: true, inputs: { s: { $secret: ["abc", "-secret"] } }, outputs: { x: 1 } },
      { name: "a", parent: "part" },
    ];
    await run("up", ...entries);
    const before = readFileSync(work.stateFile, "utf8");
    const done = await run("up", ...entries);
    expect(done.changes).toEqual({ same: 3 });
    expect(readFileSync(work.stateFile, "utf8")).toBe(before);
    const history = readdirSync(join(work.dir, "state", ".pulumi", "history", "tiny", "dev"));
    expect(history.filter((name) => name.endsWith(".history.json"))).toHaveLength(2);
  });
});

test("a state of an older official CLI, which wrote null for what depends on nothing, is used like any other", async () => {
  const { fake, work, run } = setUp();
  const entries = [
    { name: "a", inputs: { n: 1 } },
    { name: "b", inputs: { n: 1, from: { $out: "a" } } },
  ];
  await run("up", ...entries);
  const aged = (): void => {
    const text = readFileSync(work.stateFile, "utf8").replaceAll('"n":[]', '"n":null');
    expect(text).toContain('"n":null');
    writeFileSync(work.stateFile, text);
  };
  aged();
  expect(await run("up", ...entries)).toMatchObject({ errors: [], changes: { same: 3 } });
  aged();
  fake.world.delete("a-1");
  expect(await run("refresh")).toMatchObject({ errors: [], changes: { delete: 1, same: 1 } });
  aged();
  expect(await run("destroy")).toMatchObject({ errors: [] });
  expect(fake.world.size).toBe(0);
});

describe("what is not covered", () => {
  test("is refused by name, with the way out", async () => {
    const { work } = setUp();
    const failed = await work.run("up", spec({ name: "a" }));
    expect(failed.errors.join()).toContain('The package "fake" is not covered by the embedded engine');
    expect(failed.errors.join()).toContain("--engine pulumi");
  });

  test("so is the option replaceWith, which a state of version 3 has no word for", async () => {
    const { run } = setUp();
    const failed = await run("up", { name: "a" }, { name: "b", replaceWith: ["a"] });
    expect(failed.errors.join()).toMatch(/The option "replaceWith" of .*"b".* is not covered.*--engine pulumi/);
  });
});
