import type { DiffResult } from "../../provider.ts";
import { isMap, type PropertyMap, type PropertyValue, Unknown } from "../../values.ts";
import { type Field, type Fields, fieldsOf, type ResourceTable } from "./schema/fields.ts";

/**
 * Compares what the state says that there is with what the program wants, field by field: an absent value means the same as its
 * zero, sets have no order, and what the engine fills in by itself is no change where the program is silent.
 * @param asked what the program wanted when the state was made
 */
export function diffResource(
  table: ResourceTable,
  state: PropertyMap,
  news: PropertyMap,
  asked: PropertyMap = {},
): DiffResult {
  const found = { changed: [] as string[], replace: [] as string[] };
  const again = (name: string, field: Field) =>
    field.vague && canonical(field, asked[name] ?? null) === canonical(field, news[name] ?? null);
  const fields = Object.entries(table.fields).filter(([name, field]) => !again(name, field));
  diffFields(Object.fromEntries(fields), state, news, "", false, found);
  return {
    changes: found.changed.length > 0 ? "some" : "none",
    changedKeys: found.changed.sort(),
    replaceKeys: found.replace.sort(),
    deleteBeforeReplace: table.deleteBeforeReplace,
  };
}

interface Found {
  changed: string[];
  replace: string[];
}

function diffFields(
  fields: Fields,
  state: PropertyMap,
  news: PropertyMap,
  prefix: string,
  replaced: boolean,
  found: Found,
): void {
  for (const [name, field] of Object.entries(fields)) {
    if (field.output) continue;
    diffField(field, state[name] ?? null, news[name] ?? null, prefix + name, replaced || field.replace === true, found);
  }
}

function diffField(
  field: Field,
  old: PropertyValue,
  next: PropertyValue,
  path: string,
  replace: boolean,
  found: Found,
): void {
  const { kind } = field;
  if (field.computed && (isSilent(next) || (field.zeroIsSilent && next === 0))) return;
  if (typeof kind === "object" && "object" in kind && isMap(old) && isMap(next)) {
    diffFields(kind.object, old, next, `${path}.`, replace, found);
    return;
  }
  if (
    typeof kind === "object" &&
    "list" in kind &&
    Array.isArray(old) &&
    Array.isArray(next) &&
    old.length === next.length
  ) {
    diffItems(kind.list, old, next, path, replace, found);
    return;
  }
  if (holdsUnknown(next) || canonical(field, old) !== canonical(field, next)) {
    found.changed.push(path);
    if (replace || (field.stays && isZero(next))) found.replace.push(path);
  }
}

/** Objects whose order says nothing to the engine (ports): each is looked for among the old ones that are not taken yet. */
function diffItems(
  fields: Fields,
  olds: PropertyValue[],
  news: PropertyValue[],
  path: string,
  replace: boolean,
  found: Found,
): void {
  const left = olds.filter(isMap);
  news.forEach((next, index) => {
    const at = `${path}[${index}]`;
    const changes = (old: PropertyMap): Found => {
      const inner: Found = { changed: [], replace: [] };
      if (isMap(next)) diffFields(fields, old, next, `${at}.`, replace, inner);
      return inner;
    };
    const same = isMap(next) ? left.findIndex((old) => changes(old).changed.length === 0) : -1;
    if (same >= 0) {
      left.splice(same, 1);
      return;
    }
    found.changed.push(at);
    if (replace) found.replace.push(at);
  });
}

/** One text for all values that mean the same. */
export function canonical(field: Field, value: PropertyValue): string {
  return JSON.stringify(normal(field, value)) ?? "";
}

function normal(field: Field, value: PropertyValue): unknown {
  if (isZero(value)) return undefined;
  const { kind } = field;
  const fields = fieldsOf(kind);
  if (fields !== undefined && Array.isArray(value)) {
    const items = value.map((item) => (isMap(item) ? JSON.stringify(normalMap(fields, item)) : ""));
    return typeof kind === "object" && "set" in kind ? [...new Set(items)].sort() : items;
  }
  if (fields !== undefined && isMap(value)) return normalMap(fields, value);
  const text = (item: PropertyValue) => (field.normal ?? String)(String(item));
  if (kind === "map" && isMap(value)) {
    return Object.keys(value)
      .sort()
      .map((key) => [key, text(value[key] ?? "")]);
  }
  if (Array.isArray(value)) {
    const items = value.map(text);
    return kind === "stringSet" ? [...new Set(items)].sort() : items;
  }
  return text(value) || undefined;
}

function normalMap(fields: Fields, value: PropertyMap): unknown {
  const result = Object.keys(fields)
    .sort()
    .map((name) => [name, normal(fields[name] as Field, value[name] ?? null)])
    .filter(([, inner]) => inner !== undefined);
  return result.length === 0 ? undefined : result;
}

function isZero(value: PropertyValue): boolean {
  return value === false || value === 0 || isSilent(value);
}

/** Nothing that asks for anything: an explicit false or 0 does. */
function isSilent(value: PropertyValue): boolean {
  if (value === null || value === "") return true;
  if (value instanceof Unknown) return false;
  if (Array.isArray(value)) return value.length === 0;
  return isMap(value) && Object.keys(value).every((key) => key.startsWith("__"));
}

function holdsUnknown(value: PropertyValue): boolean {
  if (value instanceof Unknown) return true;
  if (Array.isArray(value)) return value.some(holdsUnknown);
  return isMap(value) && Object.values(value).some(holdsUnknown);
}
