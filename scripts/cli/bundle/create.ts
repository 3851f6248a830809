import { readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { modelUrls, type Upstreams } from "../../../stacks/upstreams.ts";
import { readPluginPackage } from "../../dify/difypkg.ts";
import { messageOf, UserError } from "../errors.ts";
import { makeFolder } from "../files.ts";
import { inParallel } from "../http.ts";
import { indexAddresses } from "../simple-index.ts";
import type { Contents } from "./contents.ts";
import { download, type Wanted } from "./download.ts";
import { beginBundle, checkFolder, endBundle, isPart } from "./folder.ts";
import { findImage, partsOf, takeImage, writeLayout } from "./images.ts";
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
import { checkRoom, isFull } from "./room.ts";
import { type FoundWheel, findWheels } from "./wheels.ts";

/** How a bundle is made. */
interface Run {
  say: (line: string) => void;
  signal: AbortSignal;
  /** For models that want one; nobody but `hosts` gets it. */
  token?: { value: string; hosts: readonly string[] } | undefined;
}

/**
 * Fills a folder with everything in `contents`; what is there is checked and kept, so that it goes on where it was cut.
 * @throws UserError with everything that could not be had
 */
export async function createBundle(
  folder: string,
  contents: Contents,
  upstreams: Upstreams,
  run: Run,
): Promise<Manifest> {
  const fetched = progressLines(run.say);
  try {
    return await fill(folder, contents, upstreams, run, fetched.add);
  } finally {
    fetched.end();
  }
}

async function fill(
  folder: string,
  contents: Contents,
  upstreams: Upstreams,
  { say, signal: ended, token }: Run,
  progress: (bytes: number) => void,
): Promise<Manifest> {
  checkFolder(folder);
  makeFolder(folder);
  const failures: string[] = [];
  // A full disk ends the rest: each file would only say the same.
  const full = new AbortController();
  const signal = AbortSignal.any([ended, full.signal]);
  const attempt = async <T>(what: string, work: Promise<T>): Promise<T | undefined> => {
    try {
      return await work;
    } catch (error) {
      signal.throwIfAborted();
      if (isFull(error))
        full.abort(
          new UserError(
            `${what}: ${messageOf(error).trim()}.\nWhat came so far stays: make room on the disk of ${folder}, and run it again, it goes on where it was.`,
          ),
        );
      signal.throwIfAborted();
      failures.push(`${what}: ${messageOf(error)}`);
      return undefined;
    }
  };
  const tokenFor = async (url: string) => (token ? tokenHeaders(url, token) : {});
  const get = async (what: string, wanted: Wanted) => {
    const got = await attempt(what, download(wanted, { progress, signal }));
    if (got && !got.here) say(`${what}: ${inWords(got.bytes)}`);
    return got;
  };

  // Looked up before anything is fetched: what has no room is refused as a whole.
  const indexes = await indexAddresses(upstreams.pypi);
  const { dify, usable } = contents;
  const foundWheels = await findWheels(contents.wheels.values(), { indexes, usable, signal, attempt });
  const foundImages = await inParallel(dify.images, 2, (wanted) =>
    attempt(`image ${wanted.image}`, findImage(wanted, { platform: dify.platform, mirrors: upstreams.docker, signal })),
  );
  const models = contents.models.map((model) => ({ ...model, path: `models/${model.name}/${model.file}` }));
  const words = contents.tokenizer;
  const wordFiles = words.files.map((file) => ({ ...file, path: `tokenizer/${words.repository}/${file.file}` }));
  const coming = [
    ...foundWheels.map(({ file, bytes }) => ({ path: `wheels/${file}`, bytes })),
    ...models.map(({ path, bytes, aboutBytes }) => ({ path, bytes: bytes ?? aboutBytes })),
    ...wordFiles,
    ...there(foundImages).flatMap(partsOf),
  ];
  await checkRoom(folder, coming);
  beginBundle(folder);

  const git = await inParallel(contents.git, 2, async ({ name, commit, paths }) => {
    const path = `git/${name}.git`;
    const here = await attempt(
      `git ${name}`,
      mirrorCommit({ folder: join(folder, path), commit, paths, bases: upstreams.git, signal }),
    );
    if (here === false) say(`git ${name}: ${commit.slice(0, 12)}`);
    return { name, commit, paths, folder: path };
  });

  const getWheels = async (found: FoundWheel[], into: string) => {
    const got = await inParallel(found, 8, async ({ project, file, urls, sha256 }) => {
      const path = `${into}/${file}`;
      const come = await get(file, { urls, path: join(folder, path), sha256 });
      return come && { project, path, bytes: come.bytes, sha256: come.sha256 };
    });
    return there(got);
  };
  const wheels = await getWheels(foundWheels, "wheels");

  const gotModels = await inParallel(models, 2, async ({ path, bytes, sha256, ...model }) => {
    const urls = modelUrls(model, upstreams);
    const got = await get(`model ${model.name}`, { urls, path: join(folder, path), bytes, sha256, headers: tokenFor });
    if (got && sha256 === undefined)
      say(`model ${model.name}: no sha256 is locked; the bundle holds it to ${got.sha256}`);
    return got && { name: model.name, file: model.file, path, bytes: got.bytes, sha256: got.sha256 };
  });

  const { repository, revision } = words;
  const tokenizer = await inParallel(wordFiles, 3, async ({ file, path, bytes, sha256 }) => {
    const urls = upstreams.huggingface.map((base) => `${base}${repository}/resolve/${revision}/${file}`);
    const got = await get(`tokenizer ${file}`, { urls, path: join(folder, path), bytes, sha256, headers: tokenFor });
    return got && { file, path, bytes: got.bytes, sha256: got.sha256 };
  });

  const images = await inParallel(there(foundImages), 2, async (found) => {
    const got = await attempt(`image ${found.entry.image}`, takeImage(found, { folder, get }));
    if (got && !dify.images.some(({ image, digest }) => image === got.entry.image && digest !== undefined))
      say(`image ${got.entry.image}: no digest is locked; the bundle holds it to ${got.entry.digest}`);
    return got;
  });
  const plugins = await inParallel(dify.plugins, 2, (wanted) =>
    attempt(
      `plugin ${wanted.id} ${wanted.version}`,
      takePlugin(wanted, { folder, marketplace: dify.marketplace, get }),
    ),
  );
  const wanted = wheelsOfPlugins(folder, there(plugins), dify.platform, say);
  const pluginWheels = await getWheels(
    await findWheels(wanted, { indexes, usable: () => true, signal, attempt }),
    "plugins/wheels",
  );
  signal.throwIfAborted();
  if (failures.length > 0)
    throw new UserError(
      `The bundle is not whole; run it again, it goes on where it was:\n${failures.map((failure) => `  - ${failure.replaceAll("\n", "\n    ")}`).join("\n")}`,
    );
  const entries: BundledImage[] = there(images).map(({ entry }) => entry);
  const blobs = there(images).flatMap(({ files }) => files);
  const known = [
    ...[...wheels, ...there(gotModels), ...there(tokenizer), ...there(plugins), ...pluginWheels],
    ...new Map([...blobs, ...(await writeLayout(folder, entries))].map((file) => [file.path, file])).values(),
  ];
  const manifest: Manifest = {
    form: 1,
    for: contents.for,
    git,
    wheels,
    models: there(gotModels),
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

const there = <T>(list: (T | undefined)[]): T[] => list.filter((item) => item !== undefined);

/** As the host's own fetcher has it (scripts/host/fetch_http.py): over https, or to this machine itself. */
function tokenHeaders(url: string, { value, hosts }: NonNullable<Run["token"]>): Record<string, string> {
  const { protocol, hostname } = new URL(url);
  const safe = protocol === "https:" || hostname === "127.0.0.1" || hostname === "localhost";
  return safe && hosts.includes(hostname) ? { authorization: `Bearer ${value}` } : {};
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
