import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { NodeChild } from "../../../engine/src/deploy/program/childProcess.ts";

test("a hidden variable is read by the child, and by nobody through it", async () => {
  const dir = mkdtempSync(join(tmpdir(), "engine-hidden-"));
  const script = join(dir, "script.mjs");
  writeFileSync(
    script,
    `import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
console.log(process.env.HIDDEN, "HIDDEN" in process.env, Object.keys(process.env).includes("HIDDEN"));
console.log(/hunter/.test(execFileSync(process.execPath, ["-p", "JSON.stringify(process.env)"], { encoding: "utf8" })));
console.log(existsSync("/proc/self/environ") && /hunter/.test(readFileSync("/proc/self/environ", "utf8")));
console.log(/hunter|"environmentVariables"/.test(JSON.stringify(process.report.getReport())));
process.env.ADDED = "yes";
console.log(execFileSync(process.execPath, ["-p", "process.env.ADDED"], { encoding: "utf8" }).trim());
`,
  );
  // Longer than what is read at once.
  const hidden = `hunter2 "\\\n${"x".repeat(200_000)}`;
  const env = { PATH: process.env.PATH ?? "" };
  const child = new NodeChild({ script, env });
  child.run({ cwd: dir, args: [], hidden: { HIDDEN: hidden } });
  const lines: string[] = [];
  const errors: string[] = [];
  child.lines("stdout", (line) => lines.push(line));
  child.lines("stderr", (line) => errors.push(line));
  const { code } = await child.exited;
  await child.drained();
  rmSync(dir, { recursive: true, force: true });
  expect(errors).toEqual([]);
  expect(code).toBe(0);
  expect(lines.join("\n")).toBe(`${hidden} true false\nfalse\nfalse\nfalse\nyes`);
});
