import { posix } from "node:path";
import { hashArchive, hashAsset } from "../../assets.ts";
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
  if (archivePaths) {
    const assets = await assetsOf(archivePaths, inputs, programDir);
    outputs.archive = await hashArchive(new Archive({ assets }), programDir);
  }
  return outputs;
}

async function assetsOf(patterns: string[], inputs: PropertyMap, programDir: string): Promise<Record<string, Asset>> {
  const dir = workingDir(inputs, programDir);
  // As the official provider has it: relative where `dir` is, absolute where there is none.
  const shown = text(inputs, "dir") ?? dir;
  const found: Record<string, Asset> = {};
  for (const path of await globFiles(dir, patterns)) {
    found[path] = await hashAsset(new Asset({ path: posix.join(shown, path) }), programDir);
  }
  return found;
}
