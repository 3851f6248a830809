import { type Drawing, enlarge, type Generated, generate } from "../draw.ts";
import { CheckFailed } from "../failure.ts";
import { parseInfotext } from "../infotext.ts";
import { blemish, decodePicture, difference, encodePicture, halve, likeness, type Region } from "../picture.ts";
import type { Session } from "../session.ts";

/** Largest mean difference, of 255, that still counts as the same picture with xformers. */
export const xformersTolerance = 2;

export function txt2imgBody(session: Session, seed = session.input.seed): Record<string, unknown> {
  const { prompt, negative, steps, width, height, sampler, scheduler, cfgScale } = session.input;
  return {
    prompt,
    negative_prompt: negative,
    seed,
    steps,
    width,
    height,
    sampler_name: sampler,
    ...(scheduler ? { scheduler } : {}),
    cfg_scale: cfgScale,
    batch_size: 1,
    n_iter: 1,
    save_images: false,
  };
}

/** The picture to work on where none was drawn: a colour wheel, so that the other checks stand on their own. */
export function testCard(width: number, height: number): Buffer {
  return encodePicture(width, height, (x, y) => [
    Math.round((255 * x) / width),
    Math.round((255 * y) / height),
    128 + Math.round(100 * Math.sin((x + y) / 7)),
  ]);
}

/** Size, colours and text of a picture that was drawn. */
export function checkSound(session: Session, drawing: Generated, seed: number): string {
  checkShape(drawing, session.input.width, session.input.height);
  if (drawing.info.seed !== seed) {
    throw new CheckFailed(
      `Asked for seed ${seed}, the WebUI drew with ${drawing.info.seed}`,
      "Something between changes the request",
    );
  }
  const text = drawing.picture.text.get("parameters");
  if (!text) {
    throw new CheckFailed(
      "The PNG has no text chunk 'parameters', so nobody can tell how it was made",
      "Turn on the WebUI's option enable_pnginfo",
    );
  }
  const said = parseInfotext(text);
  if (said.seed !== seed) throw new CheckFailed(`The PNG's text says seed ${said.seed ?? "(none)"}, asked was ${seed}`);
  const { sd_model_name: name, sd_model_hash: hash } = drawing.info;
  if (said.model !== name || (hash && said.modelHash !== hash)) {
    throw new CheckFailed(
      `The PNG's text says model ${said.model ?? "(none)"} [${said.modelHash ?? ""}], the WebUI says ${name} [${hash ?? ""}]`,
      "Turn on the WebUI's option add_model_hash_to_info",
    );
  }
  const { width, height } = drawing.picture;
  return `${width}x${height}, seed ${seed}, ${name} [${hash ?? ""}], ${drawing.seconds.toFixed(1)} s.`;
}

// Each kind has a seed of its own: drawing again from a picture with the seed that made it may well return it.
const inpaintSeed = (session: Session) => session.input.seed + 1;
const img2imgSeed = (session: Session) => session.input.seed + 2;

/** Draws from a picture. */
export async function img2img(session: Session, start: Buffer): Promise<Generated> {
  return generate(session, "img2img", {
    ...txt2imgBody(session, img2imgSeed(session)),
    init_images: [start.toString("base64")],
    denoising_strength: 0.6,
  });
}

export function checkImg2img(session: Session, start: Buffer, drawing: Generated): string {
  const detail = checkSound(session, drawing, img2imgSeed(session));
  const { mean } = difference(decodePicture(start), drawing.picture);
  if (mean < 1) throw new CheckFailed("img2img gave back the picture that it was given", "Read the WebUI's log");
  return `${detail} It differs from the picture it started from by ${mean.toFixed(1)} of 255.`;
}

/** Repaints the middle of a picture and nothing else. */
export async function inpaint(session: Session, start: Buffer): Promise<Generated> {
  const { width, height } = session.input;
  const inside = middle(width, height);
  const mask = encodePicture(width, height, (x, y) => (inside(x, y) ? [255, 255, 255] : [0, 0, 0]));
  const body = {
    ...txt2imgBody(session, inpaintSeed(session)),
    init_images: [start.toString("base64")],
    mask: mask.toString("base64"),
    denoising_strength: 0.9,
    // No blur: every pixel is either repainted or kept. Fill 1: start from what is there.
    mask_blur: 0,
    inpainting_fill: 1,
    inpaint_full_res: false,
  };
  return generate(session, "img2img", body, "inpaint");
}

export function checkInpaint(session: Session, start: Buffer, drawing: Generated): string {
  const { width, height } = session.input;
  const detail = checkSound(session, drawing, inpaintSeed(session));
  const before = decodePicture(start);
  const inside = middle(width, height);
  const kept = difference(before, drawing.picture, (x, y) => !inside(x, y));
  const painted = difference(before, drawing.picture, inside);
  if (kept.max > 2) {
    throw new CheckFailed(
      `Inpainting changed what the mask protects (by ${kept.mean.toFixed(1)} of 255 on average, ${kept.max} at most)`,
      "Check the WebUI's option overlay_inpaint and its extensions",
    );
  }
  if (painted.mean < 1) throw new CheckFailed("Inpainting left the masked part as it was", "Read the WebUI's log");
  return `${detail} The middle was repainted (by ${painted.mean.toFixed(1)} of 255), the rest kept.`;
}

export async function upscale(session: Session, start: Buffer): Promise<Drawing> {
  const { upscaler } = session.input;
  return enlarge(session, { image: start.toString("base64"), upscaling_resize: 2, upscaler_1: upscaler });
}

export function checkUpscale(session: Session, start: Buffer, drawing: Drawing): string {
  const { width, height, upscaler } = session.input;
  checkShape(drawing, width * 2, height * 2);
  const before = decodePicture(start);
  const small = halve(drawing.picture);
  const { mean } = difference(before, small);
  // Measured with Lanczos, there and back: 1.9 of 255 and a likeness of 0.998 on a real picture, 15 and 0.987 on
  // white noise. Another picture has a likeness of about 0.
  if (likeness(before, small) < 0.9 || mean > 20) {
    throw new CheckFailed(
      `The enlarged picture is another one (it differs by ${mean.toFixed(1)} of 255 when made small again)`,
      `Try another upscaler than ${upscaler}`,
    );
  }
  return `${width}x${height} to ${width * 2}x${height * 2} with ${upscaler}, the same picture, ${drawing.seconds.toFixed(1)} s.`;
}

/** The same seed gives the same picture. */
export function checkSameSeed(session: Session, first: Generated, again: Generated): string {
  const { mean, max } = difference(first.picture, again.picture);
  if (session.input.xformers) {
    if (mean < xformersTolerance) return `Drawn twice, the pictures differ by ${mean.toFixed(2)} of 255 (xformers).`;
  } else if (max === 0) return "Drawn twice, the pictures are the same to the pixel.";
  throw new CheckFailed(
    `The same seed gave two pictures that differ by ${mean.toFixed(2)} of 255`,
    session.input.xformers ? "Read the WebUI's log" : "If the WebUI runs with xformers, say so in its settings",
  );
}

/** Another seed gives another picture. */
export function checkOtherSeed(first: Generated, other: Generated): string {
  const { mean } = difference(first.picture, other.picture);
  if (mean > xformersTolerance) return `Another seed changes the picture by ${mean.toFixed(1)} of 255.`;
  throw new CheckFailed(
    "Another seed gave the same picture",
    "Something before the WebUI answers from a cache, or nothing is drawn at all",
  );
}

/** A picture of the right size that shows something. */
export function checkShape(drawing: Drawing, width: number, height: number): void {
  const { picture } = drawing;
  if (picture.width !== width || picture.height !== height) {
    throw new CheckFailed(
      `The picture is ${picture.width}x${picture.height}, asked for was ${width}x${height}`,
      "Read the WebUI's log",
    );
  }
  const wrong = blemish(picture);
  if (wrong) {
    throw new CheckFailed(
      `The picture is ${wrong}`,
      wrong === "black"
        ? "The usual cause is a VAE that overflows in half precision: set --no-half-vae (or --no-half) in webui.flags"
        : "The checkpoint is broken or none was loaded: check its sha256 and the WebUI's log",
    );
  }
}

/** The middle of a picture, in whole latent cells of 8 pixels. */
function middle(width: number, height: number): Region {
  const part = (length: number, share: number) => Math.round((length * share) / 8) * 8;
  const [left, right, top, bottom] = [part(width, 0.25), part(width, 0.75), part(height, 0.25), part(height, 0.75)];
  return (x, y) => x >= left && x < right && y >= top && y < bottom;
}
