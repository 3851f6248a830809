import { expect, test } from "vitest";
import { versionFault } from "../../../engine/src/pulumiVersion.ts";

const met = (range: string): boolean => versionFault(range, "3.260.0") === undefined;

test("what is no range is refused", () => {
  for (const range of ["", "x.y", "newest", ">=3.0.0 ||", "|| 3.0.0", "=> 3.0.0", "3.0.0.0"]) {
    expect(versionFault(range, "3.260.0"), range).toMatch(/is no range of versions/);
  }
});

test("a range that leaves the version out is told with both", () => {
  for (const range of [
    ">3.260.0",
    "<3.260.0",
    "!3.260.0",
    "!=3.260.0",
    ">=4.0.0",
    "2.x",
    ">=3.0.0 !3.260.x",
    "<3.0.0 || >3.300.0",
  ]) {
    expect(versionFault(range, "3.260.0"), range).toContain(
      `${range} is required; the embedded engine stands for 3.260.0`,
    );
  }
});

test("all of a range, or one of several", () => {
  for (const range of [
    "3.260.0",
    "=3.260.0",
    "==v3.260.0",
    ">=3.0.0",
    ">= 3.260.0",
    "<=3.260.0",
    "3.x",
    "3.260.*",
    "!3.1.2",
  ]) {
    expect(met(range), range).toBe(true);
  }
  expect(met(">=3.5.0 !3.7.7 <4.0.0")).toBe(true);
  expect(met("<3.4.0 || >3.8.0")).toBe(true);
});
