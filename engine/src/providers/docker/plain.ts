import { isMap, type PropertyMap, type PropertyValue } from "../../values.ts";

/** The text under a key; "" where there is none. */
export function text(map: PropertyMap, key: string): string {
  const value = map[key];
  return typeof value === "string" ? value : "";
}

export function number(map: PropertyMap, key: string): number {
  const value = map[key];
  return typeof value === "number" ? value : 0;
}

export function flag(map: PropertyMap, key: string): boolean {
  return map[key] === true;
}

/** Undefined: there is none, or it is empty. */
export function texts(map: PropertyMap, key: string): string[] | undefined {
  const value = map[key];
  return Array.isArray(value) && value.length > 0 ? value.map(String) : undefined;
}

export function textMap(map: PropertyMap, key: string): Record<string, string> | undefined {
  const value = map[key];
  if (!isMap(value)) return undefined;
  const entries = Object.entries(value).filter(([name]) => !name.startsWith("__"));
  return entries.length > 0 ? Object.fromEntries(entries.map(([name, item]) => [name, String(item)])) : undefined;
}

export function objects(map: PropertyMap, key: string): PropertyMap[] {
  const value = map[key];
  return Array.isArray(value) ? value.filter(isMap) : [];
}

export function object(map: PropertyMap, key: string): PropertyMap | undefined {
  const value = map[key];
  return isMap(value) ? value : undefined;
}

/** `[{ label, value }]` as the engine wants it. */
export function labelsOf(map: PropertyMap): Record<string, string> | undefined {
  const entries = objects(map, "labels").map((item) => [text(item, "label"), text(item, "value")] as const);
  return entries.length > 0 ? Object.fromEntries(entries) : undefined;
}

export function labelList(labels: Record<string, string> | null | undefined): PropertyValue[] {
  return Object.entries(labels ?? {})
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([label, value]) => ({ label, value }));
}

/** A map that the engine knows; null where there is none, as the state has it. */
export function mapOrNull(map: Record<string, string> | null | undefined): PropertyMap | null {
  return map && Object.keys(map).length > 0 ? { ...map } : null;
}
