import { describe, expect, test } from "vitest";
import { cleanLine, cleanLines, column, cut, seconds, widthOf } from "../../../scripts/cli/display/text.ts";

describe("foreign text", () => {
  test.each([
    ["\x1b[31mred\x1b[0m", "red"],
    ["\x1b]0;title\x07text", "text"],
    ["10 %\r20 %\r100 %\n", "100 %"],
    ["<{%fg 1%}>error<{%reset%}>", "error"],
    ["a\tb\x08\x00c", "a  bc"],
    ["windows line\r\n", "windows line"],
  ])("%j", (text, clean) => {
    expect(cleanLine(text)).toBe(clean);
  });

  test("empty lines go from both ends only", () => {
    expect(cleanLines("\n\na\n\nb\n\n")).toEqual(["a", "", "b"]);
  });
});

describe("width", () => {
  test.each([
    ["abc", 3],
    ["下载中", 6],
    ["e\u0301", 1],
    ["⠋", 1],
  ])("%s takes %i columns", (text, width) => {
    expect(widthOf(text)).toBe(width);
  });

  test("what is cut never takes more than it may", () => {
    for (const text of ["models 41 % 62 MB/s", "下载中 下载中", "", "x"])
      for (let columns = 0; columns < 25; columns++) expect(widthOf(cut(text, columns))).toBeLessThanOrEqual(columns);
  });

  test("a column is as wide as it is told", () => {
    expect(column("wheels", 8)).toBe("wheels  ");
    expect(column("host-preflight", 8)).toBe("host-pr…");
  });
});

test("seconds", () => {
  expect([0.04, 12.34, 125].map(seconds)).toEqual(["0.0 s", "12.3 s", "2 min 5 s"]);
});
