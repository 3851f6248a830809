import { z } from "zod";
import { InputError } from "./errors.ts";

const word = z.string().min(1);

/** The Dify, and how its admin logs in. */
const difySchema = z.strictObject({
  url: z.url({ protocol: /^https?$/ }),
  email: z.email(),
  password: word,
  /** Of an own Dify: without it nobody becomes admin. */
  initPassword: z.string().max(30).optional(),
  /** Seconds until it has to answer for the first time, and that its plugin daemon may take. */
  timeout: z.number().positive().max(7200).default(600),
});

/** `<id>:<version>@<checksum>` */
const identifier = z.string().regex(/^[\w-]+\/[\w-]+:[\w.-]+@[0-9a-f]{32,64}$/);

const pluginRef = z.strictObject({
  /** `langgenius/stablediffusion` */
  id: z.string().regex(/^[\w-]+\/[\w-]+$/),
  version: word,
  /** As the lock has it: what comes is held to it. */
  identifier: identifier.optional(),
  /** As the lock has it computed: what comes is held to what the marketplace says of the version, and recorded. */
  computed: identifier.optional(),
  /** Where the marketplace is, or a mirror of it. */
  marketplace: z.url({ protocol: /^https?$/ }).optional(),
  /** A .difypkg on this machine; a relative path lies in what ATELIER_HOME names, or in the project. */
  package: z.strictObject({ path: word, sha256: z.string().regex(/^[0-9a-f]{64}$/) }).optional(),
});

const common = {
  /** From dify-facts: a new one applies the item again. */
  token: z.string().default(""),
  /** Whatever it has to follow: another text applies the item again. */
  after: z.unknown().optional(),
  /** Of the set-up's facts, in somebody's Dify: the workspace that all of it is made in. */
  workspace: word.optional(),
  own: z.boolean(),
};

/** What each item takes besides; docs/architecture.md has the table. */
const own = {
  setup: {},
  plugin: { plugin: pluginRef },
  tool: {
    name: z.string().min(1).max(30),
    plugin: word,
    provider: word,
    webui: z.strictObject({ url: z.url({ protocol: /^https?$/ }), user: word, password: word }),
    /** The checkpoint's `model_name`. */
    model: word,
  },
  model: {
    plugin: word,
    provider: word,
    model: word,
    name: z.string().min(1).max(30),
    /** In somebody's Dify: its name of an earlier Atelier, which told no copy of a stack from another. */
    early: z.string().optional(),
    /** Where the provider keeps its credentials: for each model, or once for all. */
    scope: z.enum(["model", "provider"]),
    credentials: z.record(z.string(), z.string()),
    /** Of a provider with credentials of its own: what a model that it does not list is added with. */
    custom: z.record(z.string(), z.string()).optional(),
    /** The variables among them that nobody may see. */
    secrets: z.array(z.string()),
  },
  app: {
    /** `<stack>/<role>`: whose app it is, whatever it is called. */
    owner: z.string().regex(/^[\w.-]+\/[\w-]+$/),
    /** In somebody's Dify: which copy of the stack it is, by what its state alone has. */
    state: z
      .string()
      .regex(/^[0-9a-f]{8}$/)
      .optional(),
    name: z.string().min(1).max(40),
    mode: z.enum(["agent-chat", "advanced-chat"]),
    dsl: word,
    /** Id and tested version of every plugin that it needs. */
    plugins: z.array(z.strictObject({ id: word, version: word })),
    /** The credential that its tool calls with. */
    tool: z.strictObject({ provider: word, credential: word }),
    /** Tokens of an answer: at least so many, where the model thinks before it answers. */
    minTokens: z.number().int().default(0),
  },
  key: {
    /** As the app's facts have them. */
    appId: word,
    keyId: word,
  },
} as const;

const schemas = {
  setup: z.strictObject({ ...common, dify: difySchema, ...own.setup }),
  plugin: z.strictObject({ ...common, dify: difySchema, ...own.plugin }),
  tool: z.strictObject({ ...common, dify: difySchema, ...own.tool }),
  model: z.strictObject({ ...common, dify: difySchema, ...own.model }),
  app: z.strictObject({ ...common, dify: difySchema, ...own.app }),
  key: z.strictObject({ ...common, dify: difySchema, ...own.key }),
};

export type ItemName = keyof typeof schemas;
export type ItemInput<Name extends ItemName> = z.infer<(typeof schemas)[Name]>;
export const itemNames = Object.keys(schemas) as ItemName[];

const checked = z.discriminatedUnion("item", [
  z.strictObject({ item: z.literal("setup"), ...own.setup }),
  z.strictObject({ item: z.literal("plugin"), ...own.plugin }),
  z.strictObject({ item: z.literal("tool"), ...own.tool }),
  z.strictObject({ item: z.literal("model"), ...own.model }),
  z.strictObject({ item: z.literal("app"), ...own.app }),
]);
const checkSchema = z.strictObject({ dify: difySchema, own: z.boolean(), items: z.record(z.string(), checked) });
export type CheckInput = z.infer<typeof checkSchema>;
/** Of all but an app's key, which the app's own check looks for. */
export type CheckedItem = z.infer<typeof checked>;

/** @throws InputError with every mistake and no value */
export const parseItem = <Name extends ItemName>(name: Name, text: string): ItemInput<Name> =>
  read(schemas[name], text) as ItemInput<Name>;

const askSchema = z.strictObject({
  dify: difySchema,
  /** Nothing may be fetched. */
  offline: z.boolean().default(false),
  plugins: z.array(pluginRef),
  apps: z.array(z.strictObject(own.app)),
});
export type AskInput = z.infer<typeof askSchema>;

/** @throws InputError with every mistake and no value */
export const parseAsk = (text: string): AskInput => read(askSchema, text);

/** @throws InputError with every mistake and no value */
export const parseCheck = (text: string): CheckInput => read(checkSchema, text);

function read<T>(schema: z.ZodType<T>, text: string): T {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The parser's own message quotes the text, and that holds passwords.
    throw new InputError('standard input is not JSON; expected one object, see docs/architecture.md, "Dify"');
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const lines = parsed.error.issues.map(({ path, message }) => `  ${path.join(".") || "(input)"}: ${message}`);
  throw new InputError(`the input has ${lines.length} mistake(s):\n${lines.join("\n")}`);
}
