import type { SdModel } from "./answers.ts";

/** A checkpoint's title without its hash, which comes and goes: `a.safetensors [0123456789]` → `a.safetensors`. */
export function bareTitle(title: string): string {
  return title.replace(/ \[[0-9a-f]{8,64}\]$/, "").replaceAll("\\", "/");
}

/**
 * Finds a checkpoint in `/sdapi/v1/sd-models` by its file, never by `model_name`, which a .ckpt and a
 * .safetensors of one stem share.
 * @param file relative to the folder of checkpoints
 */
export function findModel(models: readonly SdModel[], file: string): SdModel | undefined {
  const wanted = file.replaceAll("\\", "/");
  return (
    models.find((model) => bareTitle(model.title) === wanted) ??
    models.find((model) => `/${model.filename.replaceAll("\\", "/")}`.endsWith(`/${wanted}`))
  );
}

/** The ten digits that the WebUI shortens a sha256 to. */
export function shortHash(sha256: string): string {
  return sha256.slice(0, 10);
}
