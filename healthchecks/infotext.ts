/** What the WebUI writes into a PNG's `parameters`, as far as a proof reads it. */
export interface Infotext {
  seed: number | undefined;
  model: string | undefined;
  modelHash: string | undefined;
  sampler: string | undefined;
  schedule: string | undefined;
}

/** Reads the last line, the one of settings; the lines before it are the prompts, which may hold anything. */
export function parseInfotext(text: string): Infotext {
  const line = text.trimEnd().split("\n").at(-1) ?? "";
  const field = (name: string) => {
    const found = new RegExp(`(?:^|, )${name}: (?:"([^"]*)"|([^,]*))`).exec(line);
    return found?.[1] ?? found?.[2]?.trim();
  };
  const seed = field("Seed");
  return {
    seed: seed !== undefined && /^\d+$/.test(seed) ? Number(seed) : undefined,
    model: field("Model"),
    modelHash: field("Model hash"),
    sampler: field("Sampler"),
    schedule: field("Schedule type"),
  };
}
