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
