import { rmSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { between } from "./between.ts";
import { exchanges, lines } from "./golden.ts";
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
});

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

/** What the real plugins sent in the same exchanges, header by header; that the recording's stubs were alive is not theirs. */
const sent = (name: string) =>
  (lines(name) as { method: string; path: string; headers: Record<string, string>; body: unknown }[]).filter(
    ({ path }) => path !== "/__health",
  );
const withoutHost = ({ Host: _, ...headers }: Record<string, string>) => Object.entries(headers);

test.each([
  ["WebUI", "sd-requests.jsonl", () => stage.webui.seen],
  ["language model", "llm-requests.jsonl", () => stage.modelRequests],
])("the %s was asked what the real plugin asked, in the same words", (_, name, seen) => {
  const theirs = sent(name);
  const ours = seen().slice(0, theirs.length);
  expect(theirs.length).toBeGreaterThan(1);
  for (const [number, { method, path, headers, body }] of theirs.entries())
    expect({ ...ours[number], headers: withoutHost(ours[number]?.headers ?? {}) }).toEqual({
      method,
      path,
      headers: withoutHost(headers),
      body,
    });
});

test.each(Object.entries(leftOut))("%s is left out no longer than it must be", (number, { at }) => {
  expect(seen[Number(number)]?.differences.some((each) => at.test(each))).toBe(true);
});
