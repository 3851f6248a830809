import { equalValues } from "../../compare.ts";
import type { SecretFilter } from "../../masking.ts";
import { setKey } from "../../signatures.ts";
import {
  Archive,
  Asset,
  isMap,
  type PropertyMap,
  type PropertyValue,
  ResourceReference,
  Secret,
  Unknown,
} from "../../values.ts";

/** True when `test` holds for the value or for anything in it. */
function some(value: PropertyValue, test: (value: PropertyValue) => boolean): boolean {
  if (test(value)) return true;
  if (value instanceof Secret) return some(value.element, test);
  if (value instanceof ResourceReference) return value.id !== undefined && some(value.id, test);
  if (Array.isArray(value)) return value.some((element) => some(element, test));
  if (isMap(value)) return Object.values(value).some((element) => some(element, test));
  return false;
}

export function containsUnknown(value: PropertyValue): boolean {
  return some(value, (part) => part instanceof Unknown);
}

export function containsSecret(value: PropertyValue): boolean {
  return some(value, (part) => part instanceof Secret);
}

/** The value without its secret marks, at any depth. */
export function unwrapSecrets(value: PropertyValue): PropertyValue {
  if (value instanceof Secret) return unwrapSecrets(value.element);
  if (Array.isArray(value)) return value.map(unwrapSecrets);
  if (isMap(value)) return unwrapMap(value);
  return value;
}

export function unwrapMap(map: PropertyMap): PropertyMap {
  const plain: PropertyMap = {};
  for (const [key, value] of Object.entries(map)) plain[key] = unwrapSecrets(value);
  return plain;
}

/** Marks outputs secret where the input of the same name held a secret: for providers that were given plain values. */
export function markLike(outputs: PropertyMap, inputs: PropertyMap): PropertyMap {
  const marked: PropertyMap = { ...outputs };
  for (const [key, input] of Object.entries(inputs)) {
    const output = marked[key];
    // Where the provider itself told what is a secret in it, more marks would be a change.
    if (output === undefined || equalValues(output, input)) continue;
    if (isMap(output) && isMap(input)) marked[key] = markLike(output, input);
    else if (!(output instanceof Secret) && containsSecret(input)) marked[key] = new Secret(output);
  }
  return marked;
}

/** Marks the outputs that the program named, and those whose input of the same name is a secret as a whole. */
export function markOutputs(outputs: PropertyMap, inputs: PropertyMap, additional: string[]): PropertyMap {
  const marked: PropertyMap = { ...outputs };
  for (const [key, output] of Object.entries(outputs)) {
    if (output instanceof Secret) continue;
    if (additional.includes(key) || inputs[key] instanceof Secret) marked[key] = new Secret(output);
  }
  return marked;
}

/** Marks every text in the outputs that holds a known secret: a command that prints its password, an address with one in it. */
export function markEchoes(outputs: PropertyMap, filter: SecretFilter): PropertyMap {
  const mark = (value: PropertyValue): PropertyValue => {
    // What is inside of a secret is one already: marked once more, the program would get the mark for the value.
    if (value instanceof Secret) return value;
    if (typeof value === "string") return filter.repeats(value) ? new Secret(value) : value;
    if (Array.isArray(value)) return value.map(mark);
    return isMap(value) ? markMap(value) : value;
  };
  const markMap = (map: PropertyMap): PropertyMap => {
    const marked: PropertyMap = {};
    for (const [key, value] of Object.entries(map)) setKey(marked, key, mark(value));
    return marked;
  };
  return markMap(outputs);
}

/** A copy in which every part for which `replace` gives something else is that. */
export function mapValues(value: PropertyValue, replace: (value: PropertyValue) => PropertyValue): PropertyValue {
  const own = replace(value);
  if (own !== value) return own;
  if (value instanceof Secret) return new Secret(mapValues(value.element, replace));
  if (Array.isArray(value)) return value.map((element) => mapValues(element, replace));
  if (value instanceof Asset || value instanceof Archive) return value;
  if (isMap(value)) {
    return Object.fromEntries(Object.entries(value).map(([key, element]) => [key, mapValues(element, replace)]));
  }
  return value;
}
