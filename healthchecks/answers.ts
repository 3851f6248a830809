import { z } from "zod";
import type { Answer } from "./client.ts";
import { CheckFailed } from "./failure.ts";
import { atelier } from "./hint.ts";

/** The parts of the WebUI's answers that a proof reads; everything else in them is left alone. */
export const sdModels = z.array(
  z.looseObject({
    title: z.string(),
    hash: z.string().nullable(),
    sha256: z.string().nullable(),
    filename: z.string(),
  }),
);
export const options = z.looseObject({
  sd_model_checkpoint: z.string().nullable(),
  sd_checkpoint_hash: z.string().nullish(),
});
export const samplers = z.array(z.looseObject({ name: z.string(), aliases: z.array(z.string()) }));
export const progress = z.looseObject({
  state: z.looseObject({ job: z.string(), sampling_step: z.number(), sampling_steps: z.number() }),
});
/** Of our own gate, where one stands before the WebUI: seconds after which it answers Dify's tool, drawn or not. */
export const gate = z.looseObject({ deadline: z.number() });
export const drawn = z.looseObject({ images: z.array(z.string()).min(1), info: z.string() });
export const drawnInfo = z.looseObject({
  seed: z.number(),
  sampler_name: z.string(),
  sd_model_name: z.string(),
  sd_model_hash: z.string().nullish(),
  version: z.string().nullish(),
});
export const enlarged = z.looseObject({ image: z.string().min(1) });
export const extensions = z.array(
  z.looseObject({ name: z.string(), enabled: z.boolean(), commit_hash: z.string().nullish() }),
);
export const scripts = z.looseObject({ txt2img: z.array(z.string()), img2img: z.array(z.string()) });
export const upscalers = z.array(z.looseObject({ name: z.string(), model_path: z.string().nullish() }));
/** LoRAs say `path`, VAEs `filename`. */
export const namedFiles = z.array(z.looseObject({ path: z.string().nullish(), filename: z.string().nullish() }));
export const detected = z.looseObject({ images: z.array(z.string()).min(1) });
export const openapi = z.looseObject({ paths: z.record(z.string(), z.record(z.string(), z.unknown())) });

export type SdModel = z.infer<typeof sdModels>[number];
export type DrawnInfo = z.infer<typeof drawnInfo>;

/** Reads an answer of status 200 in the expected form. @throws {CheckFailed} that says what came instead */
export function read<T>(schema: z.ZodType<T>, answer: Answer, call: string): T {
  requireOk(answer, call);
  return readText(schema, answer.text, call);
}

/** @throws {CheckFailed} with the server's words and what to do, unless the status is 200 */
export function requireOk(answer: Answer, call: string): void {
  if (answer.status === 200) return;
  throw new CheckFailed(`${call} answered ${answer.status} ${serverError(answer)}`, hint(answer));
}

/** Reads JSON in the expected form. @throws {CheckFailed} */
export function readText<T>(schema: z.ZodType<T>, text: string, call: string): T {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new CheckFailed(
      `${call} answered something that is not JSON (${JSON.stringify(text.slice(0, 80))})`,
      "Check that a WebUI, and not a login page or proxy, answers at this address",
    );
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new CheckFailed(
    `${call} answered JSON of another form than the WebUI's: ${issue?.path.join(".") || "(top)"}: ${issue?.message}`,
    "Check that the WebUI is v1.10.1 and was started with --api",
  );
}

const errorBody = z.looseObject({
  error: z.string().optional(),
  errors: z.string().optional(),
  detail: z.unknown().optional(),
});

/** The server's own words about an error, short. */
export function serverError(answer: Answer): string {
  let text = answer.text;
  try {
    const { error, errors, detail } = errorBody.parse(JSON.parse(answer.text));
    const said = errors || (typeof detail === "string" ? detail : detail === undefined ? "" : JSON.stringify(detail));
    text = [error, said].filter(Boolean).join(": ") || answer.text;
  } catch {
    // Not the WebUI's form: the text itself has to do.
  }
  return text.replace(/\s+/g, " ").trim().slice(0, 300) || "(empty)";
}

const hints: [RegExp, string][] = [
  [
    /NansException/i,
    "The model computes NaN. In half precision: set webui.flags to --no-half-vae, or --no-half; else take another checkpoint",
  ],
  [
    /out of memory/i,
    "The GPU's memory is full: end other programs on it, draw smaller pictures or set webui.vram to medvram",
  ],
  [/Found no NVIDIA driver/i, "PyTorch sees no GPU: check nvidia-smi on the host, or set gpu: none"],
  [/Can't load tokenizer|huggingface|clip-vit/i, "The CLIP tokenizer is missing: apply the models step again"],
  [/No checkpoints found/i, "There is no checkpoint on the host: apply the models step again"],
  [
    /safetensors|HeaderTooLarge|unpickl|state_dict/i,
    "The checkpoint's file is broken: remove it on the host and run up again",
  ],
];

/** What to do about the errors that people meet. */
export function hint(answer: Answer): string {
  if (answer.status === 401)
    return "The API did not accept user and password: the config step and the WebUI's start disagree";
  const known = hints.find(([pattern]) => pattern.test(answer.text));
  return known?.[1] ?? `Read the WebUI's log (${atelier("logs")}) for the error behind it`;
}
