import { expect, test } from "vitest";
import { assemble } from "../../stacks/assembly.ts";
import { needsOf } from "../../stacks/needs.ts";
import { parseSettings } from "../../stacks/schema.ts";

const sha256 = "a".repeat(64);
const models = [
  { name: "known", kind: "checkpoint", file: "a.safetensors", sha256, sources: [{ url: "https://a.example.com/a" }] },
  { name: "told-later", kind: "lora", file: "ink-v2.safetensors", sources: [{ url: "https://a.example.com/b" }] },
];

test("a closed host needs models without a sha256 too, and the service manager's packages where it wants them", () => {
  const settings = parseSettings({ host: { kind: "ssh", address: "gpu.example.com", keyFile: "k" }, models }, "t");
  const assembly = assemble("t", settings, undefined);
  const needs = needsOf(assembly, {});
  expect(needs).toContain(`model known\t${sha256}`);
  expect(needs).toContain("model told-later (of unknown sha256)\ttold-later/ink-v2.safetensors");
  expect(needs.filter((line) => line.startsWith("package supervisor "))).toEqual([
    expect.stringMatching(/^package supervisor [\d.]+\tsupervisor==[\d.]+( [0-9a-f]{64})+\tsupervisor$/),
  ]);
  const recorded = { "told-later": { file: "ink-v2.safetensors", bytes: 1, sha256: "b".repeat(64), source: "a" } };
  expect(needsOf(assembly, recorded)).toContain(`model told-later\t${"b".repeat(64)}`);
});
