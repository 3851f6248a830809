import { createReadStream, existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { findImage, type LocalImage } from "@atelier/engine/providers/docker/registry/pull";
import { parseImage } from "@atelier/engine/providers/docker/registry/reference";
import { type Pack, pack } from "tar-stream";
import { type BundledImage, blobPath, hashFile, inWords, readManifest, remake } from "../cli/bundle/manifest.ts";
import { readImageManifest } from "../cli/bundle/oci.ts";
import { type Call, callOf } from "./engine.ts";

/** Seconds in which an engine takes no byte and says no word, after which it counts as dead. */
const SILENCE = 300;

/**
 * The name that a loaded image has beside its tag: an archive brings no registry's digest along, so it stands in a tag.
 * Undefined where the image is pinned by no digest.
 */
export function loadedName(name: string): string | undefined {
  const { familiar, digest } = parseImage(name);
  return digest ? `${familiar}:${digest.replace(":", "-")}` : undefined;
}

const mend = (bundle: string) => `${remake(bundle)} mends it.`;

/** What a bundle has under an image's tag, whichever digest is wanted; undefined: nothing. */
export function findBundled(bundle: string, name: string): BundledImage | undefined {
  const { familiar, tag } = parseImage(name);
  return readManifest(bundle).images.find(({ image }) => {
    const other = parseImage(image);
    return other.familiar === familiar && other.tag === tag;
  });
}

/**
 * What a bundle has for an image.
 * @throws Error where it has none, or another one than is pinned
 */
export function bundledImage(bundle: string, name: string): BundledImage {
  const found = findBundled(bundle, name);
  const { digest } = parseImage(name);
  if (!found) {
    const { images, for: whose } = readManifest(bundle);
    const has = images.map(({ image }) => image).join(", ") || "none at all";
    throw new Error(`The bundle ${bundle} (made for ${whose}) has no image ${name}; it has ${has}. ${mend(bundle)}`);
  }
  if (digest && found.digest !== digest)
    throw new Error(
      `The bundle ${bundle} has the image ${found.image} at ${found.digest}; wanted: ${digest}. It was made with another lock: ${mend(bundle)}`,
    );
  return found;
}

/**
 * Loads one image of a bundle into the engine, once every byte of it is what the bundle's digest says.
 * @throws Error where it is not; DockerFailed
 */
export async function loadImage(bundle: string, image: BundledImage, call: Call): Promise<LocalImage> {
  await checkPlatform(bundle, image, call);
  const { config, layers } = await proved(bundle, image);
  const { engine, say } = call;
  const blobs = [...new Set([image.manifest, config, ...layers])];
  const total = blobs.reduce((sum, digest) => sum + statSync(join(bundle, blobPath(digest))).size, 0);
  const silent = new AbortController();
  const arm = () => setTimeout(() => silent.abort(new Error(`nothing happened for ${SILENCE} s`)), SILENCE * 1000);
  let timer = arm();
  let [sent, told] = [0, Date.now()];
  const heard = (bytes: number) => {
    clearTimeout(timer);
    timer = arm();
    sent += bytes;
    if (Date.now() - told < 2000) return;
    told = Date.now();
    say(`${image.image}: loading, ${inWords(sent)} of ${inWords(total)}`);
  };
  const signal = AbortSignal.any([call.signal, silent.signal]);
  const archive = pack();
  const filling = fill(archive, bundle, { image, config, layers, blobs }, heard, signal);
  // Whoever reads it tells what went wrong; this only must not go unheard.
  filling.catch((error: Error) => archive.destroy(error));
  const what = `load the image ${image.image}`;
  try {
    const stream = await engine.ask(
      what,
      { signal },
      (docker) => docker.loadImage(archive as NodeJS.ReadableStream),
      0,
    );
    await filling;
    await engine.follow(what, { signal }, stream, () => heard(0));
  } finally {
    clearTimeout(timer);
    archive.destroy();
  }
  // Its id is its configuration's digest, or its manifest's where the engine keeps images in containerd.
  for (const id of [config, image.manifest]) {
    const found = await findImage(id, callOf(call));
    if (found) return found;
  }
  throw new Error(
    `The Docker engine at ${engine.host} took the image ${image.image} and does not have it as ${config} now: is its disk full? Its log says more.`,
  );
}

/** An engine loads another machine's programs without a word, and their containers end at once. */
async function checkPlatform(bundle: string, { image, platform }: BundledImage, call: Call): Promise<void> {
  const { Os, Arch } = await call.engine.ask("ask for its platform", call, (docker) => docker.version());
  if (platform === `${Os}/${Arch}`) return;
  throw new Error(
    `The bundle ${bundle} has the image ${image} for ${platform}; the Docker engine at ${call.engine.host} is ${Os}/${Arch}. A bundle is for linux/amd64, or, made without --all, for the machine that it is made on where dify.docker.host is that machine's.`,
  );
}

/** An archive as `docker save` writes it, in both of its forms: the old one for any engine, the OCI layout for newer ones. */
async function fill(
  archive: Pack,
  bundle: string,
  { image, config, layers, blobs }: { image: BundledImage; config: string; layers: string[]; blobs: string[] },
  heard: (bytes: number) => void,
  signal: AbortSignal,
): Promise<void> {
  const inside = (digest: string) => blobPath(digest).slice("images/".length);
  const text = (name: string, value: object) => archive.entry({ name }, JSON.stringify(value));
  const { mediaType } = readImageManifest(readFileSync(join(bundle, blobPath(image.manifest))));
  const size = statSync(join(bundle, blobPath(image.manifest))).size;
  text("oci-layout", { imageLayoutVersion: "1.0.0" });
  text("index.json", {
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.index.v1+json",
    manifests: [{ mediaType: mediaType ?? "application/vnd.oci.image.manifest.v1+json", digest: image.manifest, size }],
  });
  text("manifest.json", [{ Config: inside(config), RepoTags: null, Layers: layers.map(inside) }]);
  for (const digest of blobs) {
    const path = join(bundle, blobPath(digest));
    const entry = archive.entry({ name: inside(digest), size: statSync(path).size });
    const source = createReadStream(path, { highWaterMark: 1 << 20 });
    source.on("data", (chunk) => heard(chunk.length));
    source.pause();
    await pipeline(source, entry, { signal });
  }
  archive.finalize();
}

/** Holds every part to the digest that names it, down from the one that the image is pinned by. */
async function proved(bundle: string, image: BundledImage): Promise<{ config: string; layers: string[] }> {
  const check = async (digest: string): Promise<Buffer | undefined> => {
    const path = join(bundle, blobPath(digest));
    const got = existsSync(path) ? `sha256:${await hashFile(path)}` : undefined;
    if (got === digest) return statSync(path).size < 4 << 20 ? readFileSync(path) : undefined;
    throw new Error(
      `The bundle ${bundle} is broken: ${blobPath(digest)} of the image ${image.image} ${got ? `has the digest ${got}` : "is missing"}. Nothing of it was loaded. ${mend(bundle)}`,
    );
  };
  const top = await check(image.digest);
  if (image.digest !== image.manifest && !top?.includes(`"${image.manifest}"`))
    throw new Error(
      `The bundle ${bundle} is broken: the image ${image.image} at ${image.digest} has no manifest ${image.manifest}. ${mend(bundle)}`,
    );
  const own = await check(image.manifest);
  const { config, layers } = readImageManifest(own ?? Buffer.from("{}"));
  for (const part of new Set([config, ...layers].map(({ digest }) => digest))) await check(part);
  return { config: config.digest, layers: layers.map(({ digest }) => digest) };
}
