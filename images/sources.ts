import { z } from "zod";

/** A repository at one commit. The commit is the proof of the content, so any mirror may serve it. */
const sourceSchema = z.strictObject({
  name: z.string().regex(/^[\w-]+$/),
  /** Folder under the workspace. */
  into: z.string().regex(/^src\/[\w./-]+$/),
  commit: z.string().regex(/^[0-9a-f]{40}$/),
  /** Repository paths under a git upstream, tried in order. */
  paths: z.array(z.string().regex(/^[\w.-]+\/[\w.-]+\.git$/)).min(1),
});

export type Source = z.infer<typeof sourceSchema>;

/** Release of the WebUI that everything in this folder belongs to. */
export const webuiVersion = "v1.10.1";

/**
 * What the WebUI is made of: itself, the five repositories that its launcher would clone, and CLIP, which is built from here.
 * open_clip is not among them: the release's requirements replace it by a wheel.
 */
export const sources: readonly Source[] = z.array(sourceSchema).parse([
  {
    name: "webui",
    into: "src/webui",
    commit: "82a973c04367123ae98bd9abdf80d9eda9b910e2",
    paths: ["AUTOMATIC1111/stable-diffusion-webui.git"],
  },
  {
    name: "stable-diffusion-stability-ai",
    into: "src/webui/repositories/stable-diffusion-stability-ai",
    commit: "cf1d67a6fd5ea1aa600c4df58e5b47da45f6bdbf",
    // The original is gone; the first is the replacement that the WebUI's own later code names.
    paths: ["w-e-w/stablediffusion.git", "Stability-AI/stablediffusion.git"],
  },
  {
    name: "generative-models",
    into: "src/webui/repositories/generative-models",
    commit: "45c443b316737a4ab6e40413d7794a7f5657c19f",
    paths: ["Stability-AI/generative-models.git"],
  },
  {
    name: "k-diffusion",
    into: "src/webui/repositories/k-diffusion",
    commit: "ab527a9a6d347f364e3d185ba6d714e22d80cb3c",
    paths: ["crowsonkb/k-diffusion.git"],
  },
  {
    name: "BLIP",
    into: "src/webui/repositories/BLIP",
    commit: "48211a1594f1321b00f14c9f7a5b4813144b2fb9",
    paths: ["salesforce/BLIP.git"],
  },
  {
    name: "stable-diffusion-webui-assets",
    into: "src/webui/repositories/stable-diffusion-webui-assets",
    commit: "6f7db241d2f8ba7457bac5ca9753331f0c266917",
    paths: ["AUTOMATIC1111/stable-diffusion-webui-assets.git"],
  },
  {
    name: "CLIP",
    into: "src/CLIP",
    commit: "d50d76daa670286dd6cacf3bcd80b5e4823fc8e1",
    paths: ["openai/CLIP.git"],
  },
]);
