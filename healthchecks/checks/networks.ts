import { detected, read, sdModels } from "../answers.ts";
import { type Generated, generate } from "../draw.ts";
import { CheckFailed } from "../failure.ts";
import { parseInfotext } from "../infotext.ts";
import { findModel, shortHash } from "../models.ts";
import { decodePicture, difference, encodePicture, type Picture } from "../picture.ts";
import type { Session } from "../session.ts";
import { checkShape, txt2imgBody, xformersTolerance } from "./pictures.ts";
import { controlModels, stem } from "./said.ts";

/** Draws by the SDXL checkpoint, by an override that is over with the picture: a proof that is cut short leaves nothing changed. */
export async function sdxl(session: Session): Promise<Generated> {
  const { model, side, vae } = session.input.sdxl!;
  const { title } = await listed(session, model);
  return generate(
    session,
    "txt2img",
    {
      ...txt2imgBody(session),
      width: side,
      height: side,
      override_settings: { sd_model_checkpoint: title, ...(vae ? { sd_vae: vae } : {}) },
      override_settings_restore_afterwards: true,
    },
    "sdxl",
  );
}

/** The picture is by the SDXL checkpoint (an unknown one is answered with 200 and another's picture), and the next one by the usual one again. */
export async function checkSdxl(session: Session, drawing: Generated): Promise<string> {
  const { model, modelSha256, side } = session.input.sdxl!;
  const found = await listed(session, model);
  const wanted = modelSha256 ?? found.sha256;
  if (wanted && drawing.info.sd_model_hash !== shortHash(wanted)) {
    throw new CheckFailed(
      `The picture was drawn by ${drawing.info.sd_model_name} [${drawing.info.sd_model_hash}], not by ${model} [${shortHash(wanted)}]`,
      "The WebUI did not load it, and says so only in its log: its file may be broken, or the memory too small",
    );
  }
  checkShape(drawing, side, side);
  const small = { ...txt2imgBody(session), width: 64, height: 64, steps: 1 };
  const back = await generate(session, "txt2img", small, "back from sdxl");
  const usual = (await listed(session, session.input.model)).sha256 ?? session.input.modelSha256;
  if (usual && back.info.sd_model_hash !== shortHash(usual)) {
    throw new CheckFailed(
      `After the SDXL picture the WebUI goes on drawing with ${back.info.sd_model_name}, not with ${session.input.model}`,
      "Choose the checkpoint in the WebUI, or restart the service",
    );
  }
  return `${side}x${side} by ${model}, ${drawing.seconds.toFixed(1)} s; then ${back.info.sd_model_name} again.`;
}

/** Draws as the first picture was drawn, with the LoRA named in the prompt. */
export async function lora(session: Session): Promise<Generated> {
  const { file, weight } = session.input.lora!;
  const body = txt2imgBody(session);
  return generate(session, "txt2img", { ...body, prompt: `${body.prompt} <lora:${stem(file)}:${weight}>` }, "lora");
}

/**
 * The LoRA changed the picture. An unknown one, and one of another family of models, is passed over without a word.
 * @param without the same picture without it
 */
export function checkLora(session: Session, drawing: Generated, without: Generated): string {
  const { file } = session.input.lora!;
  checkShape(drawing, session.input.width, session.input.height);
  const hash = parseInfotext(drawing.picture.text.get("parameters") ?? "").loras.get(
    stem(file).replaceAll(/[:,]/g, ""),
  );
  if (!hash || !/^[0-9a-f]{4,12}$/.test(hash)) {
    throw new CheckFailed(
      `The picture's text names no hash of the LoRA ${file}: the WebUI passed it over`,
      "Apply the models step again, and turn on its option lora_add_hashes_to_infotext",
    );
  }
  const { mean } = difference(without.picture, drawing.picture);
  if (!changed(session, mean)) {
    throw new CheckFailed(
      `With the LoRA ${file} the picture is the same as without it`,
      "It may be made for another family of models than the checkpoint: see its page, and the WebUI's log",
    );
  }
  return `${file} [${hash}] changes the picture by ${mean.toFixed(1)} of 255, ${drawing.seconds.toFixed(1)} s.`;
}

/** What ControlNet is shown: a bright disc on a dark ground. */
function shape(width: number, height: number): Buffer {
  const radius = Math.min(width, height) / 4;
  return encodePicture(width, height, (x, y) =>
    Math.hypot(x + 0.5 - width / 2, y + 0.5 - height / 2) < radius ? [255, 255, 255] : [0, 0, 0],
  );
}

/** Draws as the first picture was drawn, held to the shape by ControlNet. */
export async function controlnet(session: Session): Promise<Generated> {
  const { file, module } = session.input.controlnet!;
  const { width, height } = session.input;
  // The extension does not look at the model's name before it draws; and what it can't find leaves the picture as it is.
  const known = await controlModels(session);
  if (!known.includes(stem(file))) {
    throw new CheckFailed(
      `ControlNet knows no model ${stem(file)}; it has ${known.join(", ") || "none"}`,
      "Apply the models step again",
    );
  }
  const unit = {
    enabled: true,
    module,
    model: stem(file),
    image: shape(width, height).toString("base64"),
    weight: 1,
    processor_res: Math.min(width, height),
    save_detected_map: false,
  };
  const body = { ...txt2imgBody(session), alwayson_scripts: { ControlNet: { args: [unit] } } };
  return generate(session, "txt2img", body, "controlnet");
}

/**
 * ControlNet changed the picture, with the module and the model that were asked for, and its module sees what it should.
 * Its text alone proves nothing: it is written before the model is looked for.
 * @param without the same picture without it
 */
export async function checkControlnet(session: Session, drawing: Generated, without: Generated): Promise<string> {
  const { file, module } = session.input.controlnet!;
  checkShape(drawing, session.input.width, session.input.height);
  const said = parseInfotext(drawing.picture.text.get("parameters") ?? "").controlnet;
  const model = said?.get("Model")?.replace(/ \[[0-9a-f]+\]$/, "");
  if (!said || model !== stem(file) || said.get("Module") !== module) {
    throw new CheckFailed(
      `The picture's text says ${said ? `ControlNet with ${said.get("Module")} and ${model}` : "nothing of ControlNet"}, asked was ${module} and ${stem(file)}`,
      "Look in the WebUI's log for 'Error running process'",
    );
  }
  const { mean } = difference(without.picture, drawing.picture);
  if (!changed(session, mean)) {
    throw new CheckFailed(
      `With ControlNet (${stem(file)}) the picture is the same as without it, though its text names it`,
      "The model did not load: look in the WebUI's log for 'Error running process'; it must be of the checkpoint's family",
    );
  }
  const edges = module === "canny" ? ` ${await checkEdges(session)}` : "";
  return `${stem(file)} changes the picture by ${mean.toFixed(1)} of 255, ${drawing.seconds.toFixed(1)} s.${edges}`;
}

/** The module canny finds the shape's edge and nothing else. */
async function checkEdges(session: Session): Promise<string> {
  const side = 256;
  const image = shape(side, side);
  const path = "/controlnet/detect";
  const json = {
    controlnet_module: "canny",
    controlnet_input_images: [image.toString("base64")],
    controlnet_processor_res: side,
  };
  const timeout = session.input.deadlines.picture * 1000;
  const answer = read(detected, await session.ask(path, { method: "POST", json, timeout }), `POST ${path}`);
  const map = decodePicture(Buffer.from(answer.images[0] ?? "", "base64"));
  const { width, height } = map;
  // Within 4 % of the circle lies the edge; the rest is dark, the disc's inside too.
  const away = (x: number, y: number) => Math.abs(Math.hypot(x + 0.5 - width / 2, y + 0.5 - height / 2) - width / 4);
  const on = brightness(map, (x, y) => away(x, y) < width * 0.02);
  const off = brightness(map, (x, y) => away(x, y) > width * 0.04);
  // A line of one pixel in a band of ten: 26 with the real one, whose line has no gaps.
  if (on < 12 || off > 3) {
    throw new CheckFailed(
      `The module canny does not find the edge of a disc (brightness ${on.toFixed(0)} on the edge, ${off.toFixed(0)} elsewhere)`,
      "Another preprocessor answers, or its OpenCV is broken: apply the wheels step again",
    );
  }
  return "Canny finds the disc's edge.";
}

function brightness({ width, height, data }: Picture, where: (x: number, y: number) => boolean): number {
  let [sum, count] = [0, 0];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (!where(x, y)) continue;
      const at = (y * width + x) * 4;
      sum += (data[at]! + data[at + 1]! + data[at + 2]!) / 3;
      count += 1;
    }
  }
  return count ? sum / count : 0;
}

/** Apart by more than chance: without xformers the same request gives the same pixels. */
const changed = (session: Session, mean: number) => mean > (session.input.xformers ? xformersTolerance : 0.05);

async function listed(session: Session, file: string) {
  const path = "/sdapi/v1/sd-models";
  const models = read(sdModels, await session.ask(path), `GET ${path}`);
  const found = findModel(models, file);
  if (found) return found;
  throw new CheckFailed(
    `The WebUI knows no checkpoint ${file}; it has ${models.map(({ title }) => title).join(", ") || "none"}`,
    "Apply the models step again",
  );
}
