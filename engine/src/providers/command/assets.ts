import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { posix, resolve } from "node:path";
import { pipeline } from "node:stream/promises";
import { Archive, Asset, type PropertyMap } from "../../values.ts";
import { globFiles } from "./glob.ts";
import { workingDir } from "./local.ts";
import { list, text } from "./plain.ts";

/** Collects the files that `assetPaths` and `archivePaths` choose after a local command, as the outputs of these names. */
export async function collectAssets(inputs: PropertyMap, programDir: string): Promise<PropertyMap> {
  const outputs: PropertyMap = {};
  const assetPaths = list(inputs, "assetPaths");
  if (assetPaths) outputs.assets = await assetsOf(assetPaths, inputs, programDir);
  const archivePaths = list(inputs, "archivePaths");
  // No hash: an output's is never compared, and who uses the archive as an input reads and hashes it then.
  if (archivePaths) outputs.archive = new Archive({ assets: await assetsOf(archivePaths, inputs, programDir) });
  return outputs;
}

async function assetsOf(patterns: string[], inputs: PropertyMap, programDir: string): Promise<Record<string, Asset>> {
  const dir = workingDir(inputs, programDir);
  // As the official provider has it: relative where `dir` is, absolute where there is none.
  const shown = text(inputs, "dir") ?? dir;
  const found: Record<string, Asset> = {};
  for (const path of await globFiles(dir, patterns)) {
    found[path] = new Asset({ path: posix.join(shown, path) }, await sha256(resolve(dir, path)));
  }
  return found;
}

async function sha256(path: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path), hash);
  return hash.digest("hex");
}
