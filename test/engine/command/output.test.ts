import { describe, expect, it } from "vitest";
import { Output } from "../../../engine/src/providers/command/output.ts";

/** What is shown of a text that comes in pieces of so many bytes. */
function shown(text: string, piece: number, logging?: string) {
  const lines: string[] = [];
  const output = new Output((line) => lines.push(line.text), logging);
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += piece) output.push("stdout", bytes.subarray(at, at + piece));
  output.end();
  return { lines, output };
}

describe("what a command says", () => {
  it("cuts no word in two, in a line without end and in an error", () => {
    const word = "half-of-this-word-is-no-secret";
    const { lines, output } = shown(`${`${word} `.repeat(40_000)}`, 32_768);
    expect(lines.length).toBeGreaterThan(10);
    for (const text of [...lines, output.all()]) {
      const words = text.split(/\s+/).filter((part) => part !== "" && part !== "…");
      expect(words.filter((part) => part !== word && !/^\(?\d+$|^characters$|^left$|^out\)$/.test(part))).toEqual([]);
    }
    expect(output.all()).toMatch(/characters left out/);
  });

  it.each([1, 2, 3, 1000])("is whole, whatever the pieces: %i bytes", (piece) => {
    const text = "grüße 模型 👩‍💻\nsecond\r\nlast\n\n";
    const { lines, output } = shown(text, piece);
    expect(output.of("stdout")).toBe(text.slice(0, -1));
    expect(output.all()).toBe(text);
    expect(lines).toEqual(["grüße 模型 👩‍💻", "second", "last", ""]);
  });
});
