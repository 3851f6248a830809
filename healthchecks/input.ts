import { join, resolve } from "node:path";
import { z } from "zod";

const seconds = (fallback: number) => z.number().positive().max(604_800).default(fallback);

/** Every wait of a proof, in seconds. A slow machine gets longer ones; none can be without an end. */
const deadlines = z.strictObject({
  /** From the first call until a picture can be made. */
  ready: seconds(300),
  /** How long `/sdapi` may answer 404 before the start counts as crashed. */
  crashed: seconds(30),
  /** One call that draws nothing. */
  request: seconds(15),
  /** One picture. */
  picture: seconds(300),
  /** One chat with an app of Dify: a thinking model, the tool's 120 s, and what waits before it. */
  chat: seconds(600),
  /** The whole proof. */
  total: seconds(1800),
});

const sshHost = z.object({
  address: z.string().min(1),
  port: z.int().min(1).max(65_535),
  user: z.string().min(1),
  password: z.string().optional(),
  privateKey: z.string().optional(),
  privateKeyPassword: z.string().optional(),
  agent: z.boolean().optional(),
  /** As in known_hosts, without the host's name. */
  hostKey: z.string().regex(/^\S+ [A-Za-z0-9+/=]+/, "expected a type and a key, ssh-ed25519 AAAA…"),
});

/** Names and the values that the WebUI has to say of them. */
const said = z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.array(z.string())])).default({});
export type Said = z.infer<typeof said>;

const files = z.array(z.string().min(1)).default([]);
const side = z.int().min(64).max(2048).multipleOf(8);

const base = z
  .url({ protocol: /^https?$/, error: "expected an http or https URL" })
  .refine((url) => !url.includes("@"), "expected a URL without a login; user and password are inputs of their own")
  .transform((url) => url.replace(/\/+$/, ""));

/** The apps of a Dify that draw with this WebUI. */
const dify = z.strictObject({
  url: base,
  /** Login of the console, which tells whether somebody chose another checkpoint in an app. */
  admin: z.strictObject({ email: z.string().min(1), password: z.string().min(1) }).optional(),
  apps: z
    .array(
      z.strictObject({
        name: z.string().min(1),
        mode: z.enum(["agent-chat", "advanced-chat"]),
        apiKey: z.string().min(8),
        /** In the console. */
        appId: z.string().min(1).optional(),
        query: z.string().min(1).default("画一只坐在雪地里的红狐狸，金色的晨光"),
      }),
    )
    .min(1),
  /** Size that the apps draw in. */
  width: side.default(512),
  height: side.default(512),
});

const inputSchema = z.strictObject({
  url: base,
  // A colon would end the user's name in HTTP Basic, and the WebUI dies of one in either.
  user: z.string().regex(/^[^:\s]+$/, "expected a name without colon or space"),
  password: z.string().regex(/^[^:]+$/, "expected at least one character and no colon"),
  /** File of the checkpoint, relative to the WebUI's folder of checkpoints. */
  model: z.string().min(1),
  modelSha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/, "expected 64 hex digits")
    .optional(),
  width: side.default(512),
  height: side.default(512),
  steps: z.int().min(1).max(150).default(20),
  sampler: z.string().min(1).default("Euler a"),
  /** Schedule of the noise, by its label; the WebUI's own choice without it. */
  scheduler: z.string().min(1).optional(),
  cfgScale: z.number().min(1).max(30).default(7),
  // The proof also draws with the next two.
  seed: z.int().min(0).max(4_294_967_293).default(42),
  prompt: z.string().min(1).default("a photo of a cat on a window sill, morning light"),
  negative: z.string().default("blurry, lowres"),
  upscaler: z.string().min(1).default("Lanczos"),
  /** With xformers the same seed gives nearly the same picture, not exactly. */
  xformers: z.boolean().default(false),
  /** Folder that pictures are written to; a relative one lies in what `ATELIER_HOME` names, by default `.atelier`. */
  reportDir: z
    .string()
    .min(1)
    .transform((path) => resolve(process.env.ATELIER_HOME ?? join(import.meta.dirname, "..", ".atelier"), path)),
  /** Version that was installed (`v1.10.1`); when given, the WebUI has to say the same. */
  version: z.string().min(1).optional(),
  /** Commit that was installed; used where the WebUI doesn't tell its own. */
  commit: z.string().min(1).optional(),
  /** The WebUI is the rehearsal's stand-in: said wherever a person reads. */
  stand_in: z.boolean().default(false),
  /** With it, `url` is the WebUI's address as seen from this SSH host. */
  tunnel: sshHost.optional(),
  /** What `GET options`, `GET cmd-flags` and the UI have to say back. */
  options: said,
  flags: said,
  /** Keys: sampler, scheduler, steps, cfgScale, batchSize, batchCount, width, height. */
  ui: said,
  /** Extensions that have to be loaded; `script` is what `GET scripts` lists of a loaded one. */
  extensions: z
    .array(z.strictObject({ folder: z.string().min(1), commit: z.string().optional(), script: z.string().optional() }))
    .default([]),
  /** Files that the WebUI has to list, by kind. */
  files: z.strictObject({ lora: files, vae: files, controlnet: files, upscaler: files }).prefault({}),
  /** With it, a picture by this SDXL checkpoint is drawn, and then one by `model` again. */
  sdxl: z
    .strictObject({
      model: z.string().min(1),
      modelSha256: z.string().optional(),
      side: side.default(1024),
      /** VAE to draw with; without it whatever is set. */
      vae: z.string().optional(),
    })
    .optional(),
  /** With it, a picture with this LoRA is drawn, and told from the one without. */
  lora: z.strictObject({ file: z.string().min(1), weight: z.number().default(1) }).optional(),
  /** With it, a picture after a drawn shape, and told from the one without. `module` turns the shape into what the model reads. */
  controlnet: z.strictObject({ file: z.string().min(1), module: z.string().default("none") }).optional(),
  /** What `main.ts dify` proves; \`live\` asks each app for its name. */
  dify: dify.optional(),
  /** Anything: a caller that keys the proof by its input makes it new by this. */
  proves: z.unknown().optional(),
  deadlines: deadlines.prefault({}),
});

/** What a proof needs to know; see `docs/architecture.md`, "Proof". */
export type Input = z.infer<typeof inputSchema>;

/** Bad input: the message lists every mistake, one a line, and no value of a secret. */
export class InputError extends Error {}

/**
 * Reads the JSON that `main.ts` gets on standard input.
 * @throws {InputError} with all mistakes at once
 */
export function parseInput(text: string): Input {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The parser's own message quotes the text, and the text holds the password.
    throw new InputError("standard input is not JSON; expected one object, see docs/architecture.md, Proof");
  }
  const parsed = inputSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const lines = parsed.error.issues.map((issue) => `  ${issue.path.join(".") || "(input)"}: ${issue.message}`);
  throw new InputError(`the proof's input has ${lines.length} mistake(s):\n${lines.join("\n")}`);
}
