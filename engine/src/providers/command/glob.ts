import { readdir } from "node:fs/promises";
import { posix } from "node:path";

/**
 * The files under `dir` that the patterns choose, as paths relative to it with `/`, sorted. Patterns are taken in
 * order, `!` takes away what an earlier one chose. `*` stays within a folder, `**` does not; `?`, `[a-z]`, `[!a]`, `{a,b}`.
 */
export async function globFiles(dir: string, patterns: readonly string[]): Promise<string[]> {
  const rules = patterns.map((pattern) => {
    const exclude = pattern.startsWith("!");
    return { exclude, matcher: toRegExp(exclude ? pattern.slice(1) : pattern) };
  });
  const chosen: string[] = [];
  for (const path of await walk(dir, "")) {
    let included = false;
    for (const rule of rules) if (rule.matcher.test(path)) included = !rule.exclude;
    if (included) chosen.push(path);
  }
  return chosen.sort();
}

async function walk(root: string, folder: string): Promise<string[]> {
  const found: string[] = [];
  for (const entry of await readdir(posix.join(root, folder), { withFileTypes: true })) {
    const path = posix.join(folder, entry.name);
    if (entry.isDirectory()) found.push(...(await walk(root, path)));
    else found.push(path);
  }
  return found;
}

function toRegExp(pattern: string): RegExp {
  let source = "";
  let depth = 0;
  for (let index = 0; index < pattern.length; index++) {
    const char = pattern.charAt(index);
    if (char === "*") {
      const deep = pattern.charAt(index + 1) === "*";
      source += deep ? ".*" : "[^/]*";
      if (deep) index++;
    } else if (char === "?") source += "[^/]";
    else if (char === "[") {
      const end = pattern.indexOf("]", index + 2);
      if (end < 0) throw new Error(`the pattern ${JSON.stringify(pattern)} has a "[" without its "]"`);
      const set = pattern.slice(index + 1, end);
      source += `[${set.replace(/^!/, "^").replaceAll("\\", "\\\\")}]`;
      index = end;
    } else if (char === "{") {
      depth++;
      source += "(?:";
    } else if (char === "}" && depth > 0) {
      depth--;
      source += ")";
    } else if (char === "," && depth > 0) source += "|";
    else if (char === "\\") source += literal(pattern.charAt(++index));
    else source += literal(char);
  }
  if (depth > 0) throw new Error(`the pattern ${JSON.stringify(pattern)} has a "{" without its "}"`);
  return new RegExp(`^${source}$`, "su");
}

function literal(char: string): string {
  return char.replace(/[\\^$.*+?()[\]{}|/-]/, "\\$&");
}
