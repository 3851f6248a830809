import type { Stats } from "node:fs";
import { lstat, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import * as library from "@balena/dockerignore";

/** CommonJS: what its types call the default is the module itself. */
const dockerignore = library.default as unknown as typeof library.default.default;

/** One file, link or folder of a build's context. */
export interface Entry {
  /** Relative to the context, with `/`. */
  name: string;
  stats: Stats;
}

/** The lines of the ignore file that counts: that of the Dockerfile, else that of the context. Empty: there is none. */
export async function ignorePatterns(context: string, dockerfile: string): Promise<string[]> {
  for (const file of [`${dockerfile}.dockerignore`, join(context, ".dockerignore")]) {
    let text: string;
    try {
      text = await readFile(file, "utf8");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") continue;
      throw new Error(`cannot read ${file}: ${(error as Error).message}`);
    }
    const lines = text.replace(/^\uFEFF/, "").split(/\r?\n/);
    return lines.map((line) => (line.startsWith("#") ? "" : line.trim())).filter((line) => line !== "");
  }
  return [];
}

/** Everything in the context that no pattern ignores: a folder before its content, names in the order of their bytes. */
export async function* walk(context: string, patterns: string[]): AsyncGenerator<Entry> {
  const matcher = dockerignore({ ignorecase: false }).add(patterns);
  // Below an ignored folder something can be wanted again.
  const mayReturn = patterns.some((pattern) => pattern.startsWith("!"));
  const ignored = (name: string) => patterns.length > 0 && matcher.ignores(name);

  async function* folder(prefix: string): AsyncGenerator<Entry> {
    const names = (await readdir(join(context, prefix))).sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    for (const base of names) {
      const name = prefix === "" ? base : `${prefix}/${base}`;
      const stats = await lstat(join(context, name));
      const skip = ignored(name);
      if (!skip) yield { name, stats };
      if (stats.isDirectory() && (!skip || mayReturn)) yield* folder(name);
    }
  }
  yield* folder("");
}
