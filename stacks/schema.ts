import { z } from "zod";

/**
 * The settings of a stack: `atelier:<key>` in `stacks/Pulumi.<stack>.yaml`. Every default is said here, once.
 * Pure: takes what the configuration holds, gives a typed value or every mistake at once.
 */

const absolutePath = z
  .string()
  .regex(/^\/[\w./-]+[\w-]$/, "an absolute path of letters, digits, dots, dashes and slashes, such as /root/atelier");
const port = z.number().int().min(1).max(65535);
/** Passwords travel in `user:password` and in URLs: A1111 dies of a colon or a comma in them. */
const word = z.string().regex(/^[\w-]+$/, "letters, digits, `_` and `-` only");
const url = z.url({ protocol: /^https?$/ });
const baseUrl = url.transform((value) => (value.endsWith("/") ? value : `${value}/`));
const commit = z.string().regex(/^[0-9a-f]{40}$/, "a full commit of 40 hex digits");
const sha256 = z.string().regex(/^[0-9a-f]{64}$/, "a sha256 of 64 hex digits");

const sshHost = z.strictObject({
  kind: z.literal("ssh"),
  /** Name or address of the box, as in `ssh root@address -p port`. */
  address: z.string().regex(/^[\w.:-]+$/, "a host name or address"),
  port: port.default(22),
  user: word.default("root"),
  /** One of: password (a secret), passwordFile, passwordEnv, key (a secret), keyFile, agent. */
  password: z.string().min(1).optional(),
  passwordFile: z.string().min(1).optional(),
  passwordEnv: word.optional(),
  key: z.string().includes("PRIVATE KEY", { error: "the text of a private key" }).optional(),
  keyFile: z.string().min(1).optional(),
  keyPassphrase: z.string().min(1).optional(),
  keyPassphraseEnv: word.optional(),
  agent: z.boolean().optional(),
  /** As in known_hosts: `ssh-ed25519 AAAA…`. Without it, the key pinned by `atelier trust`. */
  hostKey: z
    .string()
    .regex(/^[\w@.-]+ [A-Za-z0-9+/=]+$/, "a public key as `ssh-ed25519 AAAA…`")
    .optional(),
  workspace: absolutePath.default("/root/atelier"),
  cache: absolutePath.optional(),
});
const loginWays = ["password", "passwordFile", "passwordEnv", "key", "keyFile", "agent"] as const;
const localHost = z.strictObject({
  /** This machine, by an SSH server of its own in `.atelier/<stack>/host`. */
  kind: z.literal("local"),
});
const anyHost = {
  gpu: z.enum(["required", "none"]).default("required"),
  /** Accepted Python versions, best first. `any` is 3.10 and newer. */
  python: z
    .array(z.enum(["3.10", "3.11", "any"]))
    .min(1)
    .default(["3.10", "3.11"]),
  /** Whether missing system packages may be installed with apt (as root). */
  packages: z.enum(["install", "refuse"]).default("install"),
  proxy: url.optional(),
  serviceManager: z.enum(["auto", "systemd", "supervisor"]).default("auto"),
};

export const hostSchema = z.discriminatedUnion("kind", [
  sshHost.extend(anyHost).refine((host) => loginWays.filter((way) => host[way]).length === 1, {
    error: `exactly one of ${loginWays.join(", ")}`,
    // Also when another key is wrong: all mistakes are shown at once.
    when: ({ value }) => typeof value === "object" && value !== null,
  }),
  localHost.extend(anyHost),
]);

/** Flags that other settings stand for, and why each may not be given by hand. */
const reservedFlags: Record<string, string> = {
  "--port": "webui.port",
  "--listen": "webui.exposure",
  "--server-name": "webui.listen",
  "--api": "Atelier itself",
  "--api-auth": "webui.user and a generated password",
  "--gradio-auth": "webui.user and a generated password",
  "--gradio-auth-path": "webui.user and a generated password",
  "--ckpt": "webui.checkpoint (the flag silently switches back to its file at every refresh)",
  "--ckpt-dir": "Atelier itself",
  "--data-dir": "Atelier itself",
  "--xformers": "webui.xformers",
  "--share": "nothing: use webui.exposure and webui.publicUrl",
};
const nameOf = (flag: string) => flag.split("=")[0] ?? flag;

export const webuiSchema = z.strictObject({
  port: port.default(8080),
  /** `direct`: on `listen`, for anyone who reaches it. `tunnel`: on loopback, reached through SSH. */
  exposure: z.enum(["direct", "tunnel"]).default("direct"),
  /** @default 0.0.0.0, and 127.0.0.1 for a tunnel */
  listen: z.ipv4().optional(),
  /** Where people reach it, when the platform maps the port elsewhere. */
  publicUrl: url.transform((value) => value.replace(/\/$/, "")).optional(),
  user: word.default("atelier"),
  /** File name of the checkpoint to draw with, with its extension. @default the first checkpoint of `models` */
  checkpoint: z.string().optional(),
  xformers: z.boolean().default(false),
  /** More launch flags, such as --medvram. */
  flags: z
    .array(
      z
        .string()
        .regex(/^--[a-z][\w-]*(=\S+)?$/, "a flag such as --medvram")
        .refine((flag) => !reservedFlags[nameOf(flag)], {
          error: ({ input }) =>
            `not by hand: ${nameOf(String(input))} is set by ${reservedFlags[nameOf(String(input))]}`,
        }),
    )
    .default([]),
  /** Entries of A1111's own config.json. */
  options: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).default({}),
});

export const modelSourceSchema = z.union([
  z.strictObject({ huggingface: z.string() }),
  z.strictObject({ modelscope: z.string() }),
  z.strictObject({ url }),
]);
export const modelSchema = z.strictObject({
  name: z.string().regex(/^[\w.-]+$/, "a name of letters, digits, dots and dashes"),
  kind: z.enum(["checkpoint", "vae", "lora", "controlnet", "upscaler", "embedding"]).default("checkpoint"),
  file: z.string().regex(/^[\w.-]+\.(safetensors|ckpt|pt|pth|bin)$/, "a file name such as model.safetensors"),
  bytes: z.number().int().positive().optional(),
  sha256: sha256.optional(),
  licence: z.string().optional(),
  sources: z.array(modelSourceSchema).min(1),
});

export const upstreamsSchema = z.strictObject({
  profile: z.enum(["direct", "china", "rehearsal"]).default("direct"),
  /** Base URLs, in order; each list replaces the profile's. */
  git: z.array(baseUrl).min(1).optional(),
  pypi: z.array(url).min(1).optional(),
  huggingface: z.array(baseUrl).min(1).optional(),
  modelscope: z.array(baseUrl).min(1).optional(),
  /** For hosts whose Python is neither 3.10 nor 3.11: where conda, or uv, gets one. */
  condaMirror: url.optional(),
  uvPythonMirror: url.optional(),
  apt: url.optional(),
});

export const sourceOverrideSchema = z.strictObject({
  commit: commit.optional(),
  /** Repository paths under the git upstreams, tried in order. */
  paths: z
    .array(z.string().regex(/^[\w./-]+$/, "a repository path such as owner/name.git"))
    .min(1)
    .optional(),
});

export const proofSchema = z.strictObject({
  width: z.number().int().min(64).max(2048).multipleOf(8).default(512),
  height: z.number().int().min(64).max(2048).multipleOf(8).default(512),
  steps: z.number().int().min(1).max(150).default(20),
  sampler: z.string().default("Euler a"),
  /** Seconds that one picture may take. */
  timeout: z.number().int().min(10).default(600),
});

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
});

export type Settings = z.infer<typeof settingsSchema>;
export type HostSettings = z.infer<typeof hostSchema>;
export type SshHostSettings = Extract<HostSettings, { kind: "ssh" }>;
export type Model = z.infer<typeof modelSchema>;
export type UpstreamSettings = z.infer<typeof upstreamsSchema>;

/** The keys of `atelier:` whose objects are read as JSON; the others are plain words. */
export const settingKeys = Object.keys(settingsSchema.shape) as (keyof Settings)[];

/** Paths that hold secrets: never shown in a mistake, never accepted in clear. */
export const secretPaths = ["host.password", "host.key", "host.keyPassphrase", "huggingfaceToken"];

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
 * @throws SettingsError with every mistake
 */
export function parseSettings(raw: Record<string, unknown>, stack: string): Settings {
  const parsed = settingsSchema.safeParse(raw, { reportInput: true });
  if (parsed.success) return parsed.data;
  throw new SettingsError(
    stack,
    parsed.error.issues.flatMap((issue) => describe(issue, [])),
  );
}

function describe(issue: z.core.$ZodIssue, prefix: PropertyKey[]): string[] {
  const path = [...prefix, ...issue.path];
  const key = `atelier:${path.join(".")}`;
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((name) => `${key === "atelier:" ? key : `${key}.`}${name}: not a setting; is it misspelt?`);
  }
  if (issue.code === "invalid_union" && issue.errors.length > 0) {
    // The branch that got furthest is the one that was meant.
    const closest = [...issue.errors].sort((a, b) => depth(b) - depth(a) || a.length - b.length)[0] ?? [];
    if (closest.length > 0) return closest.flatMap((inner) => describe(inner, path));
  }
  return [`${key.replace(/:$/, "")}: ${got(path.join("."), issue.input)}accepted: ${accepted(issue)}`];
}

const depth = (issues: z.core.$ZodIssue[]) => Math.max(0, ...issues.map((issue) => issue.path.length));

function got(path: string, input: unknown): string {
  if (input === undefined) return "missing; ";
  if (secretPaths.includes(path)) return "got a secret that does not fit; ";
  // An object may hold secrets, and says less than the keys that are named.
  if (typeof input === "object" && input !== null && !Array.isArray(input)) return "";
  const text = JSON.stringify(input) ?? String(input);
  return `got ${text.length > 80 ? `${text.slice(0, 77)}…` : text}; `;
}

function accepted(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case "invalid_type":
      return /^[aeiou]/.test(issue.expected) ? `an ${issue.expected}` : `a ${issue.expected}`;
    case "invalid_value":
      return issue.values.map((value) => JSON.stringify(value)).join(", ");
    case "too_small":
      return issue.origin === "array" ? `at least ${issue.minimum} of them` : `${issue.minimum} or more`;
    case "too_big":
      return `${issue.maximum} or less`;
    case "not_multiple_of":
      return `a multiple of ${issue.divisor}`;
    case "invalid_format":
      return issue.format === "url" ? "an http or https URL" : issue.message.replace(/^Invalid string: /, "");
    default:
      return issue.message;
  }
}
