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
