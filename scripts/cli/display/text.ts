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

/** Parts of a line, one after the other, cut as a whole to `columns`: paint takes none. */
export function fitted(parts: readonly { text: string; paint?: (text: string) => string }[], columns: number): string {
  let left = columns;
  let line = "";
  for (const { text, paint } of parts) {
    const kept = cut(text, left);
    line += paint && kept !== "" ? paint(kept) : kept;
    left -= widthOf(kept);
    if (kept !== text || left <= 0) break;
  }
  return line;
}

/** A text cut or filled to exactly `columns`. */
export function column(text: string, columns: number): string {
  const kept = cut(text, columns);
  return kept + " ".repeat(Math.max(0, columns - widthOf(kept)));
}

const combining = /\p{M}|[\u200b-\u200d\u2060\ufeff]|[\ufe00-\ufe0f]|[\u{1f3fb}-\u{1f3ff}]|[\u{e0000}-\u{e0fff}]/u;
/** East Asian wide and full width (Unicode's UAX 11), and pictures: one that a terminal draws narrow may leave a gap, never wrap. */
const wide =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe10-\ufe19\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6]|[\u{16fe0}-\u{18cff}\u{1aff0}-\u{1b2ff}\u{20000}-\u{3fffd}]|\p{Extended_Pictographic}|\p{Regional_Indicator}/u;

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
