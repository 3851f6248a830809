/** What the WebUI writes into a PNG's `parameters`, as far as a proof reads it. */
export interface Infotext {
  seed: number | undefined;
  model: string | undefined;
  modelHash: string | undefined;
  sampler: string | undefined;
  schedule: string | undefined;
  /** `Lora hashes`: name to hash. */
  loras: Map<string, string>;
  /** Of the first ControlNet unit: name (Module, Model, Weight …) to value. */
  controlnet: Map<string, string> | undefined;
}

/** What it takes to draw a picture again. */
export interface Recipe {
  prompt: string;
  negative: string;
  seed: number;
  steps: number;
  cfgScale: number;
  width: number;
  height: number;
  sampler: string;
  schedule: string | undefined;
  model: string | undefined;
  modelHash: string | undefined;
}

/** Reads a PNG's `parameters` as a recipe; undefined where something of it is missing. */
export function parseRecipe(text: string): Recipe | undefined {
  const lines = text.trimEnd().split("\n");
  const settings = lines.pop() ?? "";
  const number = (name: string) =>
    Number(new RegExp(`(?:^|, )${name}: ([\\d.]+)(?:,|$)`).exec(settings)?.[1] ?? Number.NaN);
  const [, width, height] = /(?:^|, )Size: (\d+)x(\d+)/.exec(settings) ?? [];
  const { seed, sampler, schedule, model, modelHash } = parseInfotext(text);
  const at = lines.findLastIndex((line) => line.startsWith("Negative prompt: "));
  const prompt = (at < 0 ? lines : lines.slice(0, at)).join("\n");
  const negative = at < 0 ? "" : lines.slice(at).join("\n").slice("Negative prompt: ".length);
  const [steps, cfgScale] = [number("Steps"), number("CFG scale")];
  if (seed === undefined || !sampler || !width || !height || Number.isNaN(steps) || Number.isNaN(cfgScale))
    return undefined;
  const size = { width: Number(width), height: Number(height) };
  return { prompt, negative, seed, steps, cfgScale, ...size, sampler, schedule, model, modelHash };
}

/** Reads the last line, the one of settings; the lines before it are the prompts, which may hold anything. */
export function parseInfotext(text: string): Infotext {
  const line = text.trimEnd().split("\n").at(-1) ?? "";
  const field = (name: string) => {
    const found = new RegExp(`(?:^|, )${name}: (?:"([^"]*)"|([^,]*))`).exec(line);
    return found?.[1] ?? found?.[2]?.trim();
  };
  const seed = field("Seed");
  const pairs = (text: string | undefined) =>
    new Map(
      (text ?? "")
        .split(", ")
        .filter(Boolean)
        .map((pair) => pair.split(/: (.*)/) as [string, string]),
    );
  const control = field("ControlNet 0");
  return {
    seed: seed !== undefined && /^\d+$/.test(seed) ? Number(seed) : undefined,
    model: field("Model"),
    modelHash: field("Model hash"),
    sampler: field("Sampler"),
    schedule: field("Schedule type"),
    loras: pairs(field("Lora hashes")),
    controlnet: control === undefined ? undefined : pairs(control),
  };
}
