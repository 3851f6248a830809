import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { noOfficial } from "../engine/interchange/official.ts";
import { Clone, type Finished } from "./clone.ts";

/** A row of commands on this machine: the host itself is never dialled. */
const program = (word: string) => `
import * as command from "@pulumi/command";
const a = new command.local.Command("a", { create: "echo ${word}" });
const b = new command.local.Command("b", { create: "echo ${word}", stdin: a.stdout });
new command.local.Command("c", { create: "echo ${word}" }, { dependsOn: [b] });
`;

let clone: Clone;
const run = (...args: string[]): Promise<Finished> => clone.run([...args, "--stack", "box"]);
const urn = (name: string, stack = "box") => `urn:pulumi:${stack}::atelier::command:local:Command::${name}`;

async function exported(
  ...args: string[]
): Promise<{ deployment: { resources: { urn: string; protect?: boolean }[] } }> {
  return JSON.parse((await run("stack", "export", ...args)).stdout);
}
const names = async () => (await exported()).deployment.resources.map((state) => state.urn.split("::").at(-1));

beforeAll(async () => {
  clone = new Clone();
  clone.program(program("one"));
  clone.settings("box", {
    host: {
      kind: "ssh",
      platform: "plain",
      address: "127.0.0.1",
      port: 9,
      user: "none",
      password: "none",
      hostKey: "ssh-ed25519 AAAA",
      workspace: "/nowhere/atelier",
    },
  });
  // The program has no WebUI, so that the update's proof fails once its resources are made.
  const { stdout } = await run("up", "--yes");
  expect(stdout).toContain("+ c created");
});
afterAll(() => clone.remove());

describe("a part of a stack", () => {
  test("preview and up of one target; a mistyped one is an error", async () => {
    clone.program(program("two"));
    const seen = await run("preview", "--target", urn("a"));
    expect(seen.stdout).toMatch(/~ a +update/);
    expect(seen.stdout).not.toMatch(/~ c/);
    const mistyped = await run("preview", "--target", urn("x"));
    expect(mistyped.code).toBe(1);
    expect(mistyped.stdout).toContain("there is no such resource");
    const part = await run("up", "--yes", "--target", "**::a", "--target-dependents", "--replace", urn("a"));
    const { stdout } = part;
    expect([part.code, stdout]).toEqual([
      0,
      expect.stringContaining("so nothing was checked. The whole: npx atelier up"),
    ]);
    expect(stdout).toMatch(/± a replaced/);
    expect(stdout).toMatch(/~ b updated/);
    expect((await run("preview")).stdout).toContain("no changes");
  });

  test.skipIf(noOfficial !== undefined)("the official engine is given the same flags", async () => {
    clone.program(program("three"));
    const { stdout } = await run("up", "--yes", "--engine", "pulumi", "--target", urn("a"), "--replace", urn("a"));
    expect(stdout).toMatch(/± a replaced/);
    expect(stdout).not.toMatch(/c updated/);
    expect((await run("up", "--yes")).stdout).toMatch(/~ c updated/);
    // The official plugin takes the word of whoever imports a command, which nobody can read.
    const imported = await run("import", "command:local:Command", "x", "some-id", "--engine", "pulumi", "--yes");
    expect(imported.stdout).toMatch(/new command.local.Command\("x", {}, { protect: true }\);/);
    expect((await run("state", "delete", urn("x"), "--force", "--yes")).code).toBe(0);
  });
});

describe("the state", () => {
  test("is protected and unprotected by name; what something leans on is not taken out unasked", async () => {
    expect((await run("state", "delete")).code).toBe(2);
    expect((await run("state", "protect", urn("c"), "--yes")).stdout).toContain("Protected: 1 resource");
    // All that there is is protected, or needed by what is.
    const spared = await run("down", "--exclude-protected", "--yes");
    expect(spared.stdout).toMatch(/left with what they need: 1 resource[\s\S]*nothing to remove/);
    expect(spared.code).toBe(0);
    const refused = await run("state", "delete", urn("a"), "--yes");
    expect(refused.code).toBe(1);
    expect(refused.stderr).toMatch(/--target-dependents[\s\S]*::b[\s\S]*Protected[\s\S]*::c/);
    expect(JSON.parse((await run("state", "unprotect", "--all", "--yes", "--json")).stdout).urns).toEqual([urn("c")]);
  });

  test("goes out to a file and comes back; a stack without a terminal is not changed unasked", async () => {
    const file = join(clone.dir, "state.json");
    const told = await run("stack", "export", "--file", file, "--json");
    expect(JSON.parse(told.stdout)).toEqual({ stack: "box", file });
    expect((await run("state", "delete", urn("c"))).code).toBe(2);
    await run("state", "delete", urn("c"), "--yes");
    expect(await names()).not.toContain("c");
    expect((await run("stack", "import", "--file", file, "--yes")).stdout).toContain("The state before is kept");
    expect(await names()).toContain("c");
    const again = await run("stack", "import", "--file", file, "--yes", "--json");
    expect(JSON.parse(again.stdout)).toMatchObject({ stack: "box", resources: expect.any(Number), warnings: [] });
    expect(again.stderr).toContain("The state before is kept");
    writeFileSync(file, readFileSync(file, "utf8").replaceAll("urn:pulumi:box::", "urn:pulumi:other::"));
    const foreign = await run("stack", "import", "--file", file, "--yes");
    expect(foreign.code).toBe(1);
    expect(foreign.stderr).toContain('is of the stack "other"');
  });

  test("tells its history, and what can't be imported", async () => {
    const history = JSON.parse((await run("stack", "history", "--json")).stdout) as { kind: string; version: number }[];
    expect(history.map(({ kind }) => kind)).toContain("import");
    expect(history.at(-1)).toMatchObject({ version: 1, kind: "update", result: "succeeded" });
    expect((await run("stack", "history")).stdout).toMatch(/ 1 {2}\d{4}-.*update +succeeded.*4 create/);
    const refused = await run("import", "command:local:Command", "x", "some-id", "--yes");
    expect(refused.code).toBe(1);
    expect(refused.stdout).toContain("can't read what is there");
  });

  test("is renamed with its settings; then a part of it is removed, then the rest", async () => {
    expect((await run("stack", "rename", "../x", "--yes")).code).toBe(2);
    expect(await run("stack", "rename", "state", "--yes")).toMatchObject({ code: 2, stdout: "" });
    const beside = (stack: string, ...path: string[]) => join(clone.home, stack, ...path);
    mkdirSync(beside("crate", "host"), { recursive: true });
    mkdirSync(beside("box", "pulumi"), { recursive: true });
    for (const [stack, file] of [
      ["box", "hostkey"],
      ["box", "bundle.port"],
      ["crate", "hostkey"],
      ["crate", "bundle.folder"],
    ] as const)
      writeFileSync(beside(stack, file), stack);
    const taken = await run("stack", "rename", "crate", "--yes");
    expect([taken.code, taken.stderr]).toEqual([
      1,
      expect.stringMatching(/crate has something of another stack.*: host\./),
    ]);
    rmSync(beside("crate", "host"), { recursive: true });
    const { stdout } = await run("stack", "rename", "crate", "--yes", "--json");
    expect(JSON.parse(stdout)).toMatchObject({ stack: "crate", before: "box" });
    expect(existsSync(beside("box"))).toBe(false);
    expect(readdirSync(beside("crate")).sort()).toEqual(
      expect.arrayContaining(["bundle.folder", "bundle.port", "hostkey"]),
    );
    expect(readFileSync(beside("crate", "hostkey"), "utf8")).toBe("box");
    expect(stdout).toContain("Pulumi.crate.yaml");
    expect((await run("status")).stderr).toContain("There is no stack `box`");
    const down = await clone.run(["down", "--stack", "crate", "--yes", "--target", urn("c", "crate")]);
    expect(down.stdout).toMatch(/- c deleted/);
    expect(down.stdout).toContain("Removed 1 resource");
    expect((await clone.run(["down", "--stack", "crate", "--yes"])).stdout).toMatch(/- a deleted/);
  });
});
