import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { installer } from "../../stacks/scripts.ts";
import { renderInputs } from "../../stacks/step.ts";
import { fc } from "../helpers/random.ts";

describe("a step's standard input", () => {
  it("is sorted lines of key=value, an item of a list a line", () => {
    expect(renderInputs({ port: 8080, a: "x\\y", list: ["one\ttwo", "three"] })).toBe(
      "a=x\\\\y\nlist=one\ttwo\\nthree\nport=8080\n",
    );
  });

  it("comes back from printf '%b' as it was", () => {
    fc.assert(
      fc.property(
        fc.string().filter((text) => !text.includes("\0") && !text.endsWith("\n")),
        (text) => {
          const rendered = renderInputs({ v: text }).slice(2, -1);
          expect(rendered).not.toContain("\n");
          expect(execFileSync("sh", ["-c", 'printf %b "$1"', "sh", rendered]).toString()).toBe(text);
        },
      ),
      { numRuns: 60 },
    );
  });
});

describe("the installer", () => {
  const scripts = resolve(import.meta.dirname, "../../scripts/host");

  it("lays every script into bin with its text and mode, and removes strays", () => {
    const workspace = mkdtempSync(join(tmpdir(), "atelier-bin-"));
    execFileSync("sh", ["-s"], { input: installer(workspace, "") });
    writeFileSync(join(workspace, "bin", "stray.sh"), "echo stray");
    const output = execFileSync("sh", ["-s"], { input: installer(workspace, "again") }).toString();

    const files = readdirSync(scripts).filter((file) => /\.(sh|py)$/.test(file));
    expect(files.length).toBeGreaterThan(8);
    expect(JSON.parse(output)).toEqual({ step: "scripts", files: files.length });
    expect(readdirSync(workspace)).toEqual(["bin"]);
    expect(readdirSync(join(workspace, "bin")).sort()).toEqual(files.sort());
    for (const file of files) {
      expect(readFileSync(join(workspace, "bin", file), "utf8")).toBe(readFileSync(join(scripts, file), "utf8"));
      expect(statSync(join(workspace, "bin", file)).mode & 0o777).toBe(0o700);
    }
  });
});
