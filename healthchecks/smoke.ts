import { Album } from "./album.ts";
import { Checklist } from "./checklist.ts";
import { checkApiAuth, checkUiAuth } from "./checks/auth.ts";
import { checkExposure } from "./checks/exposure.ts";
import * as networks from "./checks/networks.ts";
import { checkPage } from "./checks/page.ts";
import * as pictures from "./checks/pictures.ts";
import { checkExtensions, checkFiles, checkFlags, checkSettings, checkUi } from "./checks/said.ts";
import { checkModel, checkOptions, checkSampler, checkVersion, chooseModel } from "./checks/settings.ts";
import { type Generated, generate } from "./draw.ts";
import { CheckFailed } from "./failure.ts";
import { blemish } from "./picture.ts";
import { waitForPicture } from "./ready.ts";
import type { Proof } from "./result.ts";
import type { Session } from "./session.ts";

/** The whole proof: every check that can be run is run, and the pictures are left in `reportDir`. */
export async function smoke(session: Session): Promise<Proof> {
  const { input } = session;
  const list = new Checklist(session);
  const album = new Album(input.reportDir);
  let first: Generated | undefined;
  let commit: string | undefined;
  const drawn = () => {
    if (first) return first;
    throw new CheckFailed("There is no picture to tell it by (see txt2img)");
  };

  await list.ready(async () => (await waitForPicture(session)) + (await chooseModel(session)));
  await list.run("auth-api", "answers", () => checkApiAuth(session));
  await list.run("auth-ui", "answers", () => checkUiAuth(session));
  await list.run("page", "answers", () => checkPage(session));
  await list.run("exposure", "answers", async () => {
    const found = await checkExposure(session);
    commit = found.commit;
    return found.detail;
  });

  await list.run("txt2img", "draws", async () => {
    first = await generate(session, "txt2img", pictures.txt2imgBody(session));
    album.add("txt2img", first, first, { sampler: first.info.sampler_name, steps: input.steps });
    return pictures.checkSound(session, first, input.seed);
  });
  await list.run("options", "answers", () => checkOptions(session));
  const has = (value: object) => Object.values(value).flat().length > 0;
  if (has(input.options)) await list.run("settings", "answers", () => checkSettings(session));
  if (has(input.flags)) await list.run("flags", "answers", () => checkFlags(session));
  if (has(input.ui)) await list.run("ui", "answers", () => checkUi(session));
  if (has(input.extensions)) await list.run("extensions", "answers", () => checkExtensions(session));
  if (has(input.files)) await list.run("files", "answers", () => checkFiles(session));
  await list.run("model", "draws", () => checkModel(session, drawn().info));
  await list.run("sampler", "draws", () =>
    checkSampler(session, drawn().info, drawn().picture.text.get("parameters") ?? ""),
  );
  await list.run("version", "draws", () => checkVersion(session, drawn().info));

  await list.run("same-seed", "draws", async () => {
    const again = await generate(session, "txt2img", pictures.txt2imgBody(session), "same seed");
    return pictures.checkSameSeed(session, drawn(), again);
  });
  await list.run("other-seed", "draws", async () => {
    const other = await generate(session, "txt2img", pictures.txt2imgBody(session, input.seed + 1), "other seed");
    return pictures.checkOtherSeed(drawn(), other);
  });

  const start = startPicture(session, first);
  await list.run("img2img", "draws", async () => {
    const drawing = await pictures.img2img(session, start);
    album.add("img2img", drawing, drawing, { sampler: drawing.info.sampler_name, steps: input.steps });
    return pictures.checkImg2img(session, start, drawing);
  });
  await list.run("inpaint", "draws", async () => {
    const drawing = await pictures.inpaint(session, start);
    album.add("inpaint", drawing, drawing, { sampler: drawing.info.sampler_name, steps: input.steps });
    return pictures.checkInpaint(session, start, drawing);
  });
  await list.run("upscale", "answers", async () => {
    const drawing = await pictures.upscale(session, start);
    album.add("upscale", drawing, first, { sampler: input.upscaler, steps: 0 });
    return pictures.checkUpscale(session, start, drawing);
  });

  /** A picture that is told from the first one. */
  const compared = async (
    kind: "lora" | "controlnet",
    draw: (session: Session) => Promise<Generated>,
    check: (session: Session, drawing: Generated, without: Generated) => Promise<string> | string,
  ) => {
    const drawing = await draw(session);
    album.add(kind, drawing, drawing, { sampler: drawing.info.sampler_name, steps: input.steps });
    return check(session, drawing, drawn());
  };
  if (input.lora) await list.run("lora", "draws", () => compared("lora", networks.lora, networks.checkLora));
  if (input.controlnet) {
    const { controlnet, checkControlnet } = networks;
    await list.run("controlnet", "draws", () => compared("controlnet", controlnet, checkControlnet));
  }
  // Last: it takes the usual checkpoint out of the memory.
  if (input.sdxl) {
    await list.run("sdxl", "draws", async () => {
      const drawing = await networks.sdxl(session);
      album.add("sdxl", drawing, drawing, { sampler: drawing.info.sampler_name, steps: input.steps });
      return networks.checkSdxl(session, drawing);
    });
  }

  return {
    ok: list.ok,
    provedAt: new Date().toISOString(),
    webui: { url: input.url, version: first?.info.version ?? "unknown", commit: commit ?? input.commit ?? "unknown" },
    checks: list.checks,
    images: album.images,
  };
}

/** The drawn picture, or a test card where it is of no use to go on with. */
function startPicture(session: Session, first: Generated | undefined): Buffer {
  const { width, height } = session.input;
  const sound = first && first.picture.width === width && first.picture.height === height && !blemish(first.picture);
  return sound ? first.png : pictures.testCard(width, height);
}
