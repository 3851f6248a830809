import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { writeContext } from "../../scripts/cli/imageContext.ts";
import { assemble } from "../../stacks/assembly.ts";
import { parseSettings } from "../../stacks/schema.ts";

const dir = mkdtempSync(join(tmpdir(), "atelier-context-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const settings = parseSettings(
  {
    host: { kind: "docker", proxy: "http://user:hunter2@proxy.example.com:3128" },
    huggingfaceToken: "hf_secret",
  },
  "t",
);
const written = (models: boolean) => {
  writeContext(dir, settings, assemble("t", settings, undefined), models);
  return readdirSync(join(dir, "inputs"));
};

it("an image's context tells each step what a host's is told, without models unless they are wanted", () => {
  const steps = ["00-workspace.sh", "20-packages.sh", "30-python.sh", "40-sources.sh", "50-wheels.sh", "80-service.sh"];
  expect(written(true)).toContain("60-models.sh");
  expect(written(false)).toEqual([...steps, "85-gate.sh"]);
  const wheels = readFileSync(join(dir, "inputs", "50-wheels.sh"), "utf8");
  expect(wheels).toContain("workspace=/atelier/workspace\n");
  expect(wheels).toMatch(/^lock=.*torch==2\.1\.2/m);
  expect(readFileSync(join(dir, "inputs", "80-service.sh"), "utf8")).toContain("prepare=yes\n");
});

it("an image's context holds no secret", () => {
  const all = written(true).map((name) => readFileSync(join(dir, "inputs", name), "utf8"));
  expect(all.join("\n")).not.toMatch(/hunter2|hf_secret/);
});
