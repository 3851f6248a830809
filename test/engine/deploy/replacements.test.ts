import { describe, expect, test, vi } from "vitest";
import { Unknown } from "../../../engine/src/values.ts";
import { setUp } from "./setUp.ts";
import { nameOf } from "./workspace.ts";

vi.mock("node:crypto", async () => (await import("./quick.ts")).quickCrypto());
vi.mock("../../../engine/src/deploy/program/program.ts", async (original) =>
  (await import("./quick.ts")).tinyProgram(original),
);

describe("pitfall 6: delete before replace", () => {
  test("dependents go first, in reverse order, and are made again", async () => {
    const { fake, run } = setUp();
    fake.diff = async ({ news, oldInputs }) =>
      news.from instanceof Unknown || news.fixed !== oldInputs.fixed
        ? { changes: "some", replaceKeys: ["fixed"], deleteBeforeReplace: true }
        : {};
    const chain = (fixed: number) => [
      { name: "a", inputs: { fixed } },
      { name: "b", inputs: { from: { $out: "a" } } },
      { name: "c", inputs: { from: { $out: "b" } } },
      { name: "d" },
    ];
    await run("up", ...chain(1));
    fake.calls.length = 0;
    const done = await run("up", ...chain(2));
    expect(done.errors).toEqual([]);
    expect(fake.calls).toEqual(["delete c", "delete b", "delete a", "create a", "create b", "create c"]);
    expect(fake.world.size).toBe(4);
    expect((await run("preview", ...chain(2))).changes).toEqual({ same: 5 });
  });

  test("interrupted between delete and create, the next run only creates", async () => {
    const { fake, work, run } = setUp();
    fake.diff = async () => ({ deleteBeforeReplace: true });
    await run("up", { name: "a", inputs: { fixed: 1 } });
    fake.create = async () => {
      throw new Error("not today");
    };
    expect((await run("up", { name: "a", inputs: { fixed: 2 } })).result).toBe("failed");
    expect(work.resource("a").pendingReplacement).toBe(true);
    fake.create = undefined;
    fake.calls.length = 0;
    expect((await run("up", { name: "a", inputs: { fixed: 2 } })).result).toBe("succeeded");
    expect(fake.calls).toEqual(["create a"]);
    expect(work.resource("a").pendingReplacement).toBeUndefined();
  });

  test("a delete that fails is tried again: the mark comes only after it worked", async () => {
    const { fake, work, run } = setUp();
    fake.diff = async () => ({ deleteBeforeReplace: true });
    await run("up", { name: "a", inputs: { fixed: 1 } });
    fake.delete = async () => {
      throw new Error("busy");
    };
    await run("up", { name: "a", inputs: { fixed: 2 } });
    expect(work.resource("a").pendingReplacement).toBeUndefined();
    expect(fake.world.size).toBe(1);
  });

  test("a dependent that never comes again stays deleted", async () => {
    const { fake, work, run } = setUp();
    fake.diff = async ({ news, oldInputs }) =>
      news.from instanceof Unknown || news.fixed !== oldInputs.fixed
        ? { changes: "some", replaceKeys: ["fixed"], deleteBeforeReplace: true }
        : {};
    await run("up", { name: "a", inputs: { fixed: 1 } }, { name: "b", inputs: { from: { $out: "a" } } });
    await run("up", { name: "a", inputs: { fixed: 2 } });
    expect([...fake.world.keys()].map((id) => id[0])).toEqual(["a"]);
    expect(work.resources().map((state) => nameOf(state.urn))).not.toContain("b");
  });
});

describe("pitfall 7: create before replace", () => {
  test("the old one goes at the very end, when its successor is there", async () => {
    const { fake, work, run } = setUp();
    await run("up", { name: "a", inputs: { fixed: 1 } }, { name: "b", inputs: { from: { $out: "a" } } });
    fake.calls.length = 0;
    const done = await run("up", { name: "a", inputs: { fixed: 2 } }, { name: "b", inputs: { from: { $out: "a" } } });
    expect(done.steps).toEqual(["create-replacement a", "replace a", "same b", "delete-replaced a"]);
    expect(done.changes).toEqual({ same: 2, replace: 1 });
    expect(fake.calls).toEqual(["create a", "delete a"]);
    expect(work.resource("a").id).toBe("a-3");
  });

  test("an old one whose delete failed is deleted by the next run", async () => {
    const { fake, work, run } = setUp();
    await run("up", { name: "a", inputs: { fixed: 1 } });
    fake.delete = async () => {
      throw new Error("busy");
    };
    expect((await run("up", { name: "a", inputs: { fixed: 2 } })).result).toBe("failed");
    expect(work.resources().filter((state) => state.delete)).toHaveLength(1);
    fake.delete = undefined;
    expect((await run("up", { name: "a", inputs: { fixed: 2 } })).result).toBe("succeeded");
    expect([...fake.world.keys()]).toEqual(["a-2"]);
  });

  test("the option deleteBeforeReplace is stronger than the provider's word, both ways", async () => {
    const { fake, run } = setUp();
    const thing = (fixed: number, deleteBeforeReplace: boolean) => ({
      name: "a",
      inputs: { fixed },
      options: { deleteBeforeReplace },
    });
    await run("up", thing(1, true));
    fake.calls.length = 0;
    await run("up", thing(2, true));
    expect(fake.calls.splice(0)).toEqual(["delete a", "create a"]);
    fake.diff = async () => ({ deleteBeforeReplace: true });
    await run("up", thing(3, false));
    expect(fake.calls).toEqual(["create a", "delete a"]);
  });
});

describe("pitfall 8: deletes come last, in layers, from the old outputs", () => {
  test("dependents before what they depend on; the provider gets old outputs", async () => {
    const { fake, run } = setUp();
    await run("up", { name: "a" }, { name: "b", dependsOn: ["a"] }, { name: "c", inputs: { from: { $out: "b" } } });
    const outputs: unknown[] = [];
    fake.delete = async (request) => {
      outputs.push(request.outputs.out);
    };
    const done = await run("destroy");
    expect(fake.calls.slice(-3)).toEqual(["delete c", "delete b", "delete a"]);
    expect(outputs).toEqual(["c-out", "b-out", "a-out"]);
    expect(done.changes.delete).toBe(4);
  });

  test("retainOnDelete, deletedWith and components leave the state alone", async () => {
    const { fake, work, run } = setUp();
    await run(
      "up",
      { name: "part", component: true },
      { name: "kept", options: { retainOnDelete: true }, parent: "part" },
      { name: "a" },
      { name: "with", deletedWith: "a" },
    );
    fake.calls.length = 0;
    expect((await run("destroy")).result).toBe("succeeded");
    expect(fake.calls).toEqual(["delete a"]);
    expect(work.resources()).toEqual([]);
  });

  test("what the program only reads is never deleted, nor told to be", async () => {
    const { fake, work, run } = setUp();
    fake.world.set("outside", { n: 1 });
    await run("up", { name: "r", read: "outside" });
    expect(work.resource("r").external).toBe(true);
    expect((await run("preview")).steps).toEqual(["discard r"]);
    await run("up", { name: "r" });
    expect((await run("up", { name: "r", read: "outside" })).errors).toEqual([]);
    expect((await run("destroy")).steps).toEqual(["discard r"]);
    expect(work.resources()).toEqual([]);
    expect(fake.calls).toEqual(["create r", "delete r"]);
    expect(fake.world.has("outside")).toBe(true);
  });

  test("a failing delete stops the layers above it", async () => {
    const { fake, work, run } = setUp();
    await run("up", { name: "a" }, { name: "b", dependsOn: ["a"] });
    fake.delete = async ({ name }) => {
      if (name === "b") throw new Error("in use");
    };
    expect((await run("destroy")).errors).toEqual(["in use"]);
    expect(fake.calls).not.toContain("delete a");
    expect(work.resources().map((state) => nameOf(state.urn))).toEqual(expect.arrayContaining(["a", "b"]));
  });
});

describe("pitfall 10: protect", () => {
  const thing = (fixed: number, protect: boolean) => ({ name: "a", inputs: { fixed }, options: { protect } });

  test("a protected resource is neither deleted nor replaced, and the message says the way out", async () => {
    const { fake, run } = setUp();
    await run("up", thing(1, true), { name: "b", options: { protect: true } });
    const replaced = await run("up", thing(2, true), { name: "b", options: { protect: true } });
    expect(replaced.errors.join()).toContain('take the option "protect"');
    const destroyed = await run("destroy");
    expect(destroyed.errors).toHaveLength(2);
    expect(destroyed.errors.join()).toContain("state unprotect");
    expect(fake.world.size).toBe(2);
  });

  test("a preview of a destroy that a protected one is in the way of tells what could go: nothing that it needs", async () => {
    const { work, run } = setUp();
    const needs = (name: string, on: string, protect = false) => ({
      name,
      inputs: { x: { $out: on } },
      options: { protect },
    });
    await run("up", { name: "a" }, needs("b", "a", true), needs("c", "b"), needs("d", "a"));
    const seen = await work.run("destroy", { preview: true });
    expect(seen.errors).toHaveLength(1);
    expect(seen.steps.sort()).toEqual(["delete c", "delete d"]);
  });

  test("unprotecting and replacing may come together", async () => {
    const { fake, run } = setUp();
    await run("up", thing(1, true));
    expect((await run("up", thing(2, false))).result).toBe("succeeded");
    expect([...fake.world.keys()]).toEqual(["a-2"]);
  });
});

test("what becomes a component is deleted, and what was one is created", async () => {
  const { fake, work, run } = setUp();
  const thing = (component: boolean) => ({ name: "a", type: "fake:index:Thing", component, inputs: { x: 1 } });
  await run("up", thing(false));
  expect((await run("up", thing(true))).errors).toEqual([]);
  expect(fake.calls).toEqual(["create a", "delete a"]);
  expect(work.resource("a")).toMatchObject({ custom: false });
  expect((await run("preview", thing(true))).changes).toEqual({ same: 2 });
  expect((await run("up", thing(false))).errors).toEqual([]);
  expect(fake.world.size).toBe(1);
  expect((await run("preview", thing(false))).changes).toEqual({ same: 2 });
});
