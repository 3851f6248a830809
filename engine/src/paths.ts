import { setKey } from "./signatures.ts";
import { isMap, type PropertyMap, type PropertyValue, Secret } from "./values.ts";

/** Names in objects, numbers in lists; the name `*` stands for every one at its level. */
export type PropertyPath = (string | number)[];

/**
 * Reads Pulumi's path syntax: `a.b[0]`, `a["x.y"]`, `triggers[*]`, `*`.
 * @throws with the path and what is wrong with it
 */
export function parsePath(text: string): PropertyPath {
  const fail = (why: string) => new Error(`"${text}" is not a property path: ${why}. Write it as a.b[0] or a["x.y"].`);
  if (text.startsWith(".")) throw fail("it starts with a dot");
  const path: PropertyPath = [];
  let rest = text;
  while (rest !== "") {
    const quoted = /^\["((?:\\"|[^"])*)"\]/.exec(rest);
    const index = /^\[(\*|-?\d+)\]/.exec(rest);
    const name = /^[^.[]+/.exec(rest);
    if (quoted) path.push(quoted[1]!.replaceAll('\\"', '"'));
    else if (index) path.push(index[1] === "*" ? "*" : Number(index[1]));
    else if (name) path.push(name[0]);
    else throw fail(`"${rest}" is neither a name nor an index`);
    rest = rest.slice((quoted ?? index ?? name)![0].length);
    if (rest.startsWith(".")) {
      rest = rest.slice(1);
      if (rest === "" || rest.startsWith(".")) throw fail("a name is missing after a dot");
    }
  }
  return path;
}

/** The inverse of `parsePath`, in the form in which Pulumi writes paths. */
export function formatPath(path: PropertyPath): string {
  return path
    .map((key, position) => {
      if (typeof key === "number") return `[${key}]`;
      if (/^[A-Za-z0-9_]*$/.test(key)) return position === 0 ? key : `.${key}`;
      return `["${key.replaceAll('"', '\\"')}"]`;
    })
    .join("");
}

/** True when the pattern names the path or something that it lies in: `foo.*` matches `foo.bar.baz`. */
export function matchesPath(pattern: string | PropertyPath, path: string | PropertyPath): boolean {
  const wanted = typeof pattern === "string" ? parsePath(pattern) : pattern;
  const given = typeof path === "string" ? parsePath(path) : path;
  return given.length >= wanted.length && wanted.every((key, i) => key === "*" || key === given[i]);
}

/** The value at a path without wildcards, seen through secrets; undefined where there is none. */
export function getPath(root: PropertyValue, path: string | PropertyPath): PropertyValue | undefined {
  let value: PropertyValue | undefined = root;
  for (const key of typeof path === "string" ? parsePath(path) : path) {
    value = unwrap(value);
    if (Array.isArray(value) && typeof key === "number") value = value[key];
    else if (isMap(value) && typeof key === "string") value = Object.hasOwn(value, key) ? value[key] : undefined;
    else return undefined;
  }
  return value;
}

/**
 * A copy of the map with another value at the path (undefined: without it). Missing objects and lists on the way are made;
 * secrets on the way stay secret.
 * @throws when something on the way is neither an object nor a list
 */
export function setPath(root: PropertyMap, path: string | PropertyPath, value: PropertyValue | undefined): PropertyMap {
  const keys = typeof path === "string" ? parsePath(path) : path;
  if (keys.length === 0) throw new Error("The empty property path names nothing that could be set.");
  return put(root, keys, value, keys) as PropertyMap;
}

function put(
  at: PropertyValue | undefined,
  keys: PropertyPath,
  value: PropertyValue | undefined,
  whole: PropertyPath,
): PropertyValue | undefined {
  const [key, ...rest] = keys;
  if (key === undefined) return value;
  if (at instanceof Secret) return new Secret(put(at.element, keys, value, whole) ?? null);
  const wrong = () => new Error(`Cannot set ${formatPath(whole)}: what lies before "${key}" has no such member.`);
  if (typeof key === "number") {
    if (at !== undefined && at !== null && !Array.isArray(at)) throw wrong();
    const list = [...(at ?? [])];
    while (list.length <= key) list.push(null);
    const element = put(list[key], rest, value, whole);
    if (element === undefined && key === list.length - 1) list.pop();
    else list[key] = element ?? null;
    return list;
  }
  if (at !== undefined && at !== null && !isMap(at)) throw wrong();
  const map: PropertyMap = { ...at };
  const member = put(Object.hasOwn(map, key) ? map[key] : undefined, rest, value, whole);
  if (member === undefined) delete map[key];
  else setKey(map, key, member);
  return map;
}

function unwrap(value: PropertyValue | undefined): PropertyValue | undefined {
  return value instanceof Secret ? unwrap(value.element) : value;
}
