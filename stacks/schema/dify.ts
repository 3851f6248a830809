import { z } from "zod";
import { dockerEngine } from "./docker.ts";
import { absolutePath, port, siteUrl, url, word } from "./words.ts";

/** A secret of the stack, or the name of a variable that holds it. */
const key = { apiKey: z.string().min(1).optional(), apiKeyEnv: word.optional() };
const modelName = z.string().regex(/^\S+$/, "a model's name, as its provider has it");
/** Tokens. Thinking models spend most of them before they answer: less than 4096 cuts them off before the tool is called. */
const maxTokens = z.number().int().min(256).max(131072).default(4096);
const contextSize = z.number().int().min(4096).max(2_000_000).default(32768);

// Also when another key is wrong: all mistakes are shown at once.
const when = ({ value }: { value: unknown }) => typeof value === "object" && value !== null;
type Keyed = { apiKey?: string | undefined; apiKeyEnv?: string | undefined };
const keys = (value: Keyed) => [value.apiKey, value.apiKeyEnv].filter((one) => one !== undefined).length;
const oneKey: [(value: Keyed) => boolean, object] = [
  (value) => keys(value) === 1,
  { error: "exactly one of apiKey (a secret), apiKeyEnv", when },
];

/** The LLM that writes prompts and calls the tool. Provider ids are those of Dify's marketplace. */
const model = z.discriminatedUnion("provider", [
  z
    .strictObject({
      provider: z.literal("openai_api_compatible"),
      name: modelName,
      /** Ends in /v1, as seen from Dify's plugin daemon. */
      baseUrl: url,
      ...key,
      maxTokens,
      contextSize,
    })
    .refine((value) => keys(value) <= 1, { error: "at most one of apiKey (a secret), apiKeyEnv", when }),
  z
    .strictObject({
      provider: z.literal("tongyi"),
      name: modelName.default("qwen3-30b-a3b"),
      ...key,
      /** The endpoint outside of mainland China. */
      international: z.boolean().default(false),
      maxTokens,
    })
    .refine(...oneKey),
  z
    .strictObject({
      provider: z.literal("zhipuai"),
      name: modelName.default("glm-4-flash"),
      ...key,
      baseUrl: url.optional(),
      maxTokens,
    })
    .refine(...oneKey),
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
    url: siteUrl.optional(),
    /** Login of its admin. Of a Dify that `up` makes the password is generated, unless it is told: for one that was changed there. */
    email: z.email().default("admin@example.com"),
    password: z.string().min(8).optional(),
    passwordEnv: word.optional(),
    /** The Docker engine that the containers run on. */
    docker: z
      .strictObject({
        host: dockerEngine.default("unix:///var/run/docker.sock"),
        /** Folder with ca.pem, cert.pem and key.pem, for tcp:// with TLS. */
        certPath: absolutePath.optional(),
      })
      .prefault({}),
    /** Where Dify's web and API are published on the Docker host. */
    port: port.default(8081),
    /** @default loopback; with docker.host elsewhere 0.0.0.0, or nobody here would reach it */
    listen: z.ipv4().optional(),
    /** Where people and programs reach it, when that is another address: signed picture links begin with it. */
    publicUrl: siteUrl.optional(),
    /** Nothing here needs one; knowledge bases do. */
    vectorStore: z.enum(["none", "weaviate"]).default("none"),
    /** How Dify's containers reach the WebUI. `auto`: by its address, or by a tunnel where it listens on loopback only. */
    webui: z.enum(["auto", "direct", "tunnel"]).default("auto"),
    /** The WebUI's address as Dify's plugin daemon has to call it, where none of these ways fits. */
    webuiUrl: siteUrl.optional(),
    /** An HTTP proxy, and a PyPI mirror, for the plugins behind a filter. */
    proxy: url.optional(),
    pipMirror: url.optional(),
    /** Where plugins come from: the marketplace by identifier, or packages (.difypkg) in a folder of this machine, such as a bundle's. */
    plugins: z
      .union([
        z.literal("marketplace"),
        z.strictObject({
          folder: z.string().min(1),
          /** For packages that are not the marketplace's: the public half of the key that signed them (a PEM file). */
          publicKey: z.string().min(1).optional(),
          /** Takes packages that nobody signed. Whoever gets a package into the folder then runs code in Dify. */
          unsigned: z.boolean().default(false),
        }),
      ])
      .default("marketplace"),
    /** A mirror of the marketplace. */
    marketplace: siteUrl.default("https://marketplace.dify.ai"),
    /** Wanted but in a rehearsal, which has a stand-in. */
    model: model.optional(),
    apps: z
      .strictObject({
        agent: appName.default("Atelier agent"),
        chatflow: appName.default("Atelier chatflow"),
      })
      .prefault({}),
    /** Seconds that Dify may take until it answers for the first time: its migrations run then. */
    timeout: z.number().int().min(10).max(3600).default(600),
  })
  .refine((dify) => dify.url === undefined || passwords(dify) === 1, {
    error: "beside url the login of its admin: email, and exactly one of password (a secret), passwordEnv",
    when,
  })
  .refine((dify) => dify.url !== undefined || passwords(dify) <= 1, {
    error:
      "at most one of password (a secret), passwordEnv; without them the password of a Dify that is made here is generated",
    when,
  })
  .refine(({ docker }) => !docker?.certPath || docker.host?.startsWith("tcp://"), {
    error: "a folder with certificates only for docker.host tcp://",
    path: ["docker", "certPath"],
    when,
  })
  .refine(
    ({ docker }) =>
      !docker?.host?.startsWith("tcp://") || docker.certPath || /^tcp:\/\/(localhost|127\.)/.test(docker.host),
    {
      error: "tcp:// with docker.certPath: without TLS an engine gives root to anyone who reaches it",
      path: ["docker", "host"],
      when,
    },
  )
  .refine((dify) => published(dify) || !dify.listen?.startsWith("127.") || isHere(dify.docker?.host), {
    error: "with docker.host elsewhere an address that is reached from here; a loopback only beside publicUrl",
    path: ["listen"],
    when,
  })
  .refine((dify) => published(dify) || dify.listen !== "0.0.0.0" || !isHere(dify.docker?.host), {
    error:
      "the address that others use, beside listen 0.0.0.0: links of pictures begin with it, and 127.0.0.1 is theirs",
    path: ["publicUrl"],
    when,
  })
  .transform((dify) => ({ ...dify, listen: dify.listen ?? (isHere(dify.docker.host) ? "127.0.0.1" : "0.0.0.0") }));

const published = ({ url, publicUrl }: { url?: string | undefined; publicUrl?: string | undefined }) =>
  url !== undefined || publicUrl !== undefined;

/** Whether what an engine publishes on its loopback is on this machine's. */
const isHere = (engine = "unix://") =>
  engine.startsWith("unix://") || /^(localhost|127\.[\d.]+|\[::1\])$/.test(URL.parse(engine)?.hostname ?? "");

const passwords = (dify: { password?: string | undefined; passwordEnv?: string | undefined }) =>
  [dify.password, dify.passwordEnv].filter((one) => one !== undefined).length;

/** As the stack's file has them. */
export type DifyWritten = z.infer<typeof difySchema>;
/** With the model, the stand-in's in a rehearsal. */
export type DifySettings = DifyWritten & { model: DifyModel };
export type DifyModel = NonNullable<DifyWritten["model"]>;
