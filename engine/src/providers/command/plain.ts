import { isMap, type PropertyMap, type PropertyValue, Secret, Unknown } from "../../values.ts";

/** The value without its secret marks. Throws on an unknown: none may reach a command that really runs. */
export function reveal(value: PropertyValue): PropertyValue {
  if (value instanceof Secret) return reveal(value.element);
  if (value instanceof Unknown) throw new Error("an input is not known yet, but the command would run now");
  if (Array.isArray(value)) return value.map(reveal);
  if (isMap(value)) return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, reveal(item)]));
  return value;
}

export function text(inputs: PropertyMap, key: string): string | undefined {
  const value = reveal(inputs[key] ?? null);
  return typeof value === "string" ? value : undefined;
}

export function list(inputs: PropertyMap, key: string): string[] | undefined {
  const value = reveal(inputs[key] ?? null);
  return Array.isArray(value) ? value.map(String) : undefined;
}

export function textMap(inputs: PropertyMap, key: string): Record<string, string> {
  const value = reveal(inputs[key] ?? null);
  if (!isMap(value)) return {};
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, String(item)]));
}

/** Of a connection only these are masked: without its address and user an error could not be understood. */
const CREDENTIALS = ["password", "privateKey", "privateKeyPassword"];

/** Every text of the inputs that stands under a secret mark, longest first; of a text of several lines also each line. */
export function secretTexts(inputs: PropertyMap): string[] {
  const found = new Set<string>();
  for (const [key, value] of Object.entries(inputs)) {
    if (key === "connection") collectCredentials(reveal(value), found);
    else collect(value, false, found);
  }
  return [...found].sort((a, b) => b.length - a.length);
}

function collectCredentials(connection: PropertyValue, found: Set<string>): void {
  if (!isMap(connection)) return;
  for (const key of CREDENTIALS) collect(connection[key] ?? null, true, found);
  collectCredentials(connection.proxy ?? null, found);
}

function collect(value: PropertyValue, inSecret: boolean, found: Set<string>): void {
  if (value instanceof Secret) collect(value.element, true, found);
  else if (Array.isArray(value)) for (const item of value) collect(item, inSecret, found);
  else if (isMap(value)) for (const item of Object.values(value)) collect(item, inSecret, found);
  else if (inSecret && typeof value === "string") addText(value, found);
}

function addText(value: string, found: Set<string>): void {
  const whole = value.trim();
  if (whole.length >= 4) found.add(whole);
  for (const line of whole.split("\n")) if (line.trim().length >= 8) found.add(line.trim());
}

/** The text with each of the secrets replaced. */
export function mask(shown: string, secrets: readonly string[]): string {
  let result = shown;
  for (const secret of secrets) result = result.replaceAll(secret, "[secret]");
  return result;
}
