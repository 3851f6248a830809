import { readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { modelUrls, type Upstreams } from "../../../stacks/upstreams.ts";
import { readPluginPackage } from "../../dify/difypkg.ts";
import { messageOf, UserError } from "../errors.ts";
import { inParallel, withoutLogin } from "../http.ts";
import { type IndexFile, indexAddresses, indexFiles } from "../simple-index.ts";
import type { Contents } from "./contents.ts";
import { download, type Wanted } from "./download.ts";
import { beginBundle, endBundle, isPart } from "./folder.ts";
import { takeImage, writeLayout } from "./images.ts";
import {
  type BundledImage,
  type BundledPlugin,
  filesBelow,
  hashFile,
  inWords,
  type Manifest,
  writeManifest,
} from "./manifest.ts";
import { takePlugin } from "./plugins.ts";
import { type WantedWheels, wheelsOfPlugin } from "./pluginWheels.ts";
import { mirrorCommit } from "./repositories.ts";

/**
 * Fills a folder with everything in `contents`; what is there is checked and kept, so that it goes on where it was cut.
 * @throws UserError with everything that could not be had
 */
export async function createBundle(
  folder: string,
  contents: Contents,
  upstreams: Upstreams,
  { say, signal }: { say: (line: string) => void; signal: AbortSignal },
): Promise<Manifest> {
  beginBundle(folder);
  const failures: string[] = [];
  const attempt = async <T>(what: string, work: Promise<T>): Promise<T | undefined> => {
    try {
      return await work;
    } catch (error) {
      signal.throwIfAborted();
      failures.push(`${what}: ${messageOf(error)}`);
      return undefined;
    }
  };
  const fetched = progressLines(say);
  signal.addEventListener("abort", fetched.end, { once: true });
  const get = async (what: string, wanted: Wanted) => {
    const got = await attempt(what, download(wanted, { progress: fetched.add, signal }));
    if (got && !got.here) say(`${what}: ${inWords(got.bytes)}`);
    return got;
  };

  const git = await inParallel(contents.git, 2, async ({ name, commit, paths }) => {
    const path = `git/${name}.git`;
    const here = await attempt(
      `git ${name}`,
      mirrorCommit({ folder: join(folder, path), commit, paths, bases: upstreams.git, signal }),
    );
    if (here === false) say(`git ${name}: ${commit.slice(0, 12)}`);
    return { name, commit, paths, folder: path };
  });

  const indexes = await indexAddresses(upstreams.pypi);
  const getWheels = async (packages: Iterable<WantedWheels>, into: string, usable: (file: string) => boolean) => {
    const got = await inParallel([...packages], 6, async ({ name, version, sha256 }) => {
      const found = await attempt(`package ${name} ${version}`, wheelFiles(indexes, name, sha256, usable));
      return inParallel([...(found ?? [])], 2, async ([hash, files]) => {
        const path = `${into}/${files[0]?.file}`;
        const urls = files.map(({ url }) => url);
        const file = await get(files[0]?.file ?? name, { urls, path: join(folder, path), sha256: hash });
        return file && { project: name, path, bytes: file.bytes, sha256: file.sha256 };
      });
    });
    return got.flat().filter((item) => item !== undefined);
  };
  const wheels = await getWheels(contents.wheels.values(), "wheels", contents.usable);

  const models = await inParallel(contents.models, 2, async (model) => {
    const path = `models/${model.name}/${model.file}`;
    const { bytes, sha256 } = model;
    const got = await get(`model ${model.name}`, {
      urls: modelUrls(model, upstreams),
      path: join(folder, path),
      bytes,
      sha256,
    });
    if (got && sha256 === undefined)
      say(`model ${model.name}: no sha256 is locked; the bundle holds it to ${got.sha256}`);
    return got && { name: model.name, file: model.file, path, bytes: got.bytes, sha256: got.sha256 };
  });

  const { repository, revision } = contents.tokenizer;
  const tokenizer = await inParallel(contents.tokenizer.files, 3, async ({ file, bytes, sha256 }) => {
    const path = `tokenizer/${repository}/${file}`;
    const urls = upstreams.huggingface.map((base) => `${base}${repository}/resolve/${revision}/${file}`);
    const got = await get(`tokenizer ${file}`, { urls, path: join(folder, path), bytes, sha256 });
    return got && { file, path, bytes: got.bytes, sha256: got.sha256 };
  });

  const { dify } = contents;
  const images = await inParallel(dify.images, 2, async (wanted) => {
    const { platform } = dify;
    const taking = takeImage(wanted, { folder, platform, mirrors: upstreams.docker, signal, get });
    const got = await attempt(`image ${wanted.image}`, taking);
    if (got && wanted.digest === undefined)
      say(`image ${wanted.image}: no digest is locked; the bundle holds it to ${got.entry.digest}`);
    return got;
  });
  const plugins = await inParallel(dify.plugins, 2, (wanted) =>
    attempt(
      `plugin ${wanted.id} ${wanted.version}`,
      takePlugin(wanted, { folder, marketplace: dify.marketplace, get }),
    ),
  );
  const there = <T>(list: (T | undefined)[]): T[] => list.filter((item) => item !== undefined);
  const pluginWheels = await getWheels(
    wheelsOfPlugins(folder, there(plugins), dify.platform, say),
    "plugins/wheels",
    () => true,
  );
  fetched.end();
  signal.throwIfAborted();
  if (failures.length > 0)
    throw new UserError(
      `The bundle is not whole; run it again, it goes on where it was:\n${failures.map((failure) => `  - ${failure.replaceAll("\n", "\n    ")}`).join("\n")}`,
    );
  const entries: BundledImage[] = there(images).map(({ entry }) => entry);
  const blobs = there(images).flatMap(({ files }) => files);
  const known = [
    ...[...wheels, ...there(models), ...there(tokenizer), ...there(plugins), ...pluginWheels],
    ...new Map([...blobs, ...(await writeLayout(folder, entries))].map((file) => [file.path, file])).values(),
  ];
  const manifest: Manifest = {
    form: 1,
    for: contents.for,
    git,
    wheels,
    models: there(models),
    tokenizer: { repository, revision, files: there(tokenizer) },
    images: entries,
    plugins: there(plugins),
    pluginWheels,
    files: [...known.map(({ path, bytes, sha256 }) => ({ path, bytes, sha256 })), ...(await gitFiles(folder, git))],
  };
  removeStrays(folder, manifest);
  writeManifest(folder, manifest);
  endBundle(folder);
  return manifest;
}

/** What plugins want together, each file once. */
function wheelsOfPlugins(
  folder: string,
  plugins: BundledPlugin[],
  platform: string,
  say: (line: string) => void,
): Iterable<WantedWheels> {
  const together = new Map<string, WantedWheels>();
  for (const { id, version, path } of plugins) {
    const own = readPluginPackage(readFileSync(join(folder, path)));
    const wheels = own && wheelsOfPlugin(own, platform);
    if (!wheels)
      say(
        `plugin ${id} ${version} has no uv.lock: what it wants of PyPI is not in the bundle, unless it brings it along`,
      );
    for (const one of wheels ?? []) {
      const key = `${one.name}==${one.version}`;
      together.set(key, { ...one, sha256: new Set([...(together.get(key)?.sha256 ?? []), ...one.sha256]) });
    }
  }
  return together.values();
}

/** Of each locked file that is of use, where the indexes have it, by its hash. */
async function wheelFiles(
  indexes: string[],
  name: string,
  sha256: Set<string>,
  usable: (file: string) => boolean,
): Promise<Map<string, IndexFile[]>> {
  const found = new Map<string, IndexFile[]>();
  const whys: string[] = [];
  for (const index of indexes) {
    try {
      for (const file of await indexFiles(index, name)) {
        if (file.sha256 === undefined || !sha256.has(file.sha256) || !usable(file.file)) continue;
        found.set(file.sha256, [...(found.get(file.sha256) ?? []), file]);
      }
      whys.push(`  - ${withoutLogin(index)}: has none of its ${sha256.size} locked files`);
    } catch (error) {
      whys.push(`  - ${messageOf(error)}`);
    }
  }
  if (found.size > 0) return found;
  throw new Error(
    `could not be had. Tried:\n${whys.join("\n") || "  nothing: no index is known on this machine; set upstreams.pypi"}`,
  );
}

async function gitFiles(folder: string, git: Manifest["git"]): Promise<Manifest["files"]> {
  const paths = git.flatMap((entry) => filesBelow(join(folder, entry.folder)).map((file) => `${entry.folder}/${file}`));
  return inParallel(paths, 4, async (path) => ({
    path,
    bytes: statSync(join(folder, path)).size,
    sha256: await hashFile(join(folder, path)),
  }));
}

/** What an earlier lock had brought. */
function removeStrays(folder: string, { files }: Manifest): void {
  const wanted = new Set(files.map(({ path }) => path));
  for (const path of filesBelow(folder)) if (isPart(path) && !wanted.has(path)) rmSync(join(folder, path));
}

/** A line every 2 s while bytes come. */
function progressLines(say: (line: string) => void): { add: (bytes: number) => void; end: () => void } {
  let [total, last] = [0, 0];
  const timer = setInterval(() => {
    if (total > last) say(`… ${inWords(total)}, ${inWords((total - last) / 2)}/s`);
    last = total;
  }, 2000);
  return {
    add: (bytes) => {
      total += bytes;
    },
    end: () => clearInterval(timer),
  };
}
