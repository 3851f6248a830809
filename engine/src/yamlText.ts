import { parse, type ScalarTag, type Tags } from "yaml";

/** Forms of YAML 1.1 that Pulumi's reader still takes for numbers: `010` is eight, `0b11` three, `1_000` a thousand. */
const OLD_NUMBERS: ScalarTag[] = [
  { test: /^0[0-7]+$/, resolve: (text: string) => BigInt(`0o${text.slice(1)}`) },
  { test: /^[-+]?[1-9][0-9]*(?:_[0-9]+)+$/, resolve: (text: string) => BigInt(text.replace(/[+_]/g, "")) },
  {
    test: /^[-+]?0b[01]+$/,
    resolve: (text: string) => BigInt(text.replace(/^[-+]/, "")) * (text.startsWith("-") ? -1n : 1n),
  },
  { test: /^[-+]?(?=[^_]*_)[0-9][0-9_]*\.[0-9_]+$/, resolve: (text: string) => Number(text.replaceAll("_", "")) },
].map((form) => ({ tag: "tag:yaml.org,2002:int", default: true, ...form }));

/**
 * A text of YAML as Pulumi reads it, merge keys (`<<`) and older numbers among it.
 * @throws when it is none, or an alias in it has no end
 */
export function parseYaml(text: string): unknown {
  const customTags = (tags: Tags): Tags => [...OLD_NUMBERS, ...tags, "binary"];
  return tidy(parse(text, { intAsBigInt: true, merge: true, customTags }));
}

/** Integers as numbers where a number can hold them; others stay exact, as bigints. Bytes as the text that they are. */
function tidy(value: unknown, around: unknown[] = []): unknown {
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  if (value instanceof Uint8Array) return Buffer.from(value).toString();
  if (typeof value !== "object" || value === null) return value;
  if (around.includes(value)) throw new Error("an alias (*name) stands inside of what it names, so it has no end.");
  const inside = [...around, value];
  if (Array.isArray(value)) return value.map((element) => tidy(element, inside));
  return Object.fromEntries(Object.entries(value).map(([key, element]) => [key, tidy(element, inside)]));
}
