import type { DiffResult } from "../../provider.ts";
import { Archive, Asset, isMap, type PropertyMap, type PropertyValue, Secret, Unknown } from "../../values.ts";

/**
 * Compares old inputs with new ones, both as Check left them. Only a `triggers` that appears or vanishes as a whole
 * replaces here: for its items the SDK asks by `replaceOnChanges`.
 */
export function diffInputs(olds: PropertyMap, news: PropertyMap): DiffResult {
  const changedKeys: string[] = [];
  diffMaps(olds, news, "", changedKeys);
  changedKeys.sort();
  return {
    changes: changedKeys.length > 0 ? "some" : "none",
    replaceKeys: changedKeys.filter((key) => key === "triggers"),
    changedKeys,
    deleteBeforeReplace: false,
  };
}

/** True where both hold the same, secretness included; an unknown equals only an unknown. */
function sameValue(a: PropertyValue, b: PropertyValue): boolean {
  if (a instanceof Secret) return b instanceof Secret && sameValue(a.element, b.element);
  if (a instanceof Unknown) return b instanceof Unknown;
  if (a instanceof Asset) return b instanceof Asset && sameContent(a, b);
  if (a instanceof Archive) return b instanceof Archive && sameContent(a, b);
  if (Array.isArray(a)) {
    return Array.isArray(b) && a.length === b.length && a.every((item, index) => sameValue(item, b[index] ?? null));
  }
  if (isMap(a)) {
    if (!isMap(b)) return false;
    const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
    return [...keys].every((key) => sameValue(a[key] ?? null, b[key] ?? null));
  }
  return a === b;
}

/** By their hashes; without them nothing is known of the content, and the sources must be the same. */
function sameContent(a: Asset | Archive, b: Asset | Archive): boolean {
  if (a.hash !== "" && b.hash !== "") return a.hash === b.hash;
  return JSON.stringify(a.source) === JSON.stringify(b.source);
}

function diffMaps(olds: PropertyMap, news: PropertyMap, prefix: string, changed: string[]): void {
  for (const key of new Set([...Object.keys(olds), ...Object.keys(news)])) {
    const path = joinPath(prefix, key);
    diffValues(olds[key] ?? null, news[key] ?? null, path, changed);
  }
}

function diffValues(old: PropertyValue, next: PropertyValue, path: string, changed: string[]): void {
  if (isMap(old) && isMap(next)) {
    diffMaps(old, next, path, changed);
    return;
  }
  if (Array.isArray(old) && Array.isArray(next)) {
    for (let index = 0; index < Math.max(old.length, next.length); index++) {
      diffValues(old[index] ?? null, next[index] ?? null, `${path}[${index}]`, changed);
    }
    return;
  }
  // Not into secrets: a path within one would say what changed in it.
  if (!sameValue(old, next)) changed.push(path);
}

function joinPath(prefix: string, key: string): string {
  if (/[."[\]]/.test(key)) return `${prefix}["${key.replaceAll('"', '\\"')}"]`;
  return prefix === "" ? key : `${prefix}.${key}`;
}
