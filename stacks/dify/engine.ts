import * as command from "@pulumi/command";
import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import type { EngineLogin } from "../docker/login.ts";
import { DynamicResource } from "../dynamic.ts";
import { runScript } from "./script.ts";

/** A docker.Provider for the engine; certificates as text, for a path of this machine has no place in the state. */
export function dockerProvider(login: EngineLogin, opts: pulumi.ResourceOptions): docker.Provider {
  const { host, ca, cert: certMaterial, key: keyMaterial } = secretLogin(login);
  if (!ca) return new docker.Provider("dify-docker", { host }, opts);
  return new docker.Provider("dify-docker", { host, caMaterial: ca, certMaterial, keyMaterial }, opts);
}

/** As scripts/docker takes it, its keys secret. */
export const secretLogin = ({ host, ca, cert, key }: EngineLogin) =>
  ca ? { host, ca, cert: pulumi.secret(cert ?? ""), key: pulumi.secret(key ?? "") } : { host };

/** What only the engine can do: scripts/docker/main.ts. Its facts come back as JSON. */
export function dockerAction(
  name: string,
  action: "images" | "reach" | "volumes" | "wheels",
  input: pulumi.Input<object>,
  opts: pulumi.CustomResourceOptions,
): command.local.Command {
  // The program's folder is the working folder.
  const run = `node ../scripts/docker/main.ts ${action}`;
  return new command.local.Command(
    name,
    {
      create: run,
      update: run,
      // A key of the engine may be in it.
      stdin: pulumi.secret(pulumi.output(input).apply((value) => JSON.stringify(value))),
      addPreviousOutputInEnv: false,
      logging: command.local.Logging.Stderr,
    },
    { ...opts, additionalSecretOutputs: ["stdin"] },
  );
}

/** What is looked for, as scripts/docker/look.ts takes it. */
export interface Looks {
  engine: EngineLogin;
  owner: string;
  fingerprint: string;
  containers: string[];
  networks: string[];
  /** Container -> the networks that it is in. */
  joins: Record<string, string[]>;
  /** Name -> fingerprint of the password that its content was made with; empty: it has none. */
  volumes: Record<string, string>;
  images: Record<string, string>;
  mirrors: string[];
  /** Nothing may be fetched. */
  offline: boolean;
  /** That a bundle has to bring then. */
  plugins: { id: string; version: string; identifier?: string }[];
}

interface FactsOutputs {
  tokens: Record<string, string>;
}
interface Seen {
  containers: Record<string, string>;
  networks: Record<string, string>;
  images: Record<string, string>;
  volumes: Record<string, string>;
  foreign: { containers: string[]; networks: string[]; volumes: string[] };
  lacks: string;
}

/** Asks the engine how everything stands. */
async function ask(looks: Looks): Promise<Seen> {
  // Beside them it may have what a dynamic resource brings along.
  const { engine, owner, fingerprint, containers, networks, joins, volumes, images, mirrors, offline, plugins } = looks;
  const input = { engine, owner, fingerprint, containers, networks, joins, volumes, images, mirrors, offline, plugins };
  const { code, stdout, why } = await runScript("scripts/docker/main.ts", "look", input);
  if (code !== 0) throw new Error(why);
  const seen = JSON.parse(stdout) as Seen;
  const others = Object.entries(seen.foreign).filter(([, names]) => names.length > 0);
  if (others.length > 0) {
    const remove: Record<string, string> = { containers: "rm -f", networks: "network rm", volumes: "volume rm" };
    const what = others.map(([kind, names]) => `${kind} ${names.join(", ")}`).join("; ");
    const mend = others.map(([kind, names]) => `docker ${remove[kind]} ${names.join(" ")}`).join("; ");
    throw new Error(
      `The Docker engine at ${engine.host} has what bears the names of this stack's Dify and is not its own: ${what}. Another copy of this stack made it, whose state has its passwords, or one whose state is lost. Nothing of it was touched. If it is yours, bring that state here (npx atelier stack import), or run \`down\` where it is; else give this stack another name. If nobody needs it any more, this removes it with all that is in it: ${mend}`,
    );
  }
  if (seen.lacks) throw new Error(seen.lacks);
  return seen;
}

/** What is to be made again, by name, and why. An image that is gone matters only where it is started again. */
async function lost(looks: Looks): Promise<Record<string, string>> {
  const { containers, networks, images, volumes } = await ask(looks);
  const found: Record<string, string> = { ...containers, ...networks, ...volumes };
  const gone = Object.values(images);
  if (gone.length > 0) found.images = gone.join("; ");
  return found;
}

function namesOf({ containers, networks, volumes }: Looks): string[] {
  return [...containers, ...networks, ...Object.keys(volumes)];
}

/** The tokens of what was made. A state of before has none for a volume: each was made with the rest. */
function tokensIn({ tokens }: FactsOutputs, { volumes }: Looks): Record<string, string> {
  const stores = Object.keys(volumes);
  if (stores.some((name) => name in tokens)) return tokens;
  return { ...Object.fromEntries(stores.map((name) => [name, ""])), ...tokens };
}

const provider: pulumi.dynamic.ResourceProvider = {
  async check(olds: Partial<Looks> | undefined, looks: Looks) {
    // What is not there is made now anyway; what is there and not ours, and what nothing brings, stops the first plan already. The word
    // for a password that is yet to be made is none that is there.
    if (!olds?.engine) await ask(looks);
    return { inputs: looks };
  },
  async create(looks: Looks) {
    const names = [...namesOf(looks), "images"];
    return { id: "dify-docker-facts", outs: { ...looks, tokens: Object.fromEntries(names.map((name) => [name, ""])) } };
  },
  async diff(_id, olds: FactsOutputs, looks: Looks) {
    // What is known only once something else is made stands as this word in both engines; this very text is among the inputs.
    const unknown = ["04da6b54", "80e4", "46f7", "96ec", "b56ff0331ba9"].join("-");
    if (JSON.stringify({ ...looks, __provider: "" }).includes(unknown)) return { changes: true };
    const missing = await lost(looks);
    const tokens = tokensIn(olds, looks);
    // What the state does not know yet is missing because it was never made.
    const drifted = Object.entries(missing).filter(([name]) => name in tokens);
    for (const [name, why] of drifted) console.log(`dify-docker-facts: ${name} is not in place: ${why}`);
    return { changes: namesOf(looks).some((name) => !(name in tokens)) || drifted.length > 0 };
  },
  async update(_id, olds: FactsOutputs, looks: Looks) {
    const missing = await lost(looks);
    const tokens = tokensIn(olds, looks);
    const token = (name: string) =>
      name in tokens && name in missing ? globalThis.crypto.randomUUID() : (tokens[name] ?? "");
    const names = [...namesOf(looks), "images"];
    return { outs: { ...looks, tokens: Object.fromEntries(names.map((name) => [name, token(name)])) } };
  },
};

/**
 * What the Docker engine has, against what the state believes: neither engine looks there by itself. A container that was stopped or
 * removed by hand gets a new token, which is a label of it: so the next `up` makes it anew. A volume's token is no label of it, for a
 * volume is never replaced: `dify-volumes` makes one that is gone, and what works on its content does that again.
 */
export class EngineFacts extends DynamicResource {
  declare readonly tokens: pulumi.Output<Record<string, string>>;

  constructor(
    name: string,
    looks: { [Key in keyof Looks]: pulumi.Input<Looks[Key]> | Record<string, pulumi.Input<string>> },
    opts: pulumi.CustomResourceOptions,
  ) {
    super({ provider, uses: [runScript, ask, lost, namesOf, tokensIn] }, name, { ...looks, tokens: undefined }, opts);
  }

  token(name: string): pulumi.Output<string> {
    return this.tokens.apply((tokens) => tokens[name] ?? "");
  }
}
