import { z } from "zod";

const word = z.string().min(1);

/** A Docker engine and what lets in there; keys are PEM, for tcp:// with TLS. */
const engine = z.strictObject({
  host: word,
  ca: z.string().optional(),
  cert: z.string().optional(),
  key: z.string().optional(),
});
export type EngineLogin = z.infer<typeof engine>;

const labels = z.record(z.string(), z.string());

const common = {
  engine,
  /** A new one does it again. */
  token: z.string().default(""),
};

const schemas = {
  images: z.strictObject({
    ...common,
    /** By what they are for: `repository:tag`, with `@digest` where it is known. */
    images: z.record(z.string(), word),
    /** Base URLs of registries in front of Docker's own, in order. */
    mirrors: z.array(z.url({ protocol: /^https?$/ })).default([]),
    /** By what they are for: another name that one gets on the engine, for a build that begins with it. */
    tags: z.record(z.string(), word).default({}),
    /** Nothing is pulled: what is not there is an error. */
    offline: z.boolean().default(false),
  }),
  look: z.strictObject({
    engine,
    /** Of the label `atelier.dify`. */
    owner: word,
    /** Of this stack's state (stacks/docker/fingerprint.ts). */
    fingerprint: word,
    containers: z.array(word),
    networks: z.array(word),
    /** Container -> the networks that it is in. */
    joins: z.record(z.string(), z.array(word)).default({}),
    /** Name -> fingerprint of the password that its content was made with; empty: it has none. */
    volumes: z.record(z.string(), z.string()),
    images: z.record(z.string(), word),
    mirrors: z.array(z.string()).default([]),
    /** Nothing may be fetched: what neither the engine nor a bundle has is told. */
    offline: z.boolean().default(false),
    /** What a bundle has to have for it then. */
    plugins: z.array(z.strictObject({ id: word, version: word, identifier: z.string().optional() })).default([]),
  }),
  volumes: z.strictObject({
    ...common,
    /** Name -> its labels. */
    volumes: z.record(z.string(), labels),
  }),
  wheels: z.strictObject({
    ...common,
    volume: word,
    /** Of the container that holds it while it is filled; any image will do. */
    image: word,
    name: word,
    labels,
  }),
  reach: z.strictObject({
    ...common,
    /** Of the container that asks. */
    name: word,
    labels,
    network: word,
    /** Something with a shell and wget or curl. */
    image: word,
    /** `name:address` for its /etc/hosts. */
    hosts: z.array(word).default([]),
    /** Of the WebUI, without login. */
    url: z.url({ protocol: /^https?$/ }),
    /** Seconds until it has to answer. */
    timeout: z.number().positive().max(3600).default(60),
    /** What may be changed when it doesn't. */
    mend: z.string().default(""),
  }),
};

export type Action = keyof typeof schemas;
export type Input<A extends Action> = z.infer<(typeof schemas)[A]>;
export const actions = Object.keys(schemas) as Action[];

export class InputError extends Error {}

/** @throws InputError with every mistake and no value: they hold keys */
export function parseInput<A extends Action>(action: A, text: string): Input<A> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new InputError("standard input is not JSON");
  }
  const parsed = schemas[action].safeParse(value);
  if (parsed.success) return parsed.data as Input<A>;
  const lines = parsed.error.issues.map(({ path, message }) => `  ${path.join(".") || "(input)"}: ${message}`);
  throw new InputError(`the input has ${lines.length} mistake(s):\n${lines.join("\n")}`);
}
