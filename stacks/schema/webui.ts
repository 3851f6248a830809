import { z } from "zod";
import { torchNames } from "../../images/torch.ts";
import { gateOf, gateSchema } from "./gate.ts";
import { commit, port, repositoryPath, siteUrl, word } from "./words.ts";

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
  "--medvram": "webui.vram",
  "--medvram-sdxl": "webui.vram",
  "--lowvram": "webui.vram",
  "--vae-path": "webui.vae (the flag wins over every setting made later)",
  "--share": "nothing: use webui.exposure and webui.publicUrl",
};
/** Entries of config.json that other settings write last: said here, they would be passed over, or not be said back. */
const reservedOptions: Record<string, string> = {
  sd_model_checkpoint: "webui.checkpoint",
  sd_checkpoint_hash: "webui.checkpoint",
  sd_vae: "webui.vae",
  CLIP_stop_at_last_layers: "webui.clipSkip",
  disabled_extensions: "webui.disabledExtensions",
};
/** An extension of your own: a repository at a commit. */
const ownExtensionSchema = z.strictObject({
  /** Also its folder, and so its name in the WebUI. */
  name: z.string().regex(/^[a-zA-Z0-9][\w.-]*$/, "a name of letters, digits, dots and dashes"),
  commit,
  /** Repository paths under the git upstreams, tried in order. */
  paths: z.array(repositoryPath).min(1),
  /** Names of wheel locks in images/wheels: what it imports. Nothing is installed when the WebUI starts. */
  wheels: z.array(z.string()).default([]),
});
const side = z.number().int().min(64).max(2048).multipleOf(8);

const nameOf = (flag: string) => flag.split("=")[0] ?? flag;

export const webuiSchema = z
  .strictObject({
    port: port.default(8080),
    /** `direct`: on `listen`, for anyone who reaches it. `tunnel`: on loopback, reached through SSH. */
    exposure: z.enum(["direct", "tunnel"]).default("direct"),
    /** @default 0.0.0.0, and 127.0.0.1 for a tunnel */
    listen: z.ipv4().optional(),
    /** Where people reach it, when the platform maps the port elsewhere. */
    publicUrl: siteUrl.optional(),
    /** One password for everything and a queue for what draws. @default true with `direct`, false with `tunnel` */
    gate: z.union([z.boolean(), gateSchema]).optional(),
    user: word.default("atelier"),
    /** File name of the checkpoint to draw with, with its extension. @default the first checkpoint of `models` */
    checkpoint: z.string().optional(),
    /** Which build of torch the packages are locked for: `cu121` is what the release was made for, `cu128` has code for Blackwell (RTX 50xx, B200). */
    torch: z.enum(torchNames).default("cu121"),
    xformers: z.boolean().default(false),
    /** How sparingly GPU memory is used. `auto`: by the memory that the host's GPU has, and whether there is an SDXL checkpoint. */
    vram: z.enum(["auto", "full", "medvram", "lowvram"]).default("auto"),
    /** Names of the catalog (controlnet), or extensions of your own. One that is named no more is removed. */
    extensions: z.array(z.union([z.string(), ownExtensionSchema])).default([]),
    /** Folders of extensions that stay off, built-in ones too. */
    disabledExtensions: z.array(z.string()).default([]),
    /** Defaults of the UI, and what the proof draws with. Where none is set, the WebUI's own hold. */
    sampler: z.string().min(1).optional(),
    scheduler: z.string().min(1).optional(),
    steps: z.number().int().min(1).max(150).optional(),
    cfgScale: z.number().min(1).max(30).optional(),
    batchSize: z.number().int().min(1).max(8).optional(),
    batchCount: z.number().int().min(1).max(100).optional(),
    width: side.optional(),
    height: side.optional(),
    /** Layers of CLIP to leave out, counted as the WebUI does: 1 is none. */
    clipSkip: z.number().int().min(1).max(12).optional(),
    /** File of a VAE among `models`, or Automatic, or None (the checkpoint's own). */
    vae: z.string().min(1).optional(),
    /** More launch flags, such as --no-half-vae. */
    flags: z
      .array(
        z
          .string()
          .regex(/^--[a-z][\w-]*(=\S+)?$/, "a flag such as --no-half-vae")
          .refine((flag) => !reservedFlags[nameOf(flag)], {
            error: ({ input }) =>
              `not by hand: ${nameOf(String(input))} is set by ${reservedFlags[nameOf(String(input))]}`,
          }),
      )
      .default([]),
    /** Entries of A1111's own config.json. */
    options: z
      .record(z.string(), z.union([z.string(), z.number(), z.boolean()]))
      .superRefine((options, { addIssue }) => {
        for (const name of Object.keys(options).filter((key) => reservedOptions[key]))
          addIssue({
            code: "custom",
            path: [name],
            input: options[name],
            message: `not by hand: ${name} is set by ${reservedOptions[name]}`,
          });
      })
      .refine(({ samples_format = "png" }) => String(samples_format).toLowerCase() === "png", {
        path: ["samples_format"],
        error: "png: the API answers in this form too, and the proof reads no other",
      })
      .default({}),
  })
  .refine((webui) => gateOf(webui)?.innerPort !== webui.port, {
    path: ["gate", "innerPort"],
    error: "another port than webui.port, which is the gate's",
  });

export type WebuiSettings = z.infer<typeof webuiSchema>;
