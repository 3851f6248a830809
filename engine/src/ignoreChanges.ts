import { type PropertyPath, parsePath } from "./paths.ts";
import { setKey } from "./signatures.ts";
import { isMap, type PropertyMap, type PropertyValue, Secret } from "./values.ts";

/**
 * The new inputs with the old ones put back at every path that `ignoreChanges` names, wildcards included.
 * Where a list has another length now, the elements that are on both sides are put back all the same.
 * @returns the inputs, and the paths that could not be put back, or not in every place; those that are no path among them
 */
export function ignoreChangesAt(
  paths: string[],
  old: PropertyMap,
  news: PropertyMap,
): { inputs: PropertyMap; failed: string[] } {
  const failed: string[] = [];
  let inputs = news;
  for (const text of paths) {
    const path = parsed(text);
    if (path === undefined) failed.push(text);
    else {
      const { value, whole } = reset({ value: inputs, secret: false }, { value: old, secret: false }, path);
      inputs = value as PropertyMap;
      if (!whole) failed.push(text);
    }
  }
  return { inputs, failed };
}

function parsed(text: string): PropertyPath | undefined {
  try {
    return parsePath(text);
  } catch {
    return undefined;
  }
}

/** A value on the way along a path; undefined: nothing is there. `secret`: it lies in a secret. */
interface Place {
  value: PropertyValue | undefined;
  secret: boolean;
}

/** What the new value is then. `whole`: false where the path fits only one of the two sides, or neither. */
interface Reset {
  value: PropertyValue;
  whole: boolean;
}

function reset(news: Place, old: Place, path: PropertyPath): Reset {
  const [key, ...rest] = path;
  if (news.value instanceof Secret) {
    const { value, whole } = reset({ value: news.value.element, secret: true }, old, path);
    return { value: new Secret(value), whole };
  }
  if (old.value instanceof Secret) return reset(news, { value: old.value.element, secret: true }, path);
  const value = news.value ?? null;
  if (key === undefined) return { value, whole: false };
  const inner = (is: PropertyValue, was: PropertyValue | undefined): Reset =>
    rest.length > 0
      ? reset({ ...news, value: is }, { ...old, value: was }, rest)
      : { value: was === undefined ? is : kept(was, news, old), whole: true };
  if (key === "*") return resetAll(value, old.value, rest.length === 0, inner);
  if (typeof key === "number") return resetElement(value, old.value, key, rest.length === 0, inner);
  return resetMember(value, old.value, key, rest.length === 0, inner);
}

type Inner = (is: PropertyValue, was: PropertyValue | undefined) => Reset;

/** Put back under a plain parent, what was inside a secret must stay one. */
function kept(was: PropertyValue, news: Place, old: Place): PropertyValue {
  return old.secret && !news.secret && !(was instanceof Secret) ? new Secret(was) : was;
}

function resetMember(
  news: PropertyValue,
  old: PropertyValue | undefined,
  key: string,
  leaf: boolean,
  inner: Inner,
): Reset {
  const [is, was] = [own(news, key), own(old, key)];
  if (!isMap(news)) return { value: news, whole: leaf ? was === undefined : !isMap(old) };
  const map: PropertyMap = { ...news };
  if (leaf && was === undefined) {
    delete map[key];
    return { value: map, whole: true };
  }
  if (!leaf && (!isMap(old) || is === undefined)) return { value: news, whole: isMap(old) && was === undefined };
  const { value, whole } = inner(is ?? null, was);
  setKey(map, key, value);
  return { value: map, whole };
}

function resetElement(
  news: PropertyValue,
  old: PropertyValue | undefined,
  index: number,
  leaf: boolean,
  inner: Inner,
): Reset {
  if (index < 0) return { value: news, whole: false };
  if (!Array.isArray(news) || !Array.isArray(old))
    return { value: news, whole: !Array.isArray(news) && !Array.isArray(old) };
  const [is, was] = [news[index], old[index]];
  // A list keeps its length.
  if (is === undefined || was === undefined) return { value: news, whole: leaf && is === was };
  const { value, whole } = inner(is, was);
  return { value: news.with(index, value), whole };
}

function resetAll(news: PropertyValue, old: PropertyValue | undefined, leaf: boolean, inner: Inner): Reset {
  if (Array.isArray(news) && Array.isArray(old)) {
    let whole = true;
    // The official engine goes no further than the first element that does not fit.
    const list = news.map((is, index) => {
      if (!whole || index >= old.length) return is;
      const part = inner(is, old[index]);
      whole = part.whole;
      return part.value;
    });
    return { value: list, whole: whole && news.length === old.length };
  }
  if (isMap(news) && isMap(old)) {
    const map: PropertyMap = {};
    let all = true;
    for (const [name, is] of Object.entries(news)) {
      const was = own(old, name);
      if (was === undefined && leaf) continue;
      const { value, whole } = was === undefined ? { value: is, whole: true } : inner(is, was);
      setKey(map, name, value);
      all &&= whole;
    }
    for (const [name, was] of Object.entries(old)) {
      if (own(news, name) !== undefined) continue;
      if (leaf) setKey(map, name, inner(null, was).value);
      else all = false;
    }
    return { value: map, whole: all };
  }
  return { value: news, whole: leaf && (Array.isArray(news) || isMap(news)) };
}

function own(value: PropertyValue | undefined, key: string): PropertyValue | undefined {
  return isMap(value) && Object.hasOwn(value, key) ? value[key] : undefined;
}
