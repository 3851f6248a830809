import { z } from "zod";
import { modelBases, modelKinds } from "../../images/catalog.ts";
import { openUrl, sha256 } from "./words.ts";

// The host gets them as a list between spaces.
const unspaced = [/^\S+$/, "an address without spaces: in its path one is written %20"] as const;
const path = z.string().regex(...unspaced);
const modelSourceSchema = z.union([
  z.strictObject({ huggingface: path }),
  z.strictObject({ modelscope: path }),
  z.strictObject({ url: openUrl.regex(...unspaced) }),
]);
export const modelSchema = z.strictObject({
  name: z.string().regex(/^[\w.-]+$/, "a name of plain letters (a to z), digits, dots and dashes"),
  kind: z.enum(modelKinds).default("checkpoint"),
  /** The family of models that it is of, or made for. @default sd15 */
  base: z.enum(modelBases).optional(),
  file: z
    .string()
    .regex(
      /^[\w.-]+\.(safetensors|ckpt|pt|pth|bin)$/,
      "a file name such as model.safetensors, of plain letters (a to z), digits, dots and dashes",
    ),
  bytes: z.number().int().positive().optional(),
  /** For the check of the disk only, where the exact length is not known. */
  aboutBytes: z.number().int().positive().optional(),
  sha256: sha256.optional(),
  licence: z.string().optional(),
  /** Where bytes and sha256 are from. */
  evidence: z.string().optional(),
  sources: z.array(modelSourceSchema).min(1),
});

export type Model = z.infer<typeof modelSchema>;

/** Whether there is a checkpoint of SDXL among them. */
export function hasSdxl(models: Model[]): boolean {
  return models.some(({ kind, base }) => kind === "checkpoint" && base === "sdxl");
}
