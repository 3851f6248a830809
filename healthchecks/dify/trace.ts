import { read, type SdModel, sdModels } from "../answers.ts";
import { xformersTolerance } from "../checks/pictures.ts";
import { type Generated, generate } from "../draw.ts";
import { CheckFailed } from "../failure.ts";
import { parseRecipe, type Recipe } from "../infotext.ts";
import { difference, type Picture } from "../picture.ts";
import type { Session } from "../session.ts";

/**
 * Traces a picture to the WebUI: what the PNG says of how it was made is drawn again, and has to give the same picture.
 * @param prompt what the tool was called with in this very chat: a picture of an earlier one has another
 * @returns the second drawing, the recipe, and the checkpoints of the WebUI
 * @throws {CheckFailed}
 */
export async function trace(
  session: Session,
  picture: Picture,
  prompt: string | undefined,
): Promise<{ again: Generated; recipe: Recipe; checkpoints: SdModel[] }> {
  const recipe = parseRecipe(picture.text.get("parameters") ?? "");
  if (!recipe)
    throw new CheckFailed(
      "The PNG does not say how it was made, so it can't be traced to the WebUI",
      "Turn on the WebUI's option enable_pnginfo",
    );
  const plain = (text: string) => text.replace(/\s+/g, " ").trim();
  if (prompt !== undefined && plain(recipe.prompt) !== plain(prompt))
    throw new CheckFailed(
      `The picture was drawn for another prompt (${JSON.stringify(short(recipe.prompt))}) than this chat's (${JSON.stringify(short(prompt))})`,
      "Something between Dify and the WebUI answers with an old picture",
    );
  const checkpoints = read(sdModels, await session.ask("/sdapi/v1/sd-models"), "GET /sdapi/v1/sd-models");
  const body = {
    prompt: recipe.prompt,
    negative_prompt: recipe.negative,
    seed: recipe.seed,
    steps: recipe.steps,
    cfg_scale: recipe.cfgScale,
    width: recipe.width,
    height: recipe.height,
    sampler_name: recipe.sampler,
    ...(recipe.schedule ? { scheduler: recipe.schedule } : {}),
    batch_size: 1,
    n_iter: 1,
    save_images: false,
    override_settings: { sd_model_checkpoint: titleOf(checkpoints, recipe) },
    override_settings_restore_afterwards: true,
  };
  const again = await generate(session, "txt2img", body, "the same again");
  const { mean } = difference(picture, again.picture);
  if (mean > (session.input.xformers ? xformersTolerance : 0))
    throw new CheckFailed(
      `The WebUI draws another picture from the same seed, prompt and model (they differ by ${mean.toFixed(2)} of 255)`,
      "Dify's tool may call another WebUI: look at base_url in its credential; with xformers on, say so in webui.xformers",
    );
  return { again, recipe, checkpoints };
}

/** The title of the checkpoint that drew, by its hash; a bare name is taken by two files of one stem. */
function titleOf(known: readonly SdModel[], { model, modelHash }: Recipe): string {
  const byHash = modelHash
    ? known.find(({ hash, sha256 }) => hash === modelHash || sha256?.startsWith(modelHash))
    : undefined;
  if (byHash) return byHash.title;
  throw new CheckFailed(
    `The picture was drawn by ${model ?? "an unnamed model"} [${modelHash ?? "no hash"}], which this WebUI does not have`,
    "Dify's tool calls another WebUI: look at base_url in its credential",
  );
}

export const short = (text: string) => (text.length > 100 ? `${text.slice(0, 99)}…` : text);
