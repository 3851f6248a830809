import { mkdirSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { programsOf } from "./programsOf.ts";
import { Workspace } from "./workspace.ts";

/** The program's process starts before Pulumi.yaml is read: it must become the one that Pulumi.yaml wants. */
function workspaceOf(program: string, options = ""): Workspace {
  const work = new Workspace("spec.ts");
  work.write(
    "Pulumi.yaml",
    `name: tiny\nruntime:\n  name: nodejs\n  options:\n    typescript: false\n${options}main: sub/index.ts\n`,
  );
  mkdirSync(join(work.dir, "sub"), { recursive: true });
  work.write("sub/index.ts", program);
  return work;
}

test("a program in a folder with an SDK of its own runs under that one", async () => {
  const work = workspaceOf("");
  const sdk = "sub/node_modules/@pulumi/pulumi";
  mkdirSync(join(work.dir, sdk, "cmd", "run"), { recursive: true });
  work.write(`${sdk}/package.json`, JSON.stringify({ name: "@pulumi/pulumi", version: "3.0.0" }));
  work.write(`${sdk}/cmd/run/index.js`, 'console.log("the other SDK, asked for", process.argv.at(-1));');
  const { result, events } = await work.run("up");
  expect(result).toBe("failed");
  expect(JSON.stringify(events)).toContain("the other SDK, asked for index.ts");
});

test("an SDK that only the program's folder has is found there", async () => {
  const work = workspaceOf('import * as pulumi from "@pulumi/pulumi";\nexport const stack = pulumi.getStack();\n');
  renameSync(join(work.dir, "node_modules"), join(work.dir, "sub", "node_modules"));
  const { errors, outputs } = await work.run("up");
  expect(errors).toEqual([]);
  expect(outputs).toMatchObject({ stack: { value: work.stack } });
});

test("node's arguments in Pulumi.yaml hold, and their paths are of the program's folder", async () => {
  const options = '    nodeargs: "--require ./first.cjs --stack-trace-limit=7"\n';
  const work = workspaceOf("export const limit = Error.stackTraceLimit;\n", options);
  work.write("sub/first.cjs", 'require("node:fs").appendFileSync("log", "first\\n");\n');
  const { errors, outputs } = await work.run("up");
  expect(errors).toEqual([]);
  expect(outputs).toMatchObject({ limit: { value: 7 } });
  expect(readFileSync(join(work.dir, "sub", "log"), "utf8")).toBe("first\n");
});

test("NODE_OPTIONS hold as well, and mean the program's folder", async () => {
  const work = workspaceOf("export const found = (globalThis as { first?: boolean }).first ?? false;\n");
  work.write("sub/first.cjs", "globalThis.first = true;\n");
  const { errors, outputs } = await work.run("up", { env: { NODE_OPTIONS: "--require ./first.cjs" } });
  expect(errors).toEqual([]);
  expect(outputs).toMatchObject({ found: { value: true } });
});

test("a process that ends before it is told anything is heard", async () => {
  const { result, events } = await new Workspace("spec.ts").run("up", { env: { NODE_OPTIONS: "--no-such-option" } });
  expect(result).toBe("failed");
  expect(JSON.stringify(events)).toContain("--no-such-option is not allowed in NODE_OPTIONS");
});

test("what the caller gives of the environment goes before what Pulumi.yaml says", async () => {
  const program = 'export const config = process.env.PULUMI_NODEJS_TSCONFIG_PATH ?? "none";\n';
  const work = workspaceOf(program, "    tsconfig: of-the-project.json\n");
  for (const whose of ["project", "caller"]) work.write(`sub/of-the-${whose}.json`, "{}");
  const told = async (env?: Record<string, string>) => (await work.run("up", { env })).outputs.config?.value;
  expect(await told()).toBe("of-the-project.json");
  expect(await told({ PULUMI_NODEJS_TSCONFIG_PATH: "of-the-caller.json" })).toBe("of-the-caller.json");
});

test("packages that are loaded late are there for the program", async () => {
  const work = workspaceOf(`import semver, { satisfies } from "semver";
import yaml from "js-yaml";
export const newer = semver.gt("1.10.0", "1.9.0") && satisfies("1.2.3", "^1.0.0");
export const three = (yaml.load("{ a: 3 }") as { a: number }).a;
`);
  const { errors, outputs } = await work.run("up");
  expect(errors).toEqual([]);
  expect(outputs).toMatchObject({ newer: { value: true }, three: { value: 3 } });
});

test.runIf(process.platform === "linux")("an operation that comes to nothing leaves no process", async () => {
  const work = workspaceOf("");
  work.write("Pulumi.yaml", "name: tiny\nruntime: python\n");
  let started = 0;
  const looking = setInterval(() => {
    started = Math.max(started, programsOf(process.pid).length);
  }, 1);
  await expect(work.run("up")).rejects.toThrow(/runtime "python"/);
  clearInterval(looking);
  expect(programsOf(process.pid)).toEqual([]);
  expect(started).toBe(1);
});

test("what a program prints as its last is heard whole, however slow the engine is to read", async () => {
  const work = workspaceOf(`
process.on("exit", () => {
  for (let line = 0; line < 60; line++) console.error("x".repeat(20_000));
  console.error("its last word");
});`);
  let held = false;
  const { result, events } = await work.run("up", {
    onEvent: ({ diagnosticEvent }) => {
      if (held || !diagnosticEvent?.message.startsWith("xxx")) return;
      held = true;
      // Nobody reads meanwhile.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000);
    },
  });
  expect([result, held]).toEqual(["succeeded", true]);
  const lines = events.flatMap(({ diagnosticEvent }) => diagnosticEvent?.message.trimEnd() ?? []);
  expect(lines.filter((line) => /^x{20000}$/.test(line))).toHaveLength(60);
  expect(lines).toContain("its last word");
});

test("a program that crashes is over, though a process that it started holds its output; all of its own is kept", async () => {
  const work = workspaceOf(`import { spawn } from "node:child_process";
const held = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { detached: true, stdio: "inherit" });
held.unref();
process.stdout.write(Array.from({ length: 20_000 }, (_, i) => \`line \${i} of \${held.pid}\\n\`).join("") + "no end of line");
throw new Error("crashed");
`);
  const { result, events, diagnostics } = await work.run("up");
  const said = events.flatMap(({ diagnosticEvent }) => diagnosticEvent?.message.trimEnd() ?? []);
  const lines = said.filter((line) => line.startsWith("line "));
  // It lives: this throws where it does not.
  process.kill(Number(lines[0]?.split(" ").at(-1)), "SIGKILL");
  expect(result).toBe("failed");
  expect(lines.length).toBe(20_000);
  expect(said).toContain("no end of line");
  expect(said.join("\n")).toContain("Error: crashed");
  const warnings = diagnostics.filter(({ severity }) => severity === "warning").map(({ message }) => message);
  expect(warnings.join()).toContain("a process that it started still holds its output");
});

test("standard input is empty, for a program and for what it starts: who reads it is not kept waiting", async () => {
  const { errors, outputs } = await workspaceOf(`
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
export const own = readFileSync(0, "utf8");
export const child = execFileSync("cat", { stdio: ["inherit", "pipe", "pipe"], encoding: "utf8" });
`).run("up");
  expect(errors).toEqual([]);
  expect(outputs).toMatchObject({ own: { value: "" }, child: { value: "" } });
}, 60_000);
