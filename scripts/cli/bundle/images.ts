import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parseImage } from "@atelier/engine/providers/docker/registry/reference";
import { inParallel, whyFailed } from "../http.ts";
import type { Wanted } from "./download.ts";
import { type BundledImage, blobPath, hashFile, type Manifest } from "./manifest.ts";
import { readImageIndex, readImageManifest } from "./oci.ts";
import { type FoundManifest, type Repository, repositoriesOf } from "./registry.ts";

export interface WantedImage {
  /** `repository:tag` */
  image: string;
  /** As it is locked. */
  digest?: string | undefined;
}

type File = Manifest["files"][number];

/** An image as a registry has it: everything that it is made of is known by its sha256, and nothing of it was fetched. */
export interface FoundImage {
  entry: BundledImage;
  /** This platform's manifest, and the index that it was chosen from. */
  manifests: FoundManifest[];
  parts: { digest: string; size: number }[];
  /** The one that answered first; the others may have it as well. */
  repositories: Repository[];
}

/**
 * Looks up one image by the registry's own protocol: no Docker engine is wanted for it. Every part is named by its sha256,
 * down from the digest that is locked.
 * @param options `platform` such as `linux/amd64`
 * @throws Error with every registry and its reason
 */
export async function findImage(
  { image, digest: locked }: WantedImage,
  { platform, mirrors, signal }: { platform: string; mirrors: readonly string[]; signal: AbortSignal },
): Promise<FoundImage> {
  const { tag } = parseImage(image);
  const repositories = repositoriesOf(image, mirrors);
  const whys: string[] = [];
  for (const repository of repositories) {
    try {
      const top = await repository.manifest(locked ?? tag, signal);
      const chosen = choosePlatform(top, platform, image);
      const own = chosen === top.digest ? top : await repository.manifest(chosen, signal);
      const made = readImageManifest(own.bytes);
      return {
        entry: { image, platform, digest: top.digest, manifest: own.digest },
        manifests: top === own ? [own] : [top, own],
        parts: [...new Map([made.config, ...made.layers].map((part) => [part.digest, part])).values()],
        repositories: [repository, ...repositories.filter((other) => other !== repository)],
      };
    } catch (error) {
      signal.throwIfAborted();
      whys.push(`  - ${whyFailed(error).includes(repository.url) ? "" : `${repository.url}: `}${whyFailed(error)}`);
    }
  }
  throw new Error(`could not be had${locked ? ` at ${locked}` : ""}. Tried:\n${whys.join("\n")}`);
}

/** Where the parts of an image get to in a bundle, and the room that they want. */
export const partsOf = ({ parts }: FoundImage): { path: string; bytes: number }[] =>
  parts.map(({ digest, size }) => ({ path: blobPath(digest), bytes: size }));

/**
 * Takes an image that was found into the bundle.
 * @param get brings a file, checked
 */
export async function takeImage(
  { entry, manifests, parts, repositories }: FoundImage,
  {
    folder,
    get,
  }: {
    folder: string;
    get: (what: string, wanted: Wanted) => Promise<{ bytes: number; sha256: string } | undefined>;
  },
): Promise<{ entry: BundledImage; files: File[] } | undefined> {
  const got = await inParallel(parts, 3, (part) =>
    get(`image ${entry.image}`, {
      urls: repositories.map((one) => one.blobUrl(part.digest)),
      path: join(folder, blobPath(part.digest)),
      bytes: part.size,
      sha256: part.digest.slice("sha256:".length),
      headers: async (url, signal) => repositories.find((one) => url.startsWith(`${one.url}/`))?.headers(signal) ?? {},
    }),
  );
  // What failed is told already.
  if (got.includes(undefined)) return undefined;
  for (const one of manifests) {
    const path = join(folder, blobPath(one.digest));
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, one.bytes);
  }
  return {
    entry,
    files: [
      ...manifests.map(({ digest, bytes }) => fileOf(digest, bytes.length)),
      ...parts.map((part) => fileOf(part.digest, part.size)),
    ],
  };
}

const fileOf = (digest: string, bytes: number): File => ({
  path: blobPath(digest),
  bytes,
  sha256: digest.slice("sha256:".length),
});

/** The digest of this platform's manifest in an index; a manifest is its own. */
function choosePlatform({ bytes, digest: own }: FoundManifest, platform: string, image: string): string {
  const index = readImageIndex(bytes);
  if (!index) return own;
  const [os, architecture] = platform.split("/");
  const found = index.manifests.find((one) => one.platform?.os === os && one.platform?.architecture === architecture);
  if (found) return found.digest;
  const has = index.manifests.flatMap(({ platform: one }) => (one ? [`${one.os}/${one.architecture}`] : []));
  throw new Error(`${image} is there for ${has.join(", ") || "no platform"}, not for ${platform}`);
}

/** Makes `images/` an OCI layout, which other tools read as well (`skopeo copy oci:…`). */
export async function writeLayout(folder: string, images: readonly BundledImage[]): Promise<File[]> {
  if (images.length === 0) return [];
  const manifests = images.map(({ image, manifest, platform }) => {
    const [os = "", architecture = ""] = platform.split("/");
    const { familiar, registry, repository, tag } = parseImage(image);
    const bytes = readFileSync(join(folder, blobPath(manifest)));
    return {
      mediaType: readImageManifest(bytes).mediaType ?? "application/vnd.oci.image.manifest.v1+json",
      digest: manifest,
      size: bytes.length,
      platform: { os, architecture },
      annotations: {
        "org.opencontainers.image.ref.name": `${familiar}:${tag}`,
        "io.containerd.image.name": `${registry}/${repository}:${tag}`,
      },
    };
  });
  const texts = {
    "images/oci-layout": { imageLayoutVersion: "1.0.0" },
    "images/index.json": { schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json", manifests },
  };
  return Promise.all(
    Object.entries(texts).map(async ([path, value]) => {
      const text = JSON.stringify(value);
      writeFileSync(join(folder, path), text);
      return { path, bytes: Buffer.byteLength(text), sha256: await hashFile(join(folder, path)) };
    }),
  );
}
