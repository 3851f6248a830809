/**
 * JSON as Python's `json.dumps` writes it: a space after commas and colons, and \u escapes for all but ASCII.
 * What a Python program sends has this form, and so has the Content-Length that came of it.
 */
export function pythonJson(value: unknown): string {
  return spaced(value).replace(/[\u007f-\uffff]/g, escaped);
}

/** The same with `ensure_ascii=False`. */
export function spaced(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(spaced).join(", ")}]`;
  if (value !== null && typeof value === "object") {
    const known = Object.entries(value).filter(([, each]) => each !== undefined);
    return `{${known.map(([key, each]) => `${JSON.stringify(key)}: ${spaced(each)}`).join(", ")}}`;
  }
  return JSON.stringify(value ?? null);
}

const escaped = (character: string) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
