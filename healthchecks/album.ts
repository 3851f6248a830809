import { createHash } from "node:crypto";
import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Drawing, Generated } from "./draw.ts";
import type { Image, ImageKind } from "./result.ts";

/** The pictures of one proof, written into a folder under names that no older picture of other content has. */
export class Album {
  readonly images: Image[] = [];
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Writes a drawing and gives its file name. Also an unsound one is worth a look. @param upscaler of an enlarged picture */
  add(
    kind: ImageKind,
    drawing: Drawing,
    source: Generated | undefined,
    how: { sampler: string; steps: number },
  ): string {
    const sha256 = createHash("sha256").update(drawing.png).digest("hex");
    const path = `${kind}-${sha256.slice(0, 8)}.png`;
    mkdirSync(this.#folder, { recursive: true });
    const beside = join(this.#folder, `.${path}.${process.pid}.part`);
    writeFileSync(beside, drawing.png);
    renameSync(beside, join(this.#folder, path));
    const { width, height } = drawing.picture;
    const info = source?.info;
    const model = info ? `${info.sd_model_name}${info.sd_model_hash ? ` [${info.sd_model_hash}]` : ""}` : "";
    this.images.push({
      path,
      kind,
      seed: info?.seed ?? 0,
      width,
      height,
      sha256,
      model,
      ...how,
      seconds: drawing.seconds,
    });
    return path;
  }
}
