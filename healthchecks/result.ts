import { z } from "zod";

export const imageKinds = [
  "txt2img",
  "img2img",
  "inpaint",
  "upscale",
  "sdxl",
  "lora",
  "controlnet",
  "dify-agent",
  "dify-chatflow",
] as const;
const duration = z.number().nonnegative();

export const checkSchema = z.strictObject({
  name: z.string().min(1),
  ok: z.boolean(),
  seconds: duration,
  /** A plain sentence; of a failed check, also what to do next. */
  detail: z.string().min(1),
});

export const imageSchema = z.strictObject({
  /** Relative to the report, without leaving its folder. */
  path: z.string().regex(/^[\w][\w.-]*$/, "expected a file name in the report's own folder"),
  kind: z.enum(imageKinds),
  seed: z.int().nonnegative(),
  width: z.int().positive(),
  height: z.int().positive(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  /** Name and short hash that the WebUI gave, `v1-5-pruned-emaonly [c955cc14f8]`. */
  model: z.string(),
  /** Of an upscale: the upscaler. */
  sampler: z.string(),
  /** Of an upscale: 0. */
  steps: z.int().nonnegative(),
  seconds: duration,
});

export const webuiSchema = z.strictObject({ url: z.string(), version: z.string(), commit: z.string() });

/** What came of a chat with each app of a Dify. */
export const difySchema = z.strictObject({
  url: z.string(),
  /** As its API says it. */
  version: z.string(),
  apps: z.array(
    z.strictObject({
      name: z.string(),
      /** As Dify calls it. */
      mode: z.enum(["agent-chat", "advanced-chat"]),
      ok: z.boolean(),
      /** From the question to the downloaded picture. */
      seconds: duration,
      /** Path of the picture among `images`; null where none came. */
      image: z.string().nullable(),
      detail: z.string().min(1),
    }),
  ),
});

const proofSchema = z.strictObject({
  ok: z.boolean(),
  /** When the proof ended, ISO 8601 in UTC. */
  provedAt: z.iso.datetime(),
  webui: webuiSchema,
  checks: z.array(checkSchema),
  images: z.array(imageSchema),
  dify: difySchema.optional(),
});

export type ImageKind = (typeof imageKinds)[number];
export type Check = z.infer<typeof checkSchema>;
export type Image = z.infer<typeof imageSchema>;
export type DifyResult = z.infer<typeof difySchema>;
/** What `main.ts` prints on standard output. */
export type Proof = z.infer<typeof proofSchema>;

/** Reads a proof as `main.ts` printed it. @throws if it has another form */
export function parseProof(text: string): Proof {
  return proofSchema.parse(JSON.parse(text));
}

/** Seconds since a `performance.now()`, to the millisecond. */
export function secondsSince(start: number): number {
  return Math.round(performance.now() - start) / 1000;
}
