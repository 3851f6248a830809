import { z } from "zod";
import { absolutePath, port, url, word } from "./words.ts";

/** Where containers are made: a socket of this machine, or a host over SSH or TCP. */
const dockerHost = z
  .string()
  .regex(/^(unix:\/\/\/|ssh:\/\/|tcp:\/\/)\S+$/, "unix:///path, ssh://user@host:port or tcp://host:port");

/** A secret of the stack, or the name of a variable that holds it. */
const key = { apiKey: z.string().min(1).optional(), apiKeyEnv: word.optional() };
const modelName = z.string().regex(/^\S+$/, "a model's name, as its provider has it");
/** Tokens. Thinking models spend most of them before they answer: less than 4096 cuts them off before the tool is called. */
const maxTokens = z.number().int().min(256).max(131072).default(4096);
const contextSize = z.number().int().min(4096).max(2_000_000).default(32768);

/** The LLM that writes prompts and calls the tool. Provider ids are those of Dify's marketplace. */
const model = z.discriminatedUnion("provider", [
  z.strictObject({
    provider: z.literal("openai_api_compatible"),
    name: modelName,
    /** Ends in /v1, as seen from Dify's plugin daemon. */
    baseUrl: url,
    ...key,
    maxTokens,
    contextSize,
  }),
  z.strictObject({
    provider: z.literal("tongyi"),
    name: modelName.default("qwen3-30b-a3b"),
    ...key,
    /** The endpoint outside of mainland China. */
    international: z.boolean().default(false),
    maxTokens,
  }),
  z.strictObject({
    provider: z.literal("zhipuai"),
    name: modelName.default("glm-4-flash"),
    ...key,
    baseUrl: url.optional(),
    maxTokens,
  }),
  z.strictObject({
    provider: z.literal("ollama"),
    name: modelName,
    /** As seen from Dify's plugin daemon: never localhost. */
    baseUrl: url,
    maxTokens,
    contextSize,
  }),
]);

const appName = z.string().min(1).max(40);

export const difySchema = z
  .strictObject({
    /** An existing Dify, wired and otherwise left alone. Without it, `up` makes one out of containers. */
    url: url.transform((value) => value.replace(/\/$/, "")).optional(),
    /** Login of its admin; of a Dify that `up` makes, the password is generated. */
    email: z.email().default("admin@example.com"),
    password: z.string().min(8).optional(),
    passwordEnv: word.optional(),
    /** The Docker engine that the containers run on. */
    docker: z
      .strictObject({
        host: dockerHost.default("unix:///var/run/docker.sock"),
        /** Folder with ca.pem, cert.pem and key.pem, for tcp:// with TLS. */
        certPath: absolutePath.optional(),
      })
      .prefault({}),
    /** Where Dify's web and API are published on the Docker host. */
    port: port.default(8081),
    listen: z.ipv4().default("127.0.0.1"),
    /** Where people and programs reach it, when that is another address: signed picture links begin with it. */
    publicUrl: url.transform((value) => value.replace(/\/$/, "")).optional(),
    /** Nothing here needs one; knowledge bases do. */
    vectorStore: z.enum(["none", "weaviate"]).default("none"),
    /** How Dify's containers reach the WebUI. `auto`: by its address, or by a tunnel where it listens on loopback only. */
    webui: z.enum(["auto", "direct", "tunnel"]).default("auto"),
    /** The WebUI's address as Dify's plugin daemon has to call it, where none of these ways fits. */
    webuiUrl: url.transform((value) => value.replace(/\/$/, "")).optional(),
    /** An HTTP proxy, and a PyPI mirror, for the plugins behind a filter. */
    proxy: url.optional(),
    pipMirror: url.optional(),
    /** Where plugins come from: the marketplace by identifier, or packages (.difypkg) in a folder of this machine, such as a bundle's. */
    plugins: z.union([z.literal("marketplace"), z.strictObject({ folder: z.string().min(1) })]).default("marketplace"),
    model,
    apps: z
      .strictObject({
        agent: appName.default("Atelier agent"),
        chatflow: appName.default("Atelier chatflow"),
      })
      .prefault({}),
    /** Seconds that Dify may take until it answers for the first time: its migrations run then. */
    timeout: z.number().int().min(10).max(3600).default(600),
  })
  .refine((dify) => dify.password === undefined || dify.passwordEnv === undefined, {
    error: "at most one of password, passwordEnv",
  })
  .refine((dify) => dify.url === undefined || dify.password !== undefined || dify.passwordEnv !== undefined, {
    error: "with url, the password of its admin: password (a secret) or passwordEnv",
  });

export type DifySettings = z.infer<typeof difySchema>;
export type DifyModel = DifySettings["model"];
