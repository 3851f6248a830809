import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parseImage } from "@atelier/engine/providers/docker/registry/reference";
import { inParallel, whyFailed } from "../http.ts";
import type { Wanted } from "./download.ts";
import { type BundledImage, blobPath, hashFile, type Manifest } from "./manifest.ts";
import { type ImageManifest, readImageIndex, readImageManifest } from "./oci.ts";
import { type FoundManifest, repositoriesOf } from "./registry.ts";

export interface WantedImage {
  /** `repository:tag` */
  image: string;
  /** As it is locked. */
  digest?: string | undefined;
}

type File = Manifest["files"][number];

/**
 * Takes one image into the bundle, by the registry's own protocol: no Docker engine is wanted for it. Every part is named by its sha256,
 * down from the digest that is locked.
 * @param get brings a file, checked
 * @throws Error with every registry and its reason
 */
export async function takeImage(
  { image, digest: locked }: WantedImage,
  {
    folder,
    platform,
    mirrors,
    signal,
    get,
  }: {
    folder: string;
    /** `linux/amd64` */
    platform: string;
    mirrors: readonly string[];
    signal: AbortSignal;
    get: (what: string, wanted: Wanted) => Promise<{ bytes: number; sha256: string } | undefined>;
  },
): Promise<{ entry: BundledImage; files: File[] } | undefined> {
  const { tag } = parseImage(image);
  const repositories = repositoriesOf(image, mirrors);
  const whys: string[] = [];
  for (const repository of repositories) {
    let top: FoundManifest;
    let own: FoundManifest;
    let made: ImageManifest;
    try {
      top = await repository.manifest(locked ?? tag, signal);
      const chosen = choosePlatform(top, platform, image);
      own = chosen === top.digest ? top : await repository.manifest(chosen, signal);
      made = readImageManifest(own.bytes);
    } catch (error) {
      signal.throwIfAborted();
      whys.push(`  - ${whyFailed(error).includes(repository.url) ? "" : `${repository.url}: `}${whyFailed(error)}`);
      continue;
    }
    const parts = [...new Map([made.config, ...made.layers].map((part) => [part.digest, part])).values()];
    const got = await inParallel(parts, 3, (part) =>
      get(`image ${image}`, {
        // The one that answered first; the others may have it as well.
        urls: [repository, ...repositories.filter((other) => other !== repository)].map((one) =>
          one.blobUrl(part.digest),
        ),
        path: join(folder, blobPath(part.digest)),
        bytes: part.size,
        sha256: part.digest.slice("sha256:".length),
        headers: async (url) => repositories.find((one) => url.startsWith(`${one.url}/`))?.headers() ?? {},
      }),
    );
    // What failed is told already.
    if (got.includes(undefined)) return undefined;
    const manifests = top.digest === own.digest ? [own] : [top, own];
    for (const one of manifests) {
      const path = join(folder, blobPath(one.digest));
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, one.bytes);
    }
    return {
      entry: { image, platform, digest: top.digest, manifest: own.digest },
      files: [
        ...manifests.map(({ digest, bytes }) => fileOf(digest, bytes.length)),
        ...parts.map((part) => fileOf(part.digest, part.size)),
      ],
    };
  }
  throw new Error(`could not be had${locked ? ` at ${locked}` : ""}. Tried:\n${whys.join("\n")}`);
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
