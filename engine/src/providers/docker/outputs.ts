import { isMap, type PropertyMap, type PropertyValue, Unknown } from "../../values.ts";
import { DEFAULTS_KEY } from "./check.ts";
import { canonical } from "./diff.ts";
import { type Field, type Fields, fieldsOf, type ResourceTable } from "./schema/fields.ts";

/** The official provider keeps here, as JSON, what it needs besides the outputs to read them again. */
const META_KEY = "__meta";

/**
 * A resource's outputs in the official provider's form: every field is there, first as the inputs say, then as the engine said.
 * Without its `__pulumi_raw_state_delta`, by which it would rebuild what it wrote itself: wrong as soon as another writes.
 * @param seen what was read from the engine; a field that is not in it stays as the program wanted it
 */
export function outputsOf(
  table: ResourceTable,
  id: string,
  inputs: PropertyMap,
  seen: PropertyMap,
  before?: PropertyMap,
): PropertyMap {
  const meta = before?.[META_KEY];
  return {
    [META_KEY]: typeof meta === "string" ? meta : table.meta,
    ...fill(table.fields, inputs, "resource"),
    ...seen,
    id,
  };
}

/** Whether what was read says the same as the state, which then stays as it was written: word for word, by whichever provider. */
export function saysTheSame(table: ResourceTable, state: PropertyMap, read: PropertyMap): boolean {
  return Object.entries(table.fields).every(([name, field]) => {
    const [before, now] = [state[name] ?? null, read[name] ?? null];
    return field.output && typeof field.kind === "string"
      ? JSON.stringify(before) === JSON.stringify(now)
      : canonical(field, before) === canonical(field, now);
  });
}

/** What a preview can say: the inputs, and that the rest comes from the engine. */
export function previewOutputs(table: ResourceTable, inputs: PropertyMap, known: PropertyMap = {}): PropertyMap {
  const outputs = fill(table.fields, inputs, "resource");
  for (const [name, field] of Object.entries(table.fields)) {
    if (field.computed && inputs[name] === undefined) outputs[name] = known[name] ?? Unknown.value;
  }
  return outputs;
}

/** The inputs that a resource of the state would have been made with: for one that is imported. */
export function inputsOf(table: ResourceTable, outputs: PropertyMap): PropertyMap {
  return inputFields(table.fields, outputs);
}

function inputFields(fields: Fields, outputs: PropertyMap): PropertyMap {
  const inputs: PropertyMap = { [DEFAULTS_KEY]: [] };
  for (const [name, field] of Object.entries(fields)) {
    const value = outputs[name] ?? null;
    if (field.output || isEmpty(value)) continue;
    const inner = fieldsOf(field.kind);
    if (inner === undefined) inputs[name] = value;
    else if (Array.isArray(value)) inputs[name] = value.map((item) => (isMap(item) ? inputFields(inner, item) : item));
    else inputs[name] = isMap(value) ? inputFields(inner, value) : value;
  }
  return inputs;
}

function isEmpty(value: PropertyValue): boolean {
  return (
    value === null ||
    value === "" ||
    value === false ||
    value === 0 ||
    (Array.isArray(value) && value.length === 0) ||
    (isMap(value) && Object.keys(value).length === 0)
  );
}

function fill(fields: Fields, inputs: PropertyMap, within: "resource" | "object" | "set"): PropertyMap {
  const result: PropertyMap = {};
  for (const [name, field] of Object.entries(fields)) {
    const value = inputs[name];
    result[name] = value === undefined || value === null ? missing(field, within) : shape(field, value);
  }
  return result;
}

function shape(field: Field, value: PropertyValue): PropertyValue {
  const inner = fieldsOf(field.kind);
  if (inner === undefined) {
    return field.kind === "stringSet" && Array.isArray(value) && value.every((item) => typeof item === "string")
      ? [...new Set(value as string[])].sort()
      : value;
  }
  const isSet = typeof field.kind === "object" && "set" in field.kind;
  if (Array.isArray(value))
    return value.map((item) => (isMap(item) ? fill(inner, item, isSet ? "set" : "object") : item));
  return isMap(value) ? fill(inner, value, "object") : value;
}

/** How Terraform's SDK writes what nobody gave. */
function missing(field: Field, within: "resource" | "object" | "set"): PropertyValue {
  const { kind } = field;
  if (field.default !== undefined) return field.default;
  if (typeof kind === "object") return "object" in kind ? null : [];
  // Null would mean to it: not known yet.
  if (field.computed && (kind === "stringSet" || kind === "strings")) return [];
  if (within === "set" && kind === "string") return "";
  if (within === "set" && kind === "stringSet") return [];
  return null;
}
