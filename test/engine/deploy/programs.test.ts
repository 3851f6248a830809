import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { Unknown } from "../../../engine/src/values.ts";
import { FakeProvider } from "./fakeProvider.ts";
import { nameOf, Workspace } from "./workspace.ts";

const HEAD = `import * as pulumi from "@pulumi/pulumi";
class Thing extends pulumi.CustomResource {
  constructor(name, args = {}, opts = {}) { super("fake:index:Thing", name, { out: undefined, list: undefined, ...args }, { version: "1.0.0", ...opts }); }
}
class Part extends pulumi.ComponentResource {
  constructor(name, args = {}, opts = {}) { super("test:index:Part", name, args, opts); }
}
`;

interface Case {
  name: string;
  program: string;
  /** The resources that are registered, the stack's own not counted. */
  registers: string[];
  /** In a preview, and in an update: what the provider sees as the inputs of each. */
  check?: (name: string, inputs: Record<string, unknown>, preview: boolean) => void;
  outputs?: Record<string, unknown>;
  fails?: RegExp;
}

/** Tiny programs, each run in a preview and for real. */
const CASES: Case[] = [
  { name: "an empty program", program: "", registers: [] },
  { name: "one resource", program: `new Thing("a");`, registers: ["a"] },
  {
    name: "an input from another's output is unknown in a preview and known in an update",
    program: `const a = new Thing("a"); new Thing("b", { from: a.out, both: pulumi.interpolate\`<\${a.out}>\` });`,
    registers: ["a", "b"],
    check(name, { from, both }, preview) {
      if (name !== "b") return;
      expect(from).toBe(preview ? Unknown.value : "a-out");
      expect(both).toBe(preview ? Unknown.value : "<a-out>");
    },
  },
  {
    name: "values of every kind arrive as they are",
    program: `new Thing("a", { n: 1.5, s: "ü\\n\\"", yes: true, none: null, gone: undefined, list: [1, [2], {}], map: { "a.b": { c: [] } } });`,
    registers: ["a"],
    check(_name, inputs) {
      expect(inputs).toEqual({
        n: 1.5,
        s: 'ü\n"',
        yes: true,
        none: null,
        list: [1, [2], {}],
        map: { "a.b": { c: [] } },
      });
    },
  },
  {
    name: "a component, its children and its outputs",
    program: `const part = new Part("part", { x: 1 }); const a = new Thing("part-a", {}, { parent: part }); part.registerOutputs({ out: a.out });`,
    registers: ["part", "part-a"],
  },
  {
    name: "an output of the stack, plain, secret and nested",
    program: `const a = new Thing("a"); export const plain = a.out; export const secret = pulumi.secret("s"); export const nested = { deep: [a.out] };`,
    registers: ["a"],
    outputs: { plain: "a-out", secret: "s", nested: { deep: ["a-out"] } },
  },
  {
    name: "a resource made in an apply is registered in an update",
    program: `const a = new Thing("a"); a.out.apply((out) => { if (out) new Thing("late-" + out); });`,
    registers: ["a", "late-a-out"],
  },
  {
    name: "an explicit provider",
    program: `class Fake extends pulumi.ProviderResource { constructor(name, args) { super("fake", name, args, { version: "1.0.0" }); } }
const fake = new Fake("mine", { region: "here" }); new Thing("a", {}, { provider: fake });`,
    registers: ["mine", "a"],
  },
  {
    name: "a resource passed as a value",
    program: `const a = new Thing("a"); new Thing("b", { other: a });`,
    registers: ["a", "b"],
  },
  {
    name: "two of the same name",
    program: `new Thing("a"); new Thing("a");`,
    registers: [],
    fails: /Two resources have the URN .*::a\. Give one of them another name/,
  },
  {
    name: "a program that throws at once",
    program: `throw new Error("thrown at once");`,
    registers: [],
    fails: /thrown at once|program .*exited|program failed/,
  },
  {
    name: "a rejected promise that nobody waits for",
    program: `new Thing("a"); Promise.reject(new Error("nobody waits"));`,
    registers: [],
    fails: /./,
  },
  {
    name: "a component that another process would build",
    program: `new pulumi.ComponentResource("fake:index:Remote", "r", {}, {}, true);`,
    registers: [],
    fails: /is not covered by the embedded engine/,
  },
];

describe.each(CASES)("$name", ({ program, registers, check, outputs, fails }) => {
  test.each(["preview", "up"] as const)("%s", async (kind) => {
    const fake = new FakeProvider();
    const work = new Workspace("spec.ts");
    writeFileSync(join(work.dir, "index.ts"), HEAD + program);
    const preview = kind === "preview";
    if (check !== undefined) {
      fake.check = async ({ name, news }) => {
        check(name, news, preview);
        return { inputs: news, failures: [] };
      };
    }
    const done = await work.run(kind, { providers: fake.providers });
    if (fails !== undefined) {
      expect(done.result).toBe("failed");
      expect(done.errors.join("\n")).toMatch(fails);
      return;
    }
    expect(done.errors).toEqual([]);
    expect(done.result).toBe("succeeded");
    const created = done.steps.map((step) => step.replace("create ", ""));
    // In a preview an apply on what is not known yet does not run.
    expect(created).toEqual(preview ? registers.filter((name) => !name.startsWith("late-")) : registers);
    if (!preview) {
      const names = work.resources().map((state) => nameOf(state.urn));
      expect(names.filter((name) => name !== "tiny-dev" && !name.startsWith("default"))).toEqual(registers);
      for (const [key, value] of Object.entries(outputs ?? {})) expect(done.outputs[key]?.value).toEqual(value);
    } else {
      expect(fake.calls).toEqual([]);
    }
  });
});

test("files among the outputs of the stack and of components have their content's hash, as with the official CLI", async () => {
  const fake = new FakeProvider();
  const work = new Workspace("spec.ts");
  const program = `const file = new pulumi.asset.FileAsset("told.txt");
new Part("part").registerOutputs({ file });
export const tree = new pulumi.asset.AssetArchive({ file });`;
  writeFileSync(join(work.dir, "index.ts"), HEAD + program);
  work.write("told.txt", "hello");
  const hash = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
  expect((await work.run("up", { providers: fake.providers })).errors).toEqual([]);
  expect(work.resource("part").outputs).toMatchObject({ file: { hash, path: "told.txt" } });
  const { tree } = work.resource("tiny-dev").outputs as { tree: Record<string, unknown> };
  expect(tree).toMatchObject({ hash: expect.stringMatching(/^[0-9a-f]{64}$/), assets: { file: { hash } } });

  rmSync(join(work.dir, "told.txt"));
  const failed = await work.run("up", { providers: fake.providers });
  expect(failed.errors.join()).toMatch(/told\.txt/);
});

test("what a targeted update leaves out is unknown to the program, which goes on without it", async () => {
  const fake = new FakeProvider();
  const work = new Workspace("spec.ts");
  const program = `const a = new Thing("a"); const b = new Thing("b", { from: a.out });
const part = new Part("part"); const c = new Thing("part-c", { n: 1 }, { parent: part }); part.registerOutputs({ out: c.out });
const seen = []; b.out.apply((out) => seen.push(out));
new Thing("d", { n: 2 });
export const known = a.out; export const open = b.out; export const both = pulumi.all([a.out, c.out]).apply(([x, y]) => x + y);`;
  writeFileSync(join(work.dir, "index.ts"), HEAD + program);
  const options = { providers: fake.providers, targets: ["**::a", "**::d"] };
  for (const kind of ["preview", "up"] as const) {
    const done = await work.run(kind, options);
    expect(done.errors).toEqual([]);
    expect(done.steps).toEqual(["create a", "create d"]);
  }
  expect(fake.calls.sort()).toEqual(["create a", "create d"]);
  expect(Object.keys(work.resource("tiny-dev").outputs as object)).toEqual(["known"]);
});
