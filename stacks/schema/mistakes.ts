import type { z } from "zod";
import { keysAt, placesOf } from "./known.ts";

/** Paths that hold secrets: never shown in a mistake, never accepted in clear. */
const secretPaths = [
  "host.password",
  "host.key",
  "host.keyPassphrase",
  "huggingfaceToken",
  "dify.password",
  "dify.model.apiKey",
];

/** What the settings were held against. */
export interface Held {
  schema: z.ZodObject;
  raw: unknown;
  /** Which of the known words a misspelt one is near to; undefined: none. */
  nearest: (word: string, known: readonly string[]) => string | undefined;
}

/** A mistake as lines for people: the key, what was got, what is accepted. */
export function describe(issue: z.core.$ZodIssue, held: Held, prefix: PropertyKey[] = []): string[] {
  const path = [...prefix, ...issue.path];
  const key = `atelier:${path.join(".")}`;
  if (issue.code === "unrecognized_keys") {
    const inside = key === "atelier:" ? key : `${key}.`;
    return issue.keys.map((name) => `${inside}${name}: ${meant(name, path, inside, held)}`);
  }
  if (issue.code === "invalid_union" && issue.errors.length > 0) {
    // The branch that got furthest is the one that was meant.
    const closest = [...issue.errors].sort((a, b) => depth(b) - depth(a) || a.length - b.length)[0] ?? [];
    if (closest.length > 0) return closest.flatMap((inner) => describe(inner, held, path));
  }
  return [`${key.replace(/:$/, "")}: ${got(path.join("."), issue.input)}accepted: ${accepted(issue)}`];
}

/** What an unknown key stands for: one beside it, else one of its name elsewhere; else all that there are. */
function meant(name: string, path: PropertyKey[], inside: string, { schema, raw, nearest }: Held): string {
  if (keysAt(schema, path, undefined).includes(name)) return "a setting, but not one that goes with the others there";
  const known = keysAt(schema, path, raw);
  const near = nearest(name, known);
  if (near !== undefined) return `not a setting; did you mean ${inside}${near}?`;
  const elsewhere = placesOf(schema, name).map((place) => `atelier:${place}`);
  const more = elsewhere.length > 0 ? `did you mean ${elsewhere.join(" or ")}?` : `accepted: ${known.join(", ")}`;
  return `not a setting; ${more}`;
}

const depth = (issues: z.core.$ZodIssue[]) => Math.max(0, ...issues.map((issue) => issue.path.length));

function got(path: string, input: unknown): string {
  if (input === undefined) return "missing; ";
  if (secretPaths.includes(path)) return "got a secret that does not fit; ";
  // An object may hold secrets, and says less than the keys that are named.
  if (typeof input === "object" && input !== null && !Array.isArray(input)) return "";
  const text = (JSON.stringify(input) ?? String(input)).replace(/\/\/[^/?#\s"]*@/g, "//[secret]@");
  return `got ${text.length > 80 ? `${text.slice(0, 77)}…` : text}; `;
}

function accepted(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case "invalid_type":
      return /^[aeiou]/.test(issue.expected) ? `an ${issue.expected}` : `a ${issue.expected}`;
    case "invalid_value":
      return issue.values.map((value) => JSON.stringify(value)).join(", ");
    case "too_small":
      return issue.origin === "array" ? `at least ${issue.minimum} of them` : `${issue.minimum} or more`;
    case "too_big":
      return `${issue.maximum} or less`;
    case "not_multiple_of":
      return `a multiple of ${issue.divisor}`;
    case "invalid_union":
      // Of a discriminated one: the words that tell its kinds apart.
      return issue.message
        .replace(/^Invalid discriminator value\. Expected /, "")
        .replaceAll(" | ", ", ")
        .replaceAll("'", '"');
    case "invalid_format":
      if (issue.format === "ipv4") return "an IPv4 address such as 0.0.0.0";
      return issue.format === "url" ? "an http or https URL" : issue.message.replace(/^Invalid string: /, "");
    default:
      return issue.message;
  }
}
