import { createHash } from "node:crypto";
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { writeWhole } from "../lib/files.ts";
import { ckpt, safetensors } from "./checkpoints.ts";
import { writeRepository } from "./git-store.ts";
import { tokenizerFiles } from "./tokenizer.ts";

/** One file that can be downloaded. */
export interface ServedFile {
  /** `owner/repo` */
  repository: string;
  file: string;
  path: string;
  bytes: number;
  sha256: string;
  /** Large files are answered with a redirect to a store, as the real hubs do. */
  large: boolean;
}

export interface Source {
  name: string;
  /** Under each git upstream. */
  path: string;
  commit: string;
  /** Folder under the workspace. */
  into: string;
}

/** A model of the catalog that has a stand-in, besides the two of the usual checkpoint. */
export interface StandIn {
  name: string;
  kind: "checkpoint" | "lora" | "controlnet" | "vae";
  base?: "sdxl";
  file: string;
  repository: string;
}

export interface Content {
  /** Folder of the bare repositories. */
  gitRoot: string;
  sources: Source[];
  files: ServedFile[];
}

export const version = "v1.10.1-rehearsal";
export const clipRepository = "openai/clip-vit-large-patch14";
export const hubRepository = "stable-diffusion-v1-5/stable-diffusion-v1-5";
export const modelscopeRepository = "AI-ModelScope/stable-diffusion-v1-5";
/** The hub's name for the state of a repository. */
export const revision = createHash("sha1").update(JSON.stringify(tokenizerFiles())).digest("hex");

const here = join(import.meta.dirname, "..");
const repositories = [
  { name: "webui", from: "webui", path: "AUTOMATIC1111/stable-diffusion-webui.git", into: "src/webui" },
  {
    name: "stable-diffusion-webui-assets",
    from: "repositories/stable-diffusion-webui-assets",
    path: "AUTOMATIC1111/stable-diffusion-webui-assets.git",
    into: "src/webui/repositories/stable-diffusion-webui-assets",
  },
  {
    name: "stable-diffusion-stability-ai",
    from: "repositories/stablediffusion",
    path: "w-e-w/stablediffusion.git",
    into: "src/webui/repositories/stable-diffusion-stability-ai",
  },
  {
    name: "generative-models",
    from: "repositories/generative-models",
    path: "Stability-AI/generative-models.git",
    into: "src/webui/repositories/generative-models",
  },
  {
    name: "k-diffusion",
    from: "repositories/k-diffusion",
    path: "crowsonkb/k-diffusion.git",
    into: "src/webui/repositories/k-diffusion",
  },
  { name: "BLIP", from: "repositories/BLIP", path: "salesforce/BLIP.git", into: "src/webui/repositories/BLIP" },
  { name: "CLIP", from: "repositories/CLIP", path: "openai/CLIP.git", into: "src/CLIP" },
  {
    name: "sd-webui-controlnet",
    from: "repositories/sd-webui-controlnet",
    path: "Mikubill/sd-webui-controlnet.git",
    into: "data/extensions/sd-webui-controlnet",
  },
];

export const standIns: readonly StandIn[] = [
  {
    name: "sd-xl-base-1.0",
    kind: "checkpoint",
    base: "sdxl",
    file: "sd_xl_base_1.0.safetensors",
    repository: "stabilityai/stable-diffusion-xl-base-1.0",
  },
  {
    name: "lcm-lora-sdv1-5",
    kind: "lora",
    file: "lcm-lora-sdv1-5.safetensors",
    repository: "latent-consistency/lcm-lora-sdv1-5",
  },
  {
    name: "controlnet-v1.1-canny",
    kind: "controlnet",
    file: "control_v11p_sd15_canny_fp16.safetensors",
    repository: "comfyanonymous/ControlNet-v1-1_fp16_safetensors",
  },
  {
    name: "vae-ft-mse-840000",
    kind: "vae",
    file: "vae-ft-mse-840000-ema-pruned.safetensors",
    repository: "stabilityai/sd-vae-ft-mse-original",
  },
];

/** Makes what is served, where it is not yet in the cache; the same on every machine. */
export function prepareContent(cacheDir: string): Content {
  const gitRoot = join(cacheDir, "git");
  const sources = repositories.map(({ name, from, path, into }) => ({
    name,
    path,
    commit: writeRepository(join(here, from), join(gitRoot, path), version),
    into,
  }));
  const checkpoint = (extension: "safetensors" | "ckpt", make: (seed: string) => Buffer) => {
    const file = `v1-5-pruned-emaonly.${extension}`;
    const made = storeFile(cacheDir, file, () => make(file));
    return [hubRepository, modelscopeRepository].map((repository) => ({ repository, file, large: true, ...made }));
  };
  const others = standIns.map(({ file, kind, repository }) => ({
    repository,
    file,
    large: true,
    ...storeFile(cacheDir, file, () => safetensors(file, kind === "checkpoint" ? "sdxl" : kind)),
  }));
  const tokenizer = Object.entries(tokenizerFiles()).map(([file, text]) => ({
    repository: clipRepository,
    file,
    large: false,
    ...storeFile(cacheDir, `tokenizer/${file}`, () => Buffer.from(text)),
  }));
  return {
    gitRoot,
    sources,
    files: [...checkpoint("safetensors", safetensors), ...checkpoint("ckpt", ckpt), ...others, ...tokenizer],
  };
}

/** A made file and its hash, which is kept beside it: warm starts hash nothing. */
function storeFile(cacheDir: string, name: string, make: () => Buffer): Pick<ServedFile, "path" | "bytes" | "sha256"> {
  const path = join(cacheDir, "files", `${makerVersion}-${name.replaceAll("/", "-")}`);
  const digest = `${path}.sha256`;
  if (!existsSync(path) || !existsSync(digest)) {
    const content = make();
    writeWhole(path, content);
    writeWhole(digest, createHash("sha256").update(content).digest("hex"));
  }
  return { path, bytes: statSync(path).size, sha256: readFileSync(digest, "utf8") };
}

/** Names the files' makers: another text makes the files anew. */
const makerVersion = ["checkpoints.ts", "tokenizer.ts"]
  .reduce((hash, file) => hash.update(readFileSync(join(import.meta.dirname, file))), createHash("sha256"))
  .digest("hex")
  .slice(0, 12);
