import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test, vi } from "vitest";
import { InitFailed } from "../../../engine/src/provider.ts";
import { Unknown } from "../../../engine/src/values.ts";
import { FakeProvider } from "./fakeProvider.ts";
import { setUp } from "./setUp.ts";
import { nameOf, spec } from "./workspace.ts";

vi.mock("node:crypto", async () => (await import("./quick.ts")).quickCrypto());
vi.mock("../../../engine/src/deploy/program/program.ts", async (original) =>
  (await import("./quick.ts")).tinyProgram(original),
);

describe("pitfall 1: exit 0 is not success", () => {
  test("a failed create fails the run and deletes nothing", async () => {
    const { fake, work, run } = setUp();
    await run("up", { name: "a" }, { name: "old" });
    fake.create = async () => {
      throw new Error("no room left");
    };
    const failed = await run("up", { name: "a" }, { name: "b" });
    expect(failed.result).toBe("failed");
    expect(failed.errors).toEqual(["no room left"]);
    expect(fake.calls).not.toContain("delete old");
    expect(work.resources().map((state) => nameOf(state.urn))).toContain("old");
  });
});

test("what a provider says against a check or a difference is told with the resource", async () => {
  const { fake, work, run } = setUp();
  await run("up", { name: "a", inputs: { n: 1 } });
  const { urn } = work.resource("a");
  const broken = async (): Promise<never> => {
    throw new Error("nobody there");
  };
  for (const call of ["check", "diff"] as const) {
    fake[call] = broken;
    const { diagnostics } = await run("preview", { name: "a", inputs: { n: 2 } });
    expect(diagnostics).toMatchObject([{ severity: "error", message: "nobody there", urn }]);
    fake[call] = undefined;
  }
});

describe("pitfall 2: unknowns outside a preview", () => {
  test("a failed resource's dependents are never registered with unknown values", async () => {
    const { fake, run } = setUp();
    const seen: unknown[] = [];
    fake.check = async ({ news }) => {
      seen.push(...Object.values(news));
      return { inputs: news, failures: [] };
    };
    fake.create = async ({ name, inputs }) => {
      if (name === "a") throw new Error("a fails");
      return fake.make(name, inputs);
    };
    const failed = await run("up", { name: "a" }, { name: "b", inputs: { from: { $out: "a" } } });
    expect(failed.result).toBe("failed");
    expect(seen.some((value) => value instanceof Unknown)).toBe(false);
    expect(fake.calls).toEqual(["create a"]);
  });

  test("an unknown that a provider leaks into a real update is refused", async () => {
    const { fake, run } = setUp();
    fake.create = async ({ name, inputs }) => ({ id: name, outputs: { ...inputs, out: Unknown.value } });
    const failed = await run("up", { name: "a" }, { name: "b", inputs: { from: { $out: "a" } } });
    expect(failed.result).toBe("failed");
    expect(failed.errors.join()).toContain("not known");
    expect(fake.calls).toEqual(["create a"]);
  });
});

test("pitfall 3: the program ends after the deletes, not before", async () => {
  const { fake, run } = setUp();
  await run("up", { name: "a" }, { name: "b" });
  fake.delete = () => sleep(400);
  const before = Date.now();
  const done = await run("up", { name: "a" });
  expect(done.result).toBe("succeeded");
  expect(done.steps).toEqual(["same a", "delete b"]);
  expect(Date.now() - before).toBeGreaterThan(400);
  expect(fake.world.size).toBe(1);
});

describe("pitfall 5: the pending operation is saved before the provider is called", () => {
  test("but for the word that a create is to come, which no preview and no other step has", async () => {
    const { fake, work, run } = setUp();
    fake.acceptsSecrets = false;
    const said: string[] = [];
    fake.expect = ({ type, inputs }) => {
      const { pending_operations: operations = [] } = existsSync(work.stateFile) ? work.checkpoint() : {};
      said.push(`${type} ${JSON.stringify(inputs)} ${operations.length}`);
    };
    await run("preview", { name: "a", inputs: { n: 1 } });
    expect(said).toEqual([]);
    await run("up", { name: "a", inputs: { n: 1 } });
    expect(said).toEqual(['fake:index:Thing {"n":1} 0']);
    await run("up", { name: "a", inputs: { n: 2 } });
    await run("destroy");
    expect(said).toHaveLength(1);
  });

  test("for create, update and delete", async () => {
    const { fake, work, run } = setUp();
    const seen: string[] = [];
    const look = (what: string): void => {
      const operations = work.checkpoint().pending_operations ?? [];
      seen.push(`${what}: ${operations.map(({ type, resource }) => `${type} ${nameOf(resource.urn)}`).join()}`);
    };
    fake.create = async ({ name, inputs }) => {
      look("create");
      return fake.make(name, inputs);
    };
    fake.update = async ({ news }) => {
      look("update");
      return { outputs: news };
    };
    fake.delete = async () => look("delete");
    await run("up", { name: "a", inputs: { n: 1 } });
    await run("up", { name: "a", inputs: { n: 2 } });
    await run("destroy");
    expect(seen).toEqual(["create: creating a", "update: updating a", "delete: deleting a"]);
    expect(work.checkpoint().pending_operations ?? []).toEqual([]);
  });

  test("a failed operation leaves none behind", async () => {
    const { fake, work, run } = setUp();
    fake.create = async () => {
      throw new Error("no");
    };
    await run("up", { name: "a" });
    expect(work.checkpoint().pending_operations ?? []).toEqual([]);
  });
});

describe("pitfall 17: Ctrl-C", () => {
  test("once: running steps end, nothing more begins, the state is saved and unlocked", async () => {
    const { fake, work } = setUp();
    const abort = new AbortController();
    fake.create = async ({ name, inputs }) => {
      abort.abort();
      await sleep(300);
      return fake.make(name, inputs);
    };
    const done = await work.run("up", {
      providers: fake.providers,
      signal: abort.signal,
      ...spec({ name: "a" }, { name: "b", dependsOn: ["a"] }),
    });
    expect(done.result).toBe("interrupted");
    expect(fake.calls).toEqual(["create a"]);
    expect(work.resource("a").id).toBe("a-1");
    expect(work.checkpoint().pending_operations ?? []).toEqual([]);
    const locks = join(work.dir, "state", ".pulumi", "locks", "organization", "tiny", "dev");
    expect(existsSync(locks) ? readdirSync(locks) : []).toEqual([]);
    expect(fake.closed).toBe(1);
  });

  test("a check or a comparison that the run's end cuts off is no error of its own", async () => {
    const { fake, work, run } = setUp();
    await run("up", { name: "a", inputs: { n: 1 } });
    for (const call of ["check", "diff"] as const) {
      const abort = new AbortController();
      fake[call] = async () => {
        abort.abort();
        throw new Error("Connection dropped");
      };
      const changed = spec({ name: "a", inputs: { n: 2 } });
      const done = await work.run("up", { providers: fake.providers, signal: abort.signal, ...changed });
      expect(done.result).toBe("interrupted");
      expect(done.errors).toEqual([]);
      delete fake[call];
    }
  });

  test("twice: running calls are cut off, and stand in the state as pending", async () => {
    const { fake, work } = setUp();
    const kill = new AbortController();
    fake.create = ({ signal }) =>
      new Promise((_, reject) => {
        signal.addEventListener("abort", () => reject(new Error("cut off")));
        setTimeout(() => kill.abort(), 100);
      });
    const done = await work.run("up", { providers: fake.providers, killSignal: kill.signal, ...spec({ name: "a" }) });
    expect(done.result).toBe("interrupted");
    expect(work.checkpoint().pending_operations).toMatchObject([{ type: "creating" }]);
    const next = await work.run("up", {
      providers: { fake: new FakeProvider().providers.fake! },
      ...spec({ name: "a" }),
    });
    expect(next.diagnostics.map((event) => event.message).join()).toContain("cut off while it was creating");
  });
});

describe("half-made resources", () => {
  test("of one that the program only reads: saved with its reasons, the run fails, the next reads again", async () => {
    const { fake, work, run } = setUp();
    let well = false;
    fake.read = async ({ id, inputs, outputs }) => {
      // What is known of it stands for its outputs, for providers that look nowhere else.
      expect(outputs).toEqual({ n: 1 });
      if (!well) throw new InitFailed(id, { out: "half" }, ["still starting"]);
      return { id, inputs: { ...inputs, more: true }, outputs: { out: "whole" } };
    };
    const entry = { name: "a", read: "there", inputs: { n: 1 } };
    expect((await run("up", entry)).errors).toEqual(["still starting"]);
    expect(work.resource("a")).toMatchObject({ id: "there", outputs: { out: "half" }, initErrors: ["still starting"] });
    well = true;
    expect((await run("up", entry)).errors).toEqual([]);
    expect(work.resource("a").initErrors).toBeUndefined();
    // Its inputs are the program's words.
    expect(work.resource("a")).toMatchObject({ outputs: { out: "whole" }, inputs: { n: 1 } });
    expect(work.resource("a").inputs).toEqual({ n: 1 });
  });

  test("of one that is to be imported: told, and nothing is taken over", async () => {
    const { fake, work, run } = setUp();
    fake.read = async ({ id }) => {
      throw new InitFailed(id, { out: "half" }, ["still starting"]);
    };
    const failed = await run("up", { name: "a", options: { import: "there" } });
    expect(failed.errors.join()).toMatch(
      /with the id "there" is there, but not well, and was not imported: still starting/,
    );
    expect(work.resources().some(({ urn }) => urn.endsWith("::a"))).toBe(false);
    expect(work.checkpoint().pending_operations).toBeUndefined();
  });

  test("are saved with their reasons, fail the run, and are updated by the next", async () => {
    const { fake, work, run } = setUp();
    fake.create = async ({ name, inputs }) => {
      const { id, outputs } = fake.make(name, inputs);
      throw new InitFailed(id, outputs, ["not healthy"]);
    };
    const failed = await run("up", { name: "a" });
    expect(failed.result).toBe("failed");
    expect(work.resource("a")).toMatchObject({ id: "a-1", initErrors: ["not healthy"] });
    fake.create = undefined;
    expect((await run("up", { name: "a" })).steps).toEqual(["update a"]);
    expect(work.resource("a").initErrors).toBeUndefined();
    expect(fake.calls).toEqual(["create a", "update a"]);
  });

  test("by an update keep the inputs that they had: after a refresh that finds them well, the update is still to do", async () => {
    const { fake, work, run } = setUp();
    await run("up", { name: "a", inputs: { n: 1 } });
    fake.update = async ({ id }) => {
      throw new InitFailed(id, { out: "half" }, ["still starting"]);
    };
    fake.read = async (request) => request;
    const changed = { name: "a", inputs: { n: 2 } };
    expect((await run("up", changed)).errors).toEqual(["still starting"]);
    expect(work.resource("a")).toMatchObject({ inputs: { n: 1 }, outputs: { out: "half" } });
    await run("refresh");
    expect(work.resource("a").initErrors).toBeUndefined();
    fake.update = undefined;
    expect((await run("up", changed)).steps).toEqual(["update a"]);
    expect(work.resource("a").inputs).toEqual({ n: 2 });
  });
});
