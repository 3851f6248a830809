import { z } from "zod";
import { difySchema } from "./schema/dify.ts";
import { hostSchema } from "./schema/host.ts";
import { describe, type Held } from "./schema/mistakes.ts";
import { modelSchema } from "./schema/models.ts";
import { proofSchema } from "./schema/proof.ts";
import { sourceOverrideSchema, upstreamsSchema } from "./schema/upstreams.ts";
import { webuiSchema } from "./schema/webui.ts";

/**
 * The settings of a stack: `atelier:<key>` in `stacks/Pulumi.<stack>.yaml`. Every default is said here and in `schema/`, once.
 * Pure: takes what the configuration holds, gives a typed value or every mistake at once.
 */
export const settingsSchema = z.strictObject({
  engine: z.enum(["embedded", "pulumi"]).default("embedded"),
  host: hostSchema,
  webui: webuiSchema.prefault({}),
  models: z
    .array(z.union([z.string(), modelSchema]))
    .min(1)
    .default(["v1-5-pruned-emaonly", "v1-5-pruned-emaonly-ckpt"]),
  upstreams: upstreamsSchema.prefault({}),
  sources: z.record(z.string(), sourceOverrideSchema).default({}),
  /** A Hugging Face token (a secret), for models that want one. */
  huggingfaceToken: z.string().min(1).optional(),
  proof: proofSchema.prefault({}),
  /** With it, a Dify that draws with the WebUI. */
  dify: difySchema.optional(),
});

/** What keys of different parts mean together. */
const checked = settingsSchema.refine(
  ({ dify, upstreams }) => !dify || dify.model || upstreams?.profile === "rehearsal",
  {
    error: "an object with its provider: openai_api_compatible, tongyi, zhipuai or ollama",
    path: ["dify", "model"],
    when: ({ value }) => typeof value === "object" && value !== null,
  },
);

export type Settings = z.infer<typeof settingsSchema>;

/** The keys of `atelier:` whose objects are read as JSON; the others are plain words. */
export const settingKeys = Object.keys(settingsSchema.shape) as (keyof Settings)[];

/** Every mistake of a stack's settings: each with its key, what was got, what is accepted. */
export class SettingsError extends Error {
  readonly mistakes: string[];
  constructor(stack: string, mistakes: string[]) {
    const count = mistakes.length === 1 ? "a mistake" : `${mistakes.length} mistakes`;
    super(
      `The settings of stack \`${stack}\` (stacks/Pulumi.${stack}.yaml) have ${count}:\n${mistakes.map((m) => `  - ${m}`).join("\n")}`,
    );
    this.name = "SettingsError";
    this.mistakes = mistakes;
  }
}

/**
 * Validates what the configuration holds.
 * @param raw the values by key, without the `atelier:` prefix; secrets in clear
 * @param stack for the error's text
 * @param nearest finds the key that a misspelt one was meant to be; without it, all that there are are named
 * @throws SettingsError with every mistake
 */
export function parseSettings(
  raw: Record<string, unknown>,
  stack: string,
  nearest: Held["nearest"] = () => undefined,
): Settings {
  const parsed = checked.safeParse(raw, { reportInput: true });
  if (parsed.success) return parsed.data;
  throw new SettingsError(
    stack,
    parsed.error.issues.flatMap((issue) => describe(issue, { schema: settingsSchema, raw, nearest })),
  );
}
