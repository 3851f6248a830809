import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { NodeChild } from "../../../engine/src/deploy/program/childProcess.ts";

/** What a script prints that is run with some variables and a hidden one. */
async function linesOf(text: string, hidden: string, more: Record<string, string> = {}): Promise<string> {
  const dir = mkdtempSync(join(tmpdir(), "engine-hidden-"));
  const script = join(dir, "script.mjs");
  writeFileSync(script, text);
  const child = new NodeChild({ script, env: { PATH: process.env.PATH ?? "", ...more } });
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
  return lines.join("\n");
}

test("a hidden variable is read by the child, and by nobody through it", async () => {
  // Longer than what is read at once.
  const hidden = `hunter2 "\\\n${"x".repeat(200_000)}`;
  const lines = await linesOf(
    `import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
console.log(process.env.HIDDEN, "HIDDEN" in process.env, Object.keys(process.env).includes("HIDDEN"));
console.log(/hunter/.test(execFileSync(process.execPath, ["-p", "JSON.stringify(process.env)"], { encoding: "utf8" })));
console.log(existsSync("/proc/self/environ") && /hunter/.test(readFileSync("/proc/self/environ", "utf8")));
console.log(/hunter|"environmentVariables"/.test(JSON.stringify(process.report.getReport())));
process.env.ADDED = "yes";
console.log(execFileSync(process.execPath, ["-p", "process.env.ADDED"], { encoding: "utf8" }).trim());
`,
    hidden,
  );
  expect(lines).toBe(`${hidden} true false\nfalse\nfalse\nfalse\nyes`);
});

test("variables that are there already are set and taken away as in any process; a hidden one stays hidden", async () => {
  const lines = await linesOf(
    `import { execFileSync } from "node:child_process";
const inChild = () => execFileSync(process.execPath, ["-p", "[process.env.FIRST, process.env.HIDDEN, process.env.LAST].join()"], { encoding: "utf8" }).trim();
process.env.FIRST = process.env.FIRST + ":/x";
process.env.HIDDEN += "3";
Object.assign(process.env, { LAST: 7 });
console.log(process.env.FIRST, process.env.HIDDEN, process.env.LAST, Object.keys(process.env).includes("HIDDEN"));
console.log(inChild());
console.log(delete process.env.FIRST, delete process.env.HIDDEN, process.env.FIRST, process.env.HIDDEN, "HIDDEN" in process.env);
process.env.HIDDEN = "shown";
console.log(inChild());
`,
    "hunter2",
    { FIRST: "first" },
  );
  expect(lines).toBe("first:/x hunter23 7 false\nfirst:/x,,7\ntrue true undefined undefined false\n,shown,7");
});
