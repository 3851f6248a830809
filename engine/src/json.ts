import { setKey } from "./signatures.ts";

/**
 * JSON as Go's encoder writes it: keys of maps in the order of their bytes, and the two line separators escaped.
 * Go and JavaScript write strings and numbers alike otherwise.
 */
export function encodeSorted(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(encodeSorted).join(",")}]`;
  if (typeof value !== "object" || value === null) return encodeScalar(value);
  const object = value as Record<string, unknown>;
  const members = Object.keys(object)
    .sort(compareBytes)
    .filter((key) => object[key] !== undefined)
    .map((key) => `${encodeScalar(key)}:${encodeSorted(object[key])}`);
  return `{${members.join(",")}}`;
}

/** JSON in the order in which the value was read. */
export function encodePlain(value: unknown): string {
  return escapeSeparators(JSON.stringify(value));
}

function encodeScalar(value: unknown): string {
  if (typeof value === "string") return escapeSeparators(JSON.stringify(value));
  if (Object.is(value, -0)) return "-0";
  return JSON.stringify(value) ?? "null";
}

function escapeSeparators(json: string): string {
  return /[\u2028\u2029]/.test(json) ? json.replaceAll("\u2028", "\\u2028").replaceAll("\u2029", "\\u2029") : json;
}

/** Order of UTF-8 bytes, which above U+D7FF is not the order of JavaScript's UTF-16 units. */
export function compareBytes(a: string, b: string): number {
  if (a === b) return 0;
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const [x, y] = [a.charCodeAt(i), b.charCodeAt(i)];
    if (x !== y) return x >= 0xd800 && y >= 0xd800 ? fix(x) - fix(y) : x - y;
  }
  return a.length - b.length;
}

/** Surrogates stand for code points above all others. */
function fix(unit: number): number {
  return unit >= 0xe000 ? unit - 0x800 : unit + 0x2000;
}

/** A copy without some keys. */
export function omit(object: Record<string, unknown>, known: ReadonlySet<string>): Record<string, unknown> {
  const rest: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(object)) if (!known.has(key)) setKey(rest, key, value);
  return rest;
}
