import { inParallel, whyFailed, withoutLogin } from "../http.ts";
import { isTimeout, Servers } from "../silence.ts";
import { type IndexFile, indexFiles } from "../simple-index.ts";
import type { WantedWheels } from "./pluginWheels.ts";

/** A locked file of a package, and where it is had. */
export interface FoundWheel {
  project: string;
  file: string;
  urls: string[];
  sha256: string;
  /** Where an index tells it. */
  bytes: number | undefined;
}

/**
 * Looks up packages in all indexes: of each locked file that is of use, where it is.
 * @param attempt runs a look-up, and notes why it failed; throws when the signal was given
 */
export async function findWheels(
  packages: Iterable<WantedWheels>,
  {
    indexes,
    usable,
    signal,
    attempt,
  }: {
    indexes: string[];
    usable: (file: string) => boolean;
    signal: AbortSignal;
    attempt: <T>(what: string, work: Promise<T>) => Promise<T | undefined>;
  },
): Promise<FoundWheel[]> {
  const servers = new Servers();
  const ask = (index: string, name: string): Promise<IndexFile[]> =>
    servers.ask(index, () => indexFiles(index, name, { signal }), isTimeout);
  const found = await inParallel([...packages], 6, async ({ name, version, sha256 }) => {
    const files = await attempt(`package ${name} ${version}`, wheelFiles(indexes, name, sha256, usable, ask));
    return [...(files ?? [])].map(([hash, same]) => ({
      project: name,
      file: same[0]?.file ?? name,
      urls: same.map(({ url }) => url),
      sha256: hash,
      bytes: same.find(({ bytes }) => bytes !== undefined)?.bytes,
    }));
  });
  return found.flat();
}

/** Of each locked file that is of use, where the indexes have it, by its hash. */
async function wheelFiles(
  indexes: string[],
  name: string,
  sha256: Set<string>,
  usable: (file: string) => boolean,
  ask: (index: string, name: string) => Promise<IndexFile[]>,
): Promise<Map<string, IndexFile[]>> {
  const found = new Map<string, IndexFile[]>();
  const whys: string[] = [];
  for (const index of indexes) {
    try {
      for (const file of await ask(index, name)) {
        if (file.sha256 === undefined || !sha256.has(file.sha256) || !usable(file.file)) continue;
        found.set(file.sha256, [...(found.get(file.sha256) ?? []), file]);
      }
      whys.push(`  - ${withoutLogin(index)}: has none of its ${sha256.size} locked files`);
    } catch (error) {
      const [shown, why] = [withoutLogin(index), whyFailed(error)];
      whys.push(`  - ${why.includes(shown) ? "" : `${shown}: `}${why}`);
    }
  }
  if (found.size > 0) return found;
  throw new Error(
    `could not be had. Tried:\n${whys.join("\n") || "  nothing: no index is known on this machine, whose Python has neither pip nor venv; set upstreams.pypi"}`,
  );
}
