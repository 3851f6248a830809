import { z } from "zod";

const modelSchema = z.strictObject({
  name: z.string().regex(/^[\w.-]+$/),
  kind: z.enum(["checkpoint", "vae", "lora", "controlnet", "upscaler", "embedding"]),
  /** Under this name the WebUI lists it. */
  file: z.string().regex(/^[\w.-]+\.(safetensors|ckpt|pt|pth|bin)$/),
  bytes: z.number().int().positive().optional(),
  sha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .optional(),
  /** SPDX identifier, or the licence's own name. */
  licence: z.string(),
  /** In order: a path under the Hugging Face or ModelScope upstreams, or a whole address. */
  sources: z
    .array(
      z.union([
        z.strictObject({ huggingface: z.string().regex(/^[\w.-]+\/[\w.-]+\/resolve\/[\w.-]+\/\S+$/) }),
        z.strictObject({ modelscope: z.string().regex(/^[\w.-]+\/[\w.-]+\/resolve\/[\w.-]+\/\S+$/) }),
        z.strictObject({ url: z.url({ protocol: /^https?$/ }) }),
      ]),
    )
    .min(1),
});

export type CatalogModel = z.infer<typeof modelSchema>;

const sd15 = (file: string): CatalogModel["sources"] => [
  { huggingface: `stable-diffusion-v1-5/stable-diffusion-v1-5/resolve/main/${file}` },
  { modelscope: `AI-ModelScope/stable-diffusion-v1-5/resolve/master/${file}` },
  { url: `https://hf-mirror.com/stable-diffusion-v1-5/stable-diffusion-v1-5/resolve/main/${file}` },
];

/**
 * Models that settings may name. Sizes and sha256 as published by Hugging Face for these files; the first sha256 stands in the WebUI's own code too.
 * safetensors come first: a ckpt is a pickle, which can run code when it is loaded.
 */
export const catalog: readonly CatalogModel[] = z.array(modelSchema).parse([
  {
    name: "v1-5-pruned-emaonly",
    kind: "checkpoint",
    file: "v1-5-pruned-emaonly.safetensors",
    bytes: 4_265_146_304,
    sha256: "6ce0161689b3853acaa03779ec93eafe75a02f4ced659bee03f50797806fa2fa",
    licence: "CreativeML-OpenRAIL-M",
    sources: sd15("v1-5-pruned-emaonly.safetensors"),
  },
  {
    name: "v1-5-pruned-emaonly-ckpt",
    kind: "checkpoint",
    file: "v1-5-pruned-emaonly.ckpt",
    bytes: 4_265_380_512,
    sha256: "cc6cb27103417325ff94f52b7a5d2dde45a7515b25c255d8e396c90014281516",
    licence: "CreativeML-OpenRAIL-M",
    sources: sd15("v1-5-pruned-emaonly.ckpt"),
  },
]);

/**
 * A model of the catalog.
 * @throws Error that names the known ones
 */
export function catalogModel(name: string): CatalogModel {
  const model = catalog.find((entry) => entry.name === name);
  if (model) return model;
  throw new Error(`no model \`${name}\` in the catalog; it has ${catalog.map((entry) => entry.name).join(", ")}`);
}
