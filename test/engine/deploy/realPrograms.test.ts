import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { until } from "../../helpers/until.ts";
import { FakeProvider } from "./fakeProvider.ts";
import { setUp } from "./setUp.ts";
import { nameOf, spec, Workspace } from "./workspace.ts";

// What a program in this process would not do: register several at once, throw, exit.

describe("pitfall 1: exit 0 is not success, of a real program", () => {
  test("a program that throws deletes nothing", async () => {
    const { fake, run } = setUp();
    await run("up", { name: "a" }, { name: "old" });
    const failed = await run("up", { name: "a" }, { name: "x", throws: "a mistake in the program" });
    expect(failed.result).toBe("failed");
    expect(fake.world.size).toBe(2);
    expect(failed.errors).toEqual([expect.stringContaining("a mistake in the program")]);
  });

  test("what a program throws is told, also where it is nothing", async () => {
    const { run } = setUp();
    const { errors } = await run("up", { name: "x", throwsNothing: true });
    expect(errors).toEqual([
      expect.stringMatching(/unhandled exception:\nIts code threw undefined, which is no Error\.$/),
    ]);
  });

  test("a program that throws whenever it has come to its end, ends", async () => {
    const { fake, run } = setUp();
    const failed = await run("up", { name: "x", throwsAtEnd: "again and again" }, { name: "a" });
    expect(failed.result).toBe("failed");
    expect([...new Set(failed.errors.map((error) => error.split("\n")[0]))]).toEqual(["Error: again and again"]);
    expect(fake.world.size).toBe(1);
  });

  test("a program that exits with code 0 half-way deletes nothing", async () => {
    const { fake, run } = setUp();
    await run("up", { name: "a" }, { name: "old" });
    const failed = await run("up", { name: "x", exits: 0 });
    expect(failed.result).toBe("failed");
    expect(fake.world.size).toBe(2);
  });

  test("a program that ends as one that has said why, and has not, is told all the same", async () => {
    const { run } = setUp();
    expect((await run("up", { name: "x", exits: 32 })).errors).toEqual(["the program failed"]);
  });

  test("a program that waits for what never comes deletes nothing, and keeps its outputs", async () => {
    const { fake, work, run } = setUp();
    await run("up", { name: "a" }, { name: "old" });
    const before = work.resources()[0]?.outputs;
    for (const kind of ["preview", "up"] as const) {
      const failed = await run(kind, { name: "a" }, { name: "x", waits: true });
      expect(failed.result).toBe("failed");
      expect(failed.errors.join()).toContain("never settled");
      expect(failed.steps.join()).not.toContain("delete");
      expect(fake.world.size).toBe(2);
    }
    expect(before).toEqual({ a: "a-out", old: "old-out" });
    expect(work.resources()[0]?.outputs).toEqual(before);
  });

  test("a program of which a resource or an apply waits for what never comes deletes nothing, though it comes to its end", async () => {
    const { fake, run } = setUp();
    await run("up", { name: "a" }, { name: "old" });
    for (const stuck of [
      { name: "old", stuck: true },
      { name: "part", component: true, stuck: true },
      { name: "old", behind: true },
    ])
      for (const kind of ["preview", "up"] as const) {
        const failed = await run(kind, { name: "a" }, stuck);
        expect(failed.result).toBe("failed");
        expect(failed.steps.join()).not.toContain("delete");
        expect(fake.world.size).toBe(2);
        if ("behind" in stuck)
          expect(failed.errors).toEqual([expect.stringContaining("an apply waits for an output whose promise never")]);
      }
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
      if (name !== "d") await until("three run beside each other", () => most === 3);
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
      // A third would come while two are kept waiting.
      await until("two run", () => most >= 2);
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

describe("TypeScript", () => {
  const run = (work: Workspace) => work.run("up", { providers: new FakeProvider().providers });

  test("an option that is none is told", async () => {
    const work = new Workspace("spec.ts");
    work.write("Pulumi.yaml", 'name: tiny\nruntime: { name: nodejs, options: { typescript: "yes" } }\n');
    await expect(run(work)).rejects.toThrow(/"typescript" must be true or false/);
  });

  test("a program as Pulumi's own templates make it, for ts-node: compiled, and held to its types", async () => {
    const work = new Workspace("spec.ts");
    work.write("Pulumi.yaml", "name: tiny\nruntime: nodejs\n");
    work.write("package.json", JSON.stringify({ main: "index.ts" }));
    // What TypeScript 6 has to say of this old way of theirs is not the program's affair.
    const compilerOptions = { strict: true, target: "es2020", module: "commonjs", moduleResolution: "node", types: [] };
    work.write(
      "tsconfig.json",
      JSON.stringify({ compilerOptions: { ...compilerOptions, ignoreDeprecations: "6.0" }, files: ["index.ts"] }),
    );
    work.write("number.ts", "export enum Number { Answer = 42 }\n");
    const program = 'import { Number } from "./number";\nexport const answer: number = Number.Answer;\n';
    work.write("index.ts", program);
    const done = await run(work);
    expect(done.errors).toEqual([]);
    expect(done.outputs.answer?.value).toBe(42);
    work.write("index.ts", program.replace(": number", ": string"));
    const wrong = await run(work);
    expect(wrong.result).toBe("failed");
    expect(JSON.stringify(wrong.events)).toMatch(/is not assignable to type 'string'/);
  });
});

test("a program that requires a version of the CLI is answered for the one that this engine stands for", async () => {
  const requiring = async (range: string) => {
    const work = new Workspace("spec.ts");
    const program = `import * as pulumi from "@pulumi/pulumi";\nawait pulumi.requirePulumiVersion("${range}");\n`;
    work.write("index.ts", program);
    return work.run("up", { providers: new FakeProvider().providers });
  };
  const refused = await requiring(">=99.0.0");
  expect(refused.result).toBe("failed");
  expect(refused.errors.join()).toContain(
    "A Pulumi CLI of version >=99.0.0 is required; the embedded engine stands for 3.260.0",
  );
  expect((await requiring(">=3.0.0")).errors).toEqual([]);
});

describe("what is not covered is refused in this engine's words: an older CLI would be no help", () => {
  const component = (options: string) => `
import * as pulumi from "@pulumi/pulumi";
const a = new pulumi.ComponentResource("test:index:Part", "a");
new pulumi.ComponentResource("test:index:Part", "b", {}, ${options});
`;
  test.each([
    [
      "hooks",
      "{ hooks: { afterCreate: [new pulumi.ResourceHook('tell', async () => {})] } }",
      'The resource hook "tell"',
    ],
    [
      "error hooks",
      "{ hooks: { onError: [new pulumi.ErrorHook('again', async () => true)] } }",
      'The error hook "again"',
    ],
    ["replaceWith", "{ replaceWith: [a] }", 'The option "replaceWith" of test:index:Part "b"'],
    [
      "state migrations",
      "{ stateMigrations: [async () => undefined] }",
      'The option "stateMigrations" of test:index:Part "b"',
    ],
  ])("%s", async (_name, options, what) => {
    const work = new Workspace("spec.ts");
    work.write("index.ts", component(options));
    const { errors } = await work.run("up");
    expect(errors).toEqual([expect.stringMatching(new RegExp(`^${what}.* is not covered .*--engine pulumi`))]);
  });

  test.each([
    ["a look", "existsResource('test:index:Thing', 'one')", 'The question whether test:index:Thing "one" exists'],
    ["a method", "call('test:index:Part/draw', {})", 'The method "test:index:Part/draw"'],
  ])("%s", async (_name, expression, what) => {
    const work = new Workspace("spec.ts");
    work.write(
      "index.ts",
      `import * as pulumi from "@pulumi/pulumi";\nexport const said = pulumi.runtime.${expression};`,
    );
    const { errors } = await work.run("up");
    expect(errors).toEqual([expect.stringMatching(new RegExp(`^${what}.* is not covered .*--engine pulumi`))]);
  });
});
