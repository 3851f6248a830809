import { stripVTControlCharacters } from "node:util";

/**
 * One line of foreign text made safe for a terminal: no escapes, no carriage returns (what a progress bar overwrote is
 * dropped), no other control characters, none of Pulumi's colour marks.
 */
export function cleanLine(text: string): string {
  const line =
    text
      .replace(/[\r\n]+$/, "")
      .split("\r")
      .at(-1) ?? "";
  return stripVTControlCharacters(line)
    .replace(/<\{%[^%]*%\}>/g, "")
    .replaceAll("\t", "  ")
    .replace(/\p{Cc}/gu, "");
}

/** The lines of a message, each cleaned, without empty ones at either end. */
export function cleanLines(text: string): string[] {
  const lines = text.split("\n").map(cleanLine);
  while (lines.length > 0 && lines[0]?.trim() === "") lines.shift();
  while (lines.length > 0 && lines.at(-1)?.trim() === "") lines.pop();
  return lines;
}

/** Columns that a text takes. */
export function widthOf(text: string): number {
  let width = 0;
  for (const character of text) width += columnsOf(character);
  return width;
}

/** A text cut to `columns`, with an ellipsis where something is lost. */
export function cut(text: string, columns: number): string {
  if (columns <= 0) return "";
  if (widthOf(text) <= columns) return text;
  let width = 0;
  let kept = "";
  for (const character of text) {
    width += columnsOf(character);
    if (width > columns - 1) break;
    kept += character;
  }
  return `${kept.trimEnd()}…`;
}

/** A text cut or filled to exactly `columns`. */
export function column(text: string, columns: number): string {
  const kept = cut(text, columns);
  return kept + " ".repeat(Math.max(0, columns - widthOf(kept)));
}

const combining = /\p{M}|\u200d|[\ufe00-\ufe0f]/u;
const wide =
  /\p{Script=Han}|\p{Script=Hangul}|\p{Script=Hiragana}|\p{Script=Katakana}|[\u3000-\u303f\uff01-\uff60]|\p{Extended_Pictographic}/u;

function columnsOf(character: string): number {
  if (character < "\u0300") return 1;
  if (combining.test(character)) return 0;
  return wide.test(character) ? 2 : 1;
}

/** `0.4 s`, `12.3 s`, `2 min 5 s`. */
export function seconds(value: number): string {
  if (value < 100) return `${value.toFixed(1)} s`;
  const whole = Math.round(value);
  return `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

export const plural = (count: number, one: string, many = `${one}s`): string => `${count} ${count === 1 ? one : many}`;

/** `0 B`, `640 kB`, `1.2 GB`. */
export function bytes(count: number): string {
  const units = ["B", "kB", "MB", "GB"] as const;
  let value = count;
  let at = 0;
  for (; value >= 1000 && at < units.length - 1; at++) value /= 1000;
  return `${at === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[at]}`;
}
