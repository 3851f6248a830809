import { expect, test } from "vitest";
import { formatDuration, parseDuration } from "../../../engine/src/duration.ts";
import { duration } from "../../../stacks/dify/duration.ts";

test("a time is written as the engine tells it again", () => {
  const written = [5, 60, 90, 180, 600, 3600, 3661].map(duration);
  expect(written).toEqual(["5s", "1m0s", "1m30s", "3m0s", "10m0s", "1h0m0s", "1h1m1s"]);
  for (const one of written) expect(formatDuration(parseDuration(one) ?? Number.NaN)).toBe(one);
});
