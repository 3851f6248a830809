import { rmSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { between } from "./between.ts";
import { exchanges } from "./golden.ts";
import { Stage } from "./replay.ts";

const recorded = exchanges();
const stage = new Stage();
const seen: { note: string; differences: string[] }[] = [];

/** Differences that are allowed, by number and path: what can't be the same here, and why. */
const leftOut: Record<number, { at: RegExp; why: string }> = {
  45: { at: /\.message: "failed to launch plugin: failed to install dependencies: /, why: "the words of a real uv" },
  145: { at: /^\$\.error: "Invalid YAML format: .* here/, why: "the words of PyYAML" },
};

beforeAll(async () => {
  await stage.start();
  for (const [number, exchange] of recorded.entries()) {
    await between[number]?.(stage);
    seen.push({ note: exchange.note, differences: await stage.replay(exchange) });
  }
}, 120_000);

afterAll(async () => {
  await stage.stop();
  for (const folder of stage.folders) rmSync(folder, { recursive: true, force: true });
});

describe("as the real Dify 1.14.2 answered", () => {
  test.each(recorded.map(({ note }, number) => [number, note] as const))("%i %s", (number) => {
    const { differences } = seen[number] ?? { differences: ["not replayed"] };
    const allowed = leftOut[number];
    expect(differences.filter((each) => !allowed?.at.test(each)).join("\n")).toBe("");
  });
});

test.each(Object.entries(leftOut))("%s is left out no longer than it must be", (number, { at }) => {
  expect(seen[Number(number)]?.differences.some((each) => at.test(each))).toBe(true);
});
