import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { globFiles } from "../../../engine/src/providers/command/glob.ts";

describe("globFiles", () => {
  let dir: string;
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), "atelier-glob-"));
    for (const file of ["assets/logos/logo.svg", "src/index.js", "src/secret.js", "a.txt", "b.txt", ".hidden"]) {
      mkdirSync(dirname(join(dir, file)), { recursive: true });
      writeFileSync(join(dir, file), "");
    }
  });
  afterAll(() => rmSync(dir, { recursive: true, force: true }));

  it.each([
    [["a[.txt"], /without its "\]"/],
    [["{a,b"], /without its "}"/],
  ])("refuses %j", async (patterns, message) => {
    await expect(globFiles(dir, patterns)).rejects.toThrow(message);
  });

  it.each([
    [
      ["assets/**", "src/**.js", "!**secret.*"],
      ["assets/logos/logo.svg", "src/index.js"],
    ],
    [["*"], [".hidden", "a.txt", "b.txt"]],
    [["[!a].txt"], ["b.txt"]],
    [["{a,b}.t?t"], ["a.txt", "b.txt"]],
    [["!a.txt", "a.txt"], ["a.txt"]],
    [["src/*"], ["src/index.js", "src/secret.js"]],
  ])("%j gives %j", async (patterns, expected) => {
    expect(await globFiles(dir, patterns)).toEqual(expected);
  });
});
