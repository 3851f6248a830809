import { createRequire } from "node:module";
import { expect, test } from "vitest";
import { withOwnSdk } from "./ownSdk.ts";
import { Workspace } from "./workspace.ts";

/** What the preload of programs leaves out of the SDK's start, and that it is there for who asks. */
function programOf(text: string): Workspace {
  const workspace = new Workspace("spec.ts");
  workspace.write("index.ts", `import * as pulumi from "@pulumi/pulumi";\n${text}`);
  return workspace;
}

test("debug messages are sent where they are wanted, and nowhere else", async () => {
  const workspace = programOf(`pulumi.log.debug("a word of debugging"); pulumi.log.info("a word of news");`);
  const said = async (debug: boolean) =>
    (await workspace.run("preview", { debug })).events.flatMap(({ diagnosticEvent }) =>
      diagnosticEvent ? [`${diagnosticEvent.severity} ${diagnosticEvent.message.trim()}`] : [],
    );
  const quiet = await said(false);
  expect(quiet).toContain("info a word of news");
  expect(quiet.filter((line) => line.startsWith("debug"))).toEqual([]);
  const loud = await said(true);
  expect(loud).toContain("debug a word of debugging");
  expect(loud.some((line) => line.startsWith("debug Registering resource"))).toBe(true);
});

test("a resource that waits for ever fails the program, in the SDK's own words, whoever counts its promises", async () => {
  const workspace = programOf(`
import { local } from "@pulumi/command";
new local.Command("first", { create: "true" });
new local.Command("stuck", { create: pulumi.output(new Promise<string>(() => {})) });`);
  const outcome = async (env: Record<string, string | undefined>) => {
    const { result, events } = await workspace.run("preview", { env });
    return { result, said: events.map(({ diagnosticEvent }) => diagnosticEvent?.message.trimEnd() ?? "").join("\n") };
  };
  // With the variable set, the SDK counts by itself.
  for (const env of [{}, { PULUMI_DEBUG_PROMISE_LEAKS: "1" }]) {
    const { result, said } = await outcome(env);
    expect(result).toBe("failed");
    expect(said).toMatch(/exited before the following resource\nregistrations could complete:\n {2}\* "stuck"/);
  }
});

test("functions are serialized, and the packages that they need are found", async () => {
  const workspace = programOf(`
const greeting = "hello";
const serialized = await pulumi.runtime.serializeFunction(() => greeting.length);
const paths = await pulumi.runtime.computeCodePaths({ extraExcludePackages: ["@pulumi/pulumi"] });
export const text = serialized.text.includes("greeting.length");
export const packages = paths instanceof Map;`);
  const outcome = await workspace.run("up");
  expect(outcome.errors).toEqual([]);
  expect(outcome.outputs).toMatchObject({ text: { value: true }, packages: { value: true } });
});

test("a compiled program that throws is told of in the lines that it was written in, and without a terminal's colours", async () => {
  const workspace = new Workspace("spec.ts");
  workspace.write("Pulumi.yaml", "name: tiny\nruntime: nodejs\nmain: compiled.cjs\n");
  workspace.write(
    "compiled.cjs",
    `function f() { throw new Error("\\x1b[31mboom\\x1b[0m"); }\nf();\n//# sourceMappingURL=compiled.cjs.map\n`,
  );
  // The first line is from the fourth of written.ts, the second from its fifth.
  const map = { version: 3, file: "compiled.cjs", sources: ["written.ts"], names: [], mappings: "AAGA;AACA" };
  workspace.write("compiled.cjs.map", JSON.stringify(map));
  const { errors } = await workspace.run("preview");
  expect(errors.join()).toMatch(/Error: boom\n +at f \(\S+written\.ts:4:1\)\n.*written\.ts:5:1/);
  expect(errors.join()).not.toContain("\u001b");
});

test("a function that can't be serialized is told with the file that it is from", async () => {
  const workspace = programOf(`
const native = Math.max.bind(undefined);
export const why = await pulumi.runtime.serializeFunction(() => native(1)).catch((error: Error) => error.message);`);
  const { outputs } = await workspace.run("up");
  expect(JSON.stringify(outputs)).toMatch(/index\.ts\(\d+,\d+\)/);
});

test("a program that uses the SDK's packages itself may call them, make objects of them and extend them", async () => {
  const workspace = withOwnSdk();
  // A class by itself, and a package of SDKs before 3.276.
  const modules = "node_modules/@npmcli/arborist";
  workspace.write(`${modules}/package.json`, JSON.stringify({ name: "@npmcli/arborist", main: "index.js" }));
  workspace.write(`${modules}/index.js`, "module.exports = class { constructor({ path }) { this.path = path; } };\n");
  workspace.write(
    "index.ts",
    `
import Arborist from "@npmcli/arborist";
import normalize from "normalize-package-data";
const packaged = { name: " spaced ", version: "1.0.0" };
normalize(packaged);
const tree = new Arborist({ path: "/nowhere" });
class Own extends Arborist {}
const own = new Own({ path: "/elsewhere" });
export const name = packaged.name;
export const paths = [tree.path, own.path];
export const kinds = [tree instanceof Arborist, own instanceof Own, own instanceof Arborist, typeof normalize.fixer];`,
  );
  const outcome = await workspace.run("preview");
  expect(outcome.errors).toEqual([]);
  expect(outcome.outputs).toMatchObject({
    name: { value: "spaced" },
    paths: { value: ["/nowhere", "/elsewhere"] },
    kinds: { value: [true, true, true, "object"] },
  });
});

test("a program finds the SDK's way to run programs", async () => {
  const workspace = programOf(`
import { LocalWorkspace } from "@pulumi/pulumi/automation/index.js";
export const same = pulumi.automation.LocalWorkspace === LocalWorkspace;
export const kind = typeof LocalWorkspace.create;`);
  const outcome = await workspace.run("up");
  expect(outcome.errors).toEqual([]);
  expect(outcome.outputs).toMatchObject({ same: { value: true }, kind: { value: "function" } });
});

test("what stands in for the SDK's tracing has every member of it", () => {
  const tracing = createRequire(import.meta.url)("@pulumi/pulumi/cmd/run/tracing") as object;
  expect(Object.keys(tracing).sort()).toEqual(["newSpan", "start", "stop"]);
});
