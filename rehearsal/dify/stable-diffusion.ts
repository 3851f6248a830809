import { pythonJson } from "../lib/python-json.ts";
import { type Fetch, type Incoming, Unreachable } from "./outbound.ts";

/** Milliseconds that the plugin waits for the list of models. */
const modelsTimeout = 10_000;

/** What the tool gives back: words, and at most one picture. */
export interface Drawn {
  texts: string[];
  picture: Buffer | undefined;
}

/** The plugin's "Failed to set model": the one failure that it tells as one. */
export class ToolCredentialError extends Error {}

export interface ToolParameters {
  prompt: string;
  negative_prompt: string;
  model: string;
  lora: string;
  steps: number;
  width: number;
  height: number;
}

/** Tells why the plugin (langgenius/stablediffusion 0.0.7) refuses a credential; undefined: it takes it. */
export async function validateStableDiffusion(
  fetch: Fetch,
  credentials: Record<string, string>,
): Promise<string | undefined> {
  const { base_url: baseUrl = "", model = "" } = credentials;
  const url = endpoint(baseUrl, "sd-models");
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(url)?.[1]?.toLowerCase();
  if (!scheme)
    return `Failed to get models, Invalid URL '${url}': No scheme supplied. Perhaps you meant https://${url}?`;
  if (scheme !== "http" && scheme !== "https")
    return `Failed to get models, No connection adapters were found for '${url}'`;
  try {
    const response = await fetch({ method: "GET", url, timeout: modelsTimeout });
    if (response.status === 404) return await drawsACat(fetch, baseUrl);
    if (response.status !== 200) return "Failed to get models, Failed to get models";
    const models = parse(await response.text());
    if (!Array.isArray(models)) return "Failed to get models, Expecting value: line 1 column 1 (char 0)";
    const names = models.map((each: { model_name?: unknown }) => each.model_name);
    return names.includes(model) ? undefined : `Failed to get models, model ${model} does not exist`;
  } catch (error) {
    return `Failed to get models, ${wordsOf(error)}`;
  }
}

async function drawsACat(fetch: Fetch, baseUrl: string): Promise<string | undefined> {
  const options = { prompt: "a cat", negative_prompt: "", steps: 1, width: 1024, height: 1024, model: "", lora: "" };
  const response = await post(fetch, endpoint(baseUrl, "txt2img"), payload(options, ""), 120_000);
  return response.status === 200 ? undefined : "Failed to validate connection";
}

/**
 * Draws as the plugin does: sets the checkpoint (and waits for that without end), then txt2img.
 * @param timeout ms of txt2img, after which it gives up
 * @throws {ToolCredentialError} when the checkpoint can't be set, whatever the reason
 */
export async function draw(
  fetch: Fetch,
  credentials: Record<string, string>,
  parameters: ToolParameters,
  timeout: number,
): Promise<Drawn> {
  const { base_url: baseUrl = "" } = credentials;
  const model = parameters.model || credentials.model || "";
  await setModel(fetch, baseUrl, model);
  const failed = "Failed to generate image";
  try {
    const response = await post(fetch, endpoint(baseUrl, "txt2img"), payload(parameters, model), timeout);
    const answer = parse(await response.text()) as { images?: unknown[] } | undefined;
    // The plugin says so and goes on; then it finds no picture, and says so again.
    if (response.status !== 200) return { texts: [failed, failed], picture: undefined };
    const [first] = answer?.images ?? [];
    if (typeof first !== "string") return { texts: [failed], picture: undefined };
    return { texts: [], picture: Buffer.from(first, "base64") };
  } catch {
    return { texts: [failed], picture: undefined };
  }
}

async function setModel(fetch: Fetch, baseUrl: string, model: string): Promise<void> {
  const refused = new ToolCredentialError("Failed to set model, please tell user to set model");
  let response: Incoming;
  try {
    response = await post(fetch, endpoint(baseUrl, "options"), { sd_model_checkpoint: model });
    await response.text();
  } catch {
    throw refused;
  }
  if (response.status !== 200) throw refused;
}

/** Without a Content-Type, as `data=json.dumps(…)` goes out. */
const post = (fetch: Fetch, url: string, body: object, timeout?: number) =>
  fetch({ method: "POST", url, body: pythonJson(body), timeout });

const endpoint = (baseUrl: string, name: string) => `${baseUrl.replace(/\/$/, "")}/sdapi/v1/${name}`;

function payload(parameters: ToolParameters, model: string): object {
  const { prompt, negative_prompt, lora, steps, width, height } = parameters;
  return {
    prompt: lora ? `${lora},${prompt}` : prompt,
    negative_prompt,
    seed: -1,
    subseed: -1,
    subseed_strength: 0,
    seed_resize_from_h: -1,
    seed_resize_from_w: -1,
    sampler_name: "DPM++ 2M",
    batch_size: 1,
    n_iter: 1,
    steps,
    cfg_scale: 7,
    width,
    height,
    do_not_save_samples: false,
    do_not_save_grid: false,
    override_settings: { sd_model_checkpoint: parameters.model },
    override_settings_restore_afterwards: true,
    refiner_checkpoint: "",
    refiner_switch_at: 0,
    disable_extra_networks: false,
    enable_hr: false,
    firstphase_width: 0,
    firstphase_height: 0,
    hr_scale: 2,
    hr_second_pass_steps: 0,
    hr_resize_x: 0,
    hr_resize_y: 0,
    hr_prompt: "",
    hr_negative_prompt: "",
    script_args: [],
    send_images: true,
    save_images: false,
    alwayson_scripts: {},
    lora,
    model,
  };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const wordsOf = (error: unknown) => (error instanceof Unreachable ? error.message : String(error));
