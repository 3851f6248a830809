import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { setUp } from "./setUp.ts";
import { nameOf, spec } from "./workspace.ts";

// What a program in this process would not do: register several at once, throw, exit.

describe("pitfall 1: exit 0 is not success, of a real program", () => {
  test("a program that throws deletes nothing", async () => {
    const { fake, run } = setUp();
    await run("up", { name: "a" }, { name: "old" });
    const failed = await run("up", { name: "a" }, { name: "x", throws: "a mistake in the program" });
    expect(failed.result).toBe("failed");
    expect(fake.world.size).toBe(2);
    expect(JSON.stringify(failed.events)).toContain("a mistake in the program");
  });

  test("a program that exits with code 0 half-way deletes nothing", async () => {
    const { fake, run } = setUp();
    await run("up", { name: "a" }, { name: "old" });
    const failed = await run("up", { name: "x", exits: 0 });
    expect(failed.result).toBe("failed");
    expect(fake.world.size).toBe(2);
  });
});

describe("pitfall 4: a serial planner, a parallel executor", () => {
  test("independent resources are created beside each other, dependents after what they depend on", async () => {
    const { fake, run } = setUp();
    let running = 0;
    let most = 0;
    const order: string[] = [];
    fake.create = async ({ name, inputs }) => {
      most = Math.max(most, ++running);
      await sleep(300);
      running--;
      order.push(name);
      return fake.make(name, inputs);
    };
    await run("up", { name: "a" }, { name: "b" }, { name: "c" }, { name: "d", dependsOn: ["a", "b"] });
    expect(most).toBe(3);
    expect(order.at(-1)).toBe("d");
  });

  test("the limit holds", async () => {
    const { fake, work } = setUp();
    let running = 0;
    let most = 0;
    fake.create = async ({ name, inputs }) => {
      most = Math.max(most, ++running);
      await sleep(50);
      running--;
      return fake.make(name, inputs);
    };
    const entries = Array.from({ length: 6 }, (_, i) => ({ name: `r${i}` }));
    await work.run("up", { providers: fake.providers, parallel: 2, ...spec(...entries) });
    expect(most).toBe(2);
  });

  test("the reply comes after the state is saved", async () => {
    const { fake, work, run } = setUp();
    const saved: string[][] = [];
    fake.create = async ({ name, inputs }) => {
      if (name === "b") saved.push(work.resources().map((state) => nameOf(state.urn)));
      return fake.make(name, inputs);
    };
    await run("up", { name: "a" }, { name: "b", inputs: { from: { $out: "a" } } });
    expect(saved[0]).toContain("a");
  });
});
