import { createHash, type Hash } from "node:crypto";
import { createReadStream, type Stats } from "node:fs";
import { lstat, readlink } from "node:fs/promises";
import { dirname, isAbsolute, join, normalize, resolve, sep } from "node:path";
import { ignorePatterns, walk } from "./context.ts";

/**
 * The hash that the official provider gives a build's context: of the Dockerfile, and of each file's name, mode and content.
 * @param context, dockerfile as the program wrote them, relative to `programDir`
 */
export async function contextDigest(context: string, dockerfile: string, programDir: string): Promise<string> {
  const root = resolve(programDir, context);
  const total = createHash("sha256");
  const file = resolve(programDir, dockerfile);
  await addEntry(total, "Dockerfile", "----------", await hashFile(file));
  for await (const { name, stats } of walk(root, await ignorePatterns(root, file))) {
    if (stats.isDirectory()) continue;
    let content = createHash("sha256");
    if (stats.isSymbolicLink()) content.update((await target(join(context, name), programDir)).split(sep).join("/"));
    else if (stats.isFile()) content = await hashFile(join(root, name));
    await addEntry(total, name, goMode(stats), content);
  }
  return total.digest("hex");
}

async function addEntry(total: Hash, name: string, mode: string, content: Hash): Promise<void> {
  total.update(name).update(mode).update(content.digest()).update("\0");
}

async function hashFile(path: string): Promise<Hash> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash;
}

/** A mode as Go prints it: its kind's letters, then the nine of its permissions. */
function goMode(stats: Stats): string {
  const bits = stats.mode & 0o777;
  const permissions = [..."rwxrwxrwx"].map((letter, index) => (bits & (1 << (8 - index)) ? letter : "-")).join("");
  const kinds: [string, boolean][] = [
    ["d", stats.isDirectory()],
    ["L", stats.isSymbolicLink()],
    ["D", stats.isBlockDevice() || stats.isCharacterDevice()],
    ["p", stats.isFIFO()],
    ["S", stats.isSocket()],
    ["u", (stats.mode & 0o4000) !== 0],
    ["g", (stats.mode & 0o2000) !== 0],
    ["c", stats.isCharacterDevice()],
    ["t", (stats.mode & 0o1000) !== 0],
  ];
  const kind = kinds.filter(([, is]) => is).map(([letter]) => letter);
  return (kind.length === 0 ? "-" : kind.join("")) + permissions;
}

/** Where a link leads in the end. One that leads nowhere here may lead somewhere in the image: its own words then, which Docker takes too. */
async function target(path: string, base: string): Promise<string> {
  try {
    return await resolved(path, base);
  } catch (error) {
    if (!["ENOENT", "ENOTDIR", "ELOOP"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
    return await readlink(resolve(base, path));
  }
}

/** Relative as long as every link on the way is. */
async function resolved(path: string, base: string): Promise<string> {
  let rest = normalize(path).split(sep);
  let done = isAbsolute(path) ? sep : "";
  for (let links = 0; rest.length > 0; ) {
    const [part = "", ...others] = rest;
    rest = others;
    if (part === "" || part === ".") continue;
    const next = done === "" ? part : join(done, part);
    if (part === ".." || !(await lstat(resolve(base, next))).isSymbolicLink()) {
      done = next;
      continue;
    }
    if (++links > 255) throw Object.assign(new Error(`too many links at ${path}`), { code: "ELOOP" });
    const to = await readlink(resolve(base, next));
    if (isAbsolute(to)) done = sep;
    rest = [...normalize(to).split(sep), ...rest];
    if (!isAbsolute(to)) done = dirname(next) === "." ? "" : dirname(next);
  }
  return done === "" ? "." : done;
}
