import type { CheckFailure } from "../../provider.ts";
import { isMap, type PropertyMap, type PropertyValue, Unknown } from "../../values.ts";
import { type Field, type Fields, fieldsOf, type ResourceTable } from "./schema/fields.ts";

/** The official provider keeps here, at every level, which inputs are defaults and not the program's words. */
export const DEFAULTS_KEY = "__defaults";

export interface Autoname {
  /** The resource's name in the program. */
  name: string;
  randomSeed: Uint8Array;
}

/** Takes a resource's plain inputs; gives them with defaults filled in, and everything that is wrong with them. */
export function checkInputs(
  table: ResourceTable,
  news: PropertyMap,
  olds: PropertyMap | undefined,
  autoname: Autoname,
): { inputs: PropertyMap; failures: CheckFailure[] } {
  const failures: CheckFailure[] = [];
  const inputs = checkObject(table.fields, news, olds, "", failures, autoname);
  return { inputs, failures };
}

function checkObject(
  fields: Fields,
  value: PropertyMap,
  olds: PropertyMap | undefined,
  path: string,
  failures: CheckFailure[],
  autoname?: Autoname,
): PropertyMap {
  const result: PropertyMap = {};
  const defaults: string[] = [];
  for (const name of Object.keys(value)) {
    if (name === DEFAULTS_KEY || (Object.hasOwn(fields, name) && !fields[name]?.output)) continue;
    const accepted = Object.keys(fields).filter((key) => !fields[key]?.output);
    const reason = Object.hasOwn(fields, name)
      ? "is an output, not an input"
      : `unknown property; accepted are ${accepted.sort().join(", ")}`;
    failures.push({ property: path + name, reason });
  }
  for (const [name, field] of Object.entries(fields)) {
    if (field.output) continue;
    const given = value[name];
    if (given !== undefined && given !== null) {
      if (field.refused !== undefined) {
        failures.push({
          property: path + name,
          reason: `not covered by the embedded engine: ${field.refused}, or run with --engine pulumi`,
        });
        continue;
      }
      result[name] = checkValue(field, given, path + name, failures);
      continue;
    }
    const filled = defaultOf(name, field, olds, autoname);
    if (filled !== undefined) {
      result[name] = filled;
      defaults.push(name);
    } else if (field.required) failures.push({ property: path + name, reason: "missing, but required" });
  }
  return { [DEFAULTS_KEY]: defaults.sort(), ...result };
}

/** A default that was filled in before stays what it was then: an autoname above all. */
function defaultOf(
  name: string,
  field: Field,
  olds: PropertyMap | undefined,
  autoname?: Autoname,
): PropertyValue | undefined {
  const before = olds?.[DEFAULTS_KEY];
  const old = olds?.[name];
  if (Array.isArray(before) && before.includes(name) && old !== undefined && old !== null) return old;
  if (field.autoname && autoname !== undefined) {
    // 7 hex digits, as the official provider appends them.
    return `${autoname.name}-${Buffer.from(autoname.randomSeed).toString("hex").slice(0, 7)}`;
  }
  return field.default ? field.default : undefined;
}

function checkValue(field: Field, value: PropertyValue, path: string, failures: CheckFailure[]): PropertyValue {
  if (value instanceof Unknown) return value;
  const { kind } = field;
  const fields = fieldsOf(kind);
  if (typeof kind === "object" && fields !== undefined) {
    if ("object" in kind) {
      return isMap(value)
        ? checkObject(fields, value, undefined, `${path}.`, failures)
        : wrong(path, "an object", value, failures);
    }
    if (!Array.isArray(value)) return wrong(path, "a list of objects", value, failures);
    return value.map((item, index) => {
      if (item instanceof Unknown) return item;
      const at = `${path}[${index}]`;
      return isMap(item)
        ? checkObject(fields, item, undefined, `${at}.`, failures)
        : wrong(at, "an object", item, failures);
    });
  }
  switch (kind) {
    case "strings":
    case "stringSet":
      if (!Array.isArray(value)) return wrong(path, "a list of texts", value, failures);
      return value.map((item, index) => plain("string", undefined, item, `${path}[${index}]`, failures));
    case "map":
      if (!isMap(value)) return wrong(path, "an object of texts", value, failures);
      return Object.fromEntries(
        Object.entries(value)
          .filter(([, item]) => item !== null)
          .map(([key, item]) => [key, plain("string", undefined, item, `${path}.${key}`, failures)]),
      );
    default:
      return plain(kind as "string" | "int" | "bool", field.valid, value, path, failures);
  }
}

function plain(
  kind: "string" | "int" | "bool",
  valid: Field["valid"],
  value: PropertyValue,
  path: string,
  failures: CheckFailure[],
): PropertyValue {
  if (value instanceof Unknown) return value;
  if (kind === "bool") return typeof value === "boolean" ? value : wrong(path, "true or false", value, failures);
  if (kind === "int" && (typeof value !== "number" || !Number.isInteger(value)))
    return wrong(path, "a whole number", value, failures);
  if (kind === "string" && typeof value !== "string") return wrong(path, "a text", value, failures);
  const given = value as string | number;
  if (valid !== undefined && given !== "" && !valid.test(given))
    failures.push({ property: path, reason: `expected ${valid.what}` });
  return given;
}

// The value itself stays out of the reason: it may be a password in the wrong place.
function wrong(path: string, expected: string, value: PropertyValue, failures: CheckFailure[]): PropertyValue {
  const got =
    value === null
      ? "null"
      : Array.isArray(value)
        ? "a list"
        : isMap(value)
          ? "an object"
          : typeof value === "object"
            ? "an asset"
            : `a ${typeof value}`;
  failures.push({ property: path, reason: `expected ${expected}, got ${got}` });
  return value;
}
