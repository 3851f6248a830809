import { z } from "zod";

const digest = z.string().regex(/^sha256:[0-9a-f]{64}$/);
const descriptor = z.looseObject({ mediaType: z.string(), digest, size: z.number().int().nonnegative() });
const platform = z.looseObject({ os: z.string(), architecture: z.string() });
const imageIndex = z.looseObject({
  manifests: z.array(z.looseObject({ ...descriptor.shape, platform: platform.optional() })),
});
const imageManifest = z.looseObject({
  mediaType: z.string().optional(),
  config: descriptor,
  layers: z.array(descriptor),
});

export type ImageIndex = z.infer<typeof imageIndex>;
export type ImageManifest = z.infer<typeof imageManifest>;

/** The images of several platforms under one digest; undefined where it is no index. */
export const readImageIndex = (bytes: Buffer): ImageIndex | undefined =>
  imageIndex.safeParse(JSON.parse(bytes.toString())).data;

/** What an image's manifest says that it is made of. @throws where it is none */
export function readImageManifest(bytes: Buffer): ImageManifest {
  const parsed = imageManifest.safeParse(JSON.parse(bytes.toString()));
  if (parsed.success) return parsed.data;
  throw new Error("what it sent is no manifest of an image");
}
