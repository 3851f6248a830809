import { z } from "zod";
import { models } from "./models.ts";

/** The folder of the WebUI's models that a kind belongs into; embeddings lie beside them. */
export const modelFolders = {
  checkpoint: "Stable-diffusion",
  vae: "VAE",
  lora: "Lora",
  // Where sd-webui-controlnet looks besides its own folder.
  controlnet: "ControlNet",
  // Of the WebUI's folders for upscalers the one whose every file is tried by its content.
  upscaler: "ESRGAN",
  embedding: "embeddings",
} as const;
export type ModelKind = keyof typeof modelFolders;
export const modelKinds = Object.keys(modelFolders) as [ModelKind, ...ModelKind[]];

export const modelBases = ["sd15", "sdxl"] as const;

const hubPath = z.string().regex(/^[\w.-]+\/[\w.-]+\/resolve\/[\w.-]+\/\S+$/);
const modelSchema = z.strictObject({
  name: z.string().regex(/^[\w.-]+$/),
  kind: z.enum(modelKinds),
  /** The family of models that it is of, or made for. @default sd15 */
  base: z.enum(modelBases).optional(),
  /** Under this name the WebUI lists it. */
  file: z.string().regex(/^[\w.-]+\.(safetensors|ckpt|pt|pth|bin)$/),
  bytes: z.number().int().positive().optional(),
  /** Where the exact length is not known: what its page shows, for the check of the disk only. */
  aboutBytes: z.number().int().positive().optional(),
  sha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .optional(),
  /** SPDX identifier, or the licence's own name. */
  licence: z.string(),
  /** Where bytes and sha256 are from, and how sure they are. */
  evidence: z.string(),
  /** In order: a path under the Hugging Face or ModelScope upstreams, or a whole address. */
  sources: z
    .array(
      z.union([
        z.strictObject({ huggingface: hubPath }),
        z.strictObject({ modelscope: hubPath }),
        z.strictObject({ url: z.url({ protocol: /^https?$/ }) }),
      ]),
    )
    .min(1),
});

export type CatalogModel = z.infer<typeof modelSchema>;

/** Models that settings may name. */
export const catalog: readonly CatalogModel[] = z.array(modelSchema).parse(models);

/**
 * A model of the catalog.
 * @throws Error that names the known ones
 */
export function catalogModel(name: string): CatalogModel {
  const model = catalog.find((entry) => entry.name === name);
  if (model) return model;
  throw new Error(`no model \`${name}\` in the catalog; it has ${catalog.map((entry) => entry.name).join(", ")}`);
}
