import { createHash, type Hash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open, readdir, readFile, stat } from "node:fs/promises";
import { join, posix, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { compareBytes } from "./json.ts";
import { setKey } from "./signatures.ts";
import { readTar, tarEnd, tarHeader, tarPadding } from "./tar.ts";
import { Archive, Asset, isMap, type PropertyMap, type PropertyValue, Secret } from "./values.ts";
import { readZip } from "./zip.ts";

const DOWNLOAD_DEADLINE_MS = 300_000;
/** Pulumi's own folder is no part of any archive. */
const BOOKKEEPING = ".pulumi";

/** One file of an archive: its content in memory, or where it lies. */
export type ArchiveFile = { name: string; size: number } & ({ content: Buffer } | { path: string });

/**
 * The properties with every asset and archive in them read and hashed, those inside secrets included. A hash that is there stays.
 * @param baseDir the program's folder, which relative paths are relative to
 * @throws when a file or folder cannot be read; the message names it
 */
export async function hashAssets(map: PropertyMap, baseDir: string): Promise<PropertyMap> {
  return holdsAsset(map) ? ((await hashIn(map, baseDir)) as PropertyMap) : map;
}

/** The asset with the sha256 of its content. */
export async function hashAsset(asset: Asset, baseDir: string): Promise<Asset> {
  if (asset.hash !== "") return asset;
  const hash = createHash("sha256");
  const path = localPath(asset.source, baseDir);
  if (path === undefined) hash.update(await readAsset(asset, baseDir));
  else await addFile(hash, await fileSize(path), path);
  return new Asset(asset.source, hash.digest("hex"));
}

/**
 * The archive with the hash that Pulumi gives it: of the file itself where it is one (.tar .tgz .zip .jar), else of a tar of its
 * files. Members of an archive of assets are hashed too.
 */
export async function hashArchive(archive: Archive, baseDir: string): Promise<Archive> {
  let source = archive.source;
  if ("assets" in source) {
    const assets: Record<string, Asset | Archive> = {};
    for (const [name, member] of Object.entries(source.assets)) {
      setKey(
        assets,
        name,
        member instanceof Asset ? await hashAsset(member, baseDir) : await hashArchive(member, baseDir),
      );
    }
    source = { assets };
  }
  if (archive.hash !== "") return new Archive(source, archive.hash);
  const hash = createHash("sha256");
  const packed = await packedFile(archive, baseDir);
  if (packed !== undefined && "path" in packed) await addFile(hash, await fileSize(packed.path), packed.path);
  else if (packed !== undefined) hash.update(packed.content);
  else await addTar(hash, archive, baseDir);
  return new Archive(source, hash.digest("hex"));
}

/**
 * The bytes of an asset.
 * @throws when it cannot be read; the message names it
 */
export async function readAsset({ source }: Asset, baseDir: string): Promise<Buffer> {
  if ("text" in source) return Buffer.from(source.text);
  const path = localPath(source, baseDir);
  if (path === undefined) return download((source as { uri: string }).uri);
  await fileSize(path);
  return readFile(path);
}

/**
 * The files of an archive, names relative to it with `/`, in Pulumi's order. Symbolic links to files are their content.
 * @throws when it cannot be read; the message names it
 */
export async function* archiveFiles(archive: Archive, baseDir: string): AsyncGenerator<ArchiveFile> {
  const { source } = archive;
  if ("assets" in source) {
    for (const name of Object.keys(source.assets).sort(compareBytes)) {
      const member = source.assets[name]!;
      if (member instanceof Archive) {
        for await (const file of archiveFiles(member, baseDir)) yield { ...file, name: posix.join(name, file.name) };
        continue;
      }
      const path = localPath(member.source, baseDir);
      if (path !== undefined) {
        yield { name, path, size: await fileSize(path) };
      } else {
        const content = await readAsset(member, baseDir);
        yield { name, content, size: content.length };
      }
    }
    return;
  }
  const packed = await packedFile(archive, baseDir);
  if (packed === undefined) {
    yield* folderFiles(localPath(source, baseDir)!, "");
    return;
  }
  const bytes = "path" in packed ? await readFile(packed.path) : packed.content;
  const entries =
    packed.format === "zip"
      ? readZip(bytes)
      : readTar(packed.format === "tgz" ? await promisify(gunzip)(bytes) : bytes);
  for (const { name, content } of entries) yield { name, content, size: content.length };
}

async function hashIn(value: PropertyValue, baseDir: string): Promise<PropertyValue> {
  if (value instanceof Asset) return hashAsset(value, baseDir);
  if (value instanceof Archive) return hashArchive(value, baseDir);
  if (value instanceof Secret) return new Secret(await hashIn(value.element, baseDir));
  if (Array.isArray(value)) return Promise.all(value.map((element) => hashIn(element, baseDir)));
  if (!isMap(value)) return value;
  const map: PropertyMap = {};
  for (const [key, element] of Object.entries(value)) setKey(map, key, await hashIn(element, baseDir));
  return map;
}

function holdsAsset(value: PropertyValue): boolean {
  if (value instanceof Asset || value instanceof Archive) return true;
  if (value instanceof Secret) return holdsAsset(value.element);
  return Array.isArray(value) ? value.some(holdsAsset) : isMap(value) && Object.values(value).some(holdsAsset);
}

async function addTar(hash: Hash, archive: Archive, baseDir: string): Promise<void> {
  const seen = new Set<string>();
  for await (const file of archiveFiles(archive, baseDir)) {
    if (seen.has(file.name)) continue;
    seen.add(file.name);
    hash.update(tarHeader(file.name, file.size));
    if ("content" in file) hash.update(file.content);
    else await addFile(hash, file.size, file.path);
    hash.update(tarPadding(file.size));
  }
  hash.update(tarEnd());
}

async function addFile(hash: Hash, size: number, path: string): Promise<void> {
  let read = 0;
  for await (const chunk of createReadStream(path)) {
    read += (chunk as Buffer).length;
    hash.update(chunk as Buffer);
  }
  if (read !== size)
    throw new Error(`${path} changed while it was being read (${read} bytes instead of ${size}). Try again.`);
}

type Packed = { format: "tar" | "tgz" | "zip" } & ({ path: string } | { content: Buffer });

/** The archive as the one file that it is; undefined: it is a folder, or made of assets. */
async function packedFile({ source }: Archive, baseDir: string): Promise<Packed | undefined> {
  if ("assets" in source) return undefined;
  const path = localPath(source, baseDir);
  const name = path ?? new URL((source as { uri: string }).uri).pathname;
  const format = /\.tar$/.test(name)
    ? "tar"
    : /\.(tgz|tar\.gz)$/.test(name)
      ? "tgz"
      : /\.(zip|jar)$/.test(name)
        ? "zip"
        : undefined;
  if (path === undefined) {
    if (format === undefined) throw new Error(`The archive ${name} is none of .tar, .tgz, .tar.gz, .zip and .jar.`);
    return { format, content: await download((source as { uri: string }).uri) };
  }
  if (format !== undefined) return { format, path };
  const info = await stat(path).catch((error: NodeJS.ErrnoException) => {
    throw new Error(
      `The archive ${path} cannot be read (${error.code}). Its path is relative to the program's folder.`,
    );
  });
  if (!info.isDirectory())
    throw new Error(`The archive ${path} is neither a folder nor a .tar, .tgz, .tar.gz, .zip or .jar.`);
  return undefined;
}

/** In the order of Go's filepath.Walk: names by their bytes, a folder's content in its place. */
async function* folderFiles(folder: string, prefix: string): AsyncGenerator<ArchiveFile> {
  const entries = await readdir(folder, { withFileTypes: true });
  entries.sort((a, b) => compareBytes(a.name, b.name));
  for (const entry of entries) {
    if (entry.name === BOOKKEEPING) continue;
    const [path, name] = [join(folder, entry.name), prefix + entry.name];
    if (entry.isDirectory()) {
      yield* folderFiles(path, `${name}/`);
    } else {
      const info = await stat(path).catch((error: NodeJS.ErrnoException) => {
        throw new Error(`${path} in an archive's folder cannot be read (${error.code}).`);
      });
      if (!info.isDirectory()) yield { name, path, size: info.size };
    }
  }
}

/** The file or folder of a source on this machine; undefined: it is text, or elsewhere. */
function localPath(source: Asset["source"] | Archive["source"], baseDir: string): string | undefined {
  if ("path" in source) return resolve(baseDir, source.path);
  if ("uri" in source && source.uri.startsWith("file:")) return fileURLToPath(source.uri);
  return undefined;
}

async function fileSize(path: string): Promise<number> {
  try {
    const file = await open(path);
    try {
      const info = await file.stat();
      if (info.isDirectory()) throw new Error(`The asset ${path} is a folder. Use an archive for it.`);
      return info.size;
    } finally {
      await file.close();
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    throw new Error(`The asset ${path} cannot be read (${code}). Its path is relative to the program's folder.`, {
      cause: error,
    });
  }
}

async function download(uri: string): Promise<Buffer> {
  if (!/^https?:/.test(uri)) throw new Error(`The asset ${uri} is neither of http:, https: nor file:.`);
  const response = await fetch(uri, { signal: AbortSignal.timeout(DOWNLOAD_DEADLINE_MS) });
  if (!response.ok)
    throw new Error(`GET ${uri} answered ${response.status} ${response.statusText}; an asset is read from there.`);
  return Buffer.from(await response.arrayBuffer());
}
