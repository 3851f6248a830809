import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Clone, nowhere } from "./clone.ts";

const none =
  spawnSync("pulumi", ["version"], { timeout: 20_000 }).status === 0 ? "" : " (skipped: no `pulumi` on PATH)";

describe.skipIf(none)(`--engine pulumi, with the official CLI${none}`, () => {
  let clone: Clone;
  const secret = "hunter2-hunter2-hunter2";
  beforeAll(() => {
    clone = new Clone();
    clone.settings("official", { host: nowhere });
    clone.program(`
import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
const first = new command.local.Command("first", { create: "echo one" });
new command.local.Command("second", { create: "cat >/dev/null; echo two", stdin: pulumi.secret("${secret}") }, { dependsOn: [first] });
`);
  });
  afterAll(() => clone.remove());
  const settings = () => readFileSync(join(clone.dir, "stacks", "Pulumi.official.yaml"), "utf8");
  const run = (...args: string[]) => clone.run([...args, "--stack", "official", "--yes"]);

  test("a stack is made, shown as the embedded engine shows it, and the settings stay as they were", async () => {
    const before = settings();
    // What a killed run left: it may hold secrets.
    const left = join(clone.home, "official", "pulumi", "events-4194305.json");
    mkdirSync(dirname(left), { recursive: true });
    writeFileSync(left, secret);
    const { stdout, stderr } = await run("up", "--engine", "pulumi", "--verbose");
    expect(existsSync(left)).toBe(false);
    expect(stdout).toContain("Plan: 2 to create.");
    expect(stdout).toContain("+ first created");
    expect(stdout).toContain("+ second created");
    expect(`${stdout}${stderr}`).not.toContain(secret);
    expect(settings()).toBe(before);
  });

  test("the embedded engine then sees no changes", async () => {
    const { code, stdout } = await run("preview");
    expect(stdout).toBe("Plan: no changes, 2 resources.\n");
    expect(code).toBe(0);
  });

  test("a failure says what came back", async () => {
    const good = readFileSync(join(clone.dir, "stacks", "index.ts"), "utf8");
    writeFileSync(join(clone.dir, "stacks", "index.ts"), good.replace("echo one", "echo the disk is full >&2; exit 3"));
    const { code, stdout } = await run("up", "--engine", "pulumi");
    writeFileSync(join(clone.dir, "stacks", "index.ts"), good);
    expect(stdout).toMatch(/the disk is full[\s\S]*update failed at first/);
    expect(code).toBe(1);
  });

  test("down removes what was made, and leaves the settings alone", async () => {
    const before = settings();
    const { code, stdout } = await run("down", "--engine", "pulumi");
    expect(stdout).toContain("Removed 2 resources");
    expect(code).toBe(0);
    expect(settings()).toBe(before);
  });
});
