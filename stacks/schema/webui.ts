import { z } from "zod";
import { port, url, word } from "./words.ts";

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
