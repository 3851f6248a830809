import { formatPath, type PropertyPath } from "./paths.ts";
import {
  Archive,
  Asset,
  isMap,
  type PropertyMap,
  type PropertyValue,
  ResourceReference,
  Secret,
  Unknown,
} from "./values.ts";

export interface CompareOptions {
  /** True: a value and the same value marked secret are equal. */
  ignoreSecretness?: boolean;
}

/** Deep equality as Pulumi has it: an absent key is like null, assets are their hashes, references their resources. */
export function equalValues(a: PropertyValue, b: PropertyValue, options: CompareOptions = {}): boolean {
  if (a instanceof Secret || b instanceof Secret) {
    if (options.ignoreSecretness) return equalValues(strip(a), strip(b), options);
    return a instanceof Secret && b instanceof Secret && equalValues(a.element, b.element, options);
  }
  if (a === null || b === null || typeof a !== "object" || typeof b !== "object") return Object.is(a, b) || a === b;
  if (Array.isArray(a) || Array.isArray(b)) {
    if (!Array.isArray(a) || !Array.isArray(b) || a.length !== b.length) return false;
    return a.every((element, i) => equalValues(element, b[i]!, options));
  }
  if (isMap(a) && isMap(b)) return keysOf(a, b).every((key) => equalValues(own(a, key), own(b, key), options));
  if (a instanceof Unknown) return b instanceof Unknown;
  if (a instanceof Asset) return b instanceof Asset && equalAssets(a, b);
  if (a instanceof Archive) return b instanceof Archive && equalAssets(a, b);
  if (a instanceof ResourceReference && b instanceof ResourceReference) {
    return a.urn === b.urn && (a.id === b.id || (a.id instanceof Unknown && b.id instanceof Unknown));
  }
  return false;
}

/**
 * Where two maps differ, in Pulumi's path syntax, leaves only: a changed entry of a list is `list[1]`, an added object its own path.
 * @param options secretness is ignored unless said otherwise
 */
export function diffPaths(
  old: PropertyMap,
  news: PropertyMap,
  options: CompareOptions = { ignoreSecretness: true },
): string[] {
  const found: string[] = [];
  collect(old, news, [], options, found);
  return found;
}

function collect(
  old: PropertyValue,
  news: PropertyValue,
  path: PropertyPath,
  options: CompareOptions,
  found: string[],
): void {
  const before = options.ignoreSecretness ? strip(old) : old;
  const after = options.ignoreSecretness ? strip(news) : news;
  if (before instanceof Secret && after instanceof Secret) {
    collect(before.element, after.element, path, options, found);
  } else if (Array.isArray(before) && Array.isArray(after)) {
    for (let i = 0; i < Math.max(before.length, after.length); i++) {
      if (i >= before.length || i >= after.length) found.push(formatPath([...path, i]));
      else collect(before[i]!, after[i]!, [...path, i], options, found);
    }
  } else if (isMap(before) && isMap(after)) {
    for (const key of keysOf(before, after)) {
      const [was, is] = [own(before, key), own(after, key)].map((value) =>
        options.ignoreSecretness ? strip(value) : value,
      ) as [PropertyValue, PropertyValue];
      const at = [...path, key];
      if ((was === null) !== (is === null)) found.push(formatPath(at));
      else collect(was, is, at, options, found);
    }
  } else if (!equalValues(before, after, options)) {
    found.push(formatPath(path));
  }
}

function equalAssets(a: Asset | Archive, b: Asset | Archive): boolean {
  if (a.hash !== "" && b.hash !== "") return a.hash === b.hash;
  if (!("assets" in a.source) || !("assets" in b.source)) return JSON.stringify(a.source) === JSON.stringify(b.source);
  const [mine, theirs] = [a.source.assets, b.source.assets];
  return [...new Set([...Object.keys(mine), ...Object.keys(theirs)])].every((name) => {
    const [x, y] = [mine[name], theirs[name]];
    return x !== undefined && y !== undefined && x.constructor === y.constructor && equalAssets(x, y);
  });
}

function strip(value: PropertyValue): PropertyValue {
  return value instanceof Secret ? strip(value.element) : value;
}

function own(map: PropertyMap, key: string): PropertyValue {
  return Object.hasOwn(map, key) ? map[key]! : null;
}

function keysOf(a: PropertyMap, b: PropertyMap): string[] {
  return [...new Set([...Object.keys(a), ...Object.keys(b)])].sort();
}
