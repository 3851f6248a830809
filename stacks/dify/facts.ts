import * as pulumi from "@pulumi/pulumi";
import { DynamicResource } from "../dynamic.ts";
import { runScript } from "./script.ts";

/** An item as `scripts/dify/main.ts check` takes it; what is secret in it is marked so. */
export type FactItem = { item: string } & pulumi.Inputs;

interface FactsInputs {
  stack: string;
  dify: Record<string, unknown>;
  own: boolean;
  /** By the name of its resource. */
  items: Record<string, FactItem>;
  /** Nothing may be fetched. */
  offline?: boolean;
}
interface FactsOutputs {
  tokens: Record<string, string>;
  there?: There;
}
/** Somebody's Dify, and what is made in it. */
interface There {
  url: unknown;
  what: string;
  /** Id of the admin's workspace that it is in; undefined where nobody could be asked. */
  workspace?: string;
}
interface Standing {
  ok: boolean;
  why?: string;
  edited?: string[];
}

interface Stands {
  items: Record<string, Standing>;
  /** Of somebody's Dify: the admin may switch to another. */
  workspace?: { id: string; name: string };
}
interface Drift {
  drifted: Record<string, string>;
  workspace: string | undefined;
}

/** Asks Dify how every item stands; undefined where an own Dify does not answer, for it may be down, or not made yet. */
async function askDify({ dify, own, items }: FactsInputs): Promise<Stands | undefined> {
  const { code, stdout, why } = await runScript("scripts/dify/main.ts", "check", { dify, own, items });
  if (code === 0) return JSON.parse(stdout) as Stands;
  // 4: nobody answers.
  if (code === 4 && own) {
    console.log(`dify-facts: ${why}`);
    return undefined;
  }
  throw new Error(why.replace(/^error: dify: /, ""));
}

/**
 * Asks somebody's Dify, before anything is made in it or anywhere else, whether it would take this stack. Once something is there,
 * `drift` tells. One that does not answer may do so by the time that it is wired.
 */
async function askFirst(olds: Partial<FactsInputs> | undefined, news: FactsInputs): Promise<void> {
  const { dify, own, items, offline } = news;
  const unknown = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";
  if (own || olds?.items || JSON.stringify(dify).includes(unknown)) return;
  const of = (kind: string) => Object.values(items).filter(({ item }) => item === kind);
  const plugins = of("plugin").map(({ plugin }) => plugin);
  const apps = of("app").map(({ item: _, state, tool, ...app }) => ({
    ...app,
    // In a first plan neither mark nor credential has its name yet.
    ...(state === unknown ? {} : { state }),
    tool: { ...(tool as object), credential: "-" },
  }));
  const { code, stdout, why } = await runScript("scripts/dify/main.ts", "ask", { dify, offline, plugins, apps });
  if (code === 4)
    return console.log(`dify-facts: ${why} \`up\` goes on, and waits for it before anything is made in it.`);
  if (code !== 0) throw new Error(why.replace(/^error: dify: /, ""));
  const { refused, said } = JSON.parse(stdout) as { refused: string[]; said: string[] };
  for (const line of said) console.log(`dify-facts: ${line}`);
  if (refused.length > 0) throw new Error([...refused, "Nothing was made there."].join("\n"));
}

/**
 * Which items are to be applied again, and why; undefined: all of them. What was edited is said, and left alone unless forced.
 * @throws where the admin works in another workspace than what was made is in, unless forced
 */
async function drift(inputs: FactsInputs, there: There | undefined): Promise<Drift | undefined> {
  const stands = await askDify(inputs);
  if (!stands) return undefined;
  const force = Boolean(process.env.ATELIER_FORCE);
  const drifted: Record<string, string> = {};
  const { workspace } = stands;
  if (workspace && there?.workspace && there.url === inputs.dify.url && there.workspace !== workspace.id) {
    const moved = `the admin of ${there.url} works in the workspace \`${workspace.name}\` now, and what this stack made is in another one`;
    if (!force)
      throw new Error(
        `${moved}. Nothing was changed. Switch back in Dify's pages (the workspace's name at the top), and run this again. If that workspace is gone for good: npx atelier up --stack ${inputs.stack} --force makes everything anew in \`${workspace.name}\`.`,
      );
    for (const [name, { item }] of Object.entries(inputs.items))
      if (item === "setup") drifted[name] = `${moved}, and stays there: ${there.what}`;
  }
  for (const [name, { ok, why, edited = [] }] of Object.entries(stands.items)) {
    if (!ok) drifted[name] = why ?? "not in place";
    if (edited.length === 0) continue;
    const fields = `${edited.slice(0, 8).join(", ")}${edited.length > 8 ? ` and ${edited.length - 8} more` : ""}`;
    if (force) drifted[name] = `it was edited in Dify's console and is overwritten (--force): ${fields}`;
    else
      console.log(
        `dify-facts: ${name} was edited in Dify's console, and is left as it is (--force overwrites): ${fields}`,
      );
  }
  return { drifted, workspace: workspace?.id };
}

/** Nothing of an own Dify, which goes with all that is in it. */
function whatIsThere({ dify, own, items }: FactsInputs, workspace: string | undefined): There {
  if (own) return { url: "", what: "" };
  const called = (...kinds: string[]) => {
    const names = Object.values(items).filter(({ item }) => kinds.includes(item));
    return [...new Set(names.map(({ name }) => `\`${name}\``))].join(" and ");
  };
  return {
    url: dify.url,
    what: `the apps ${called("app")}, the credentials ${called("tool", "model")} with the WebUI's password and the model's key in them, and the plugins that were not there before`,
    // Last, as a state sorts them: they are compared as text.
    ...(workspace && { workspace }),
  };
}

/** Items are applied to the Dify of now: of the one before only its own removal knows the way in. */
function leftBehind({ there }: FactsOutputs, news: FactsInputs): string {
  if (!there?.url || (!news.own && there.url === news.dify.url)) return "";
  return `dify-facts: dify.url was ${there.url}. What was made there stays, and no \`down\` will know of it: ${there.what}. To have it taken out, say no here, set dify.url and its login back to that Dify, run: npx atelier down --stack ${news.stack} --target '**::dify-*' --target-dependents; then set the new one.`;
}

export const difyFacts: pulumi.dynamic.ResourceProvider = {
  async check(olds: FactsInputs, news: FactsInputs) {
    await askFirst(olds, news);
    return { inputs: news };
  },
  async create(inputs: FactsInputs) {
    // Nothing is known before the first apply, and nothing is lost: every item is applied now anyway.
    const tokens = Object.fromEntries(Object.keys(inputs.items).map((name) => [name, ""]));
    const stands = inputs.own ? undefined : await askDify({ ...inputs, items: {} }).catch(() => undefined);
    return { id: "dify-facts", outs: { tokens, there: whatIsThere(inputs, stands?.workspace?.id) } };
  },
  async diff(_id, olds: FactsOutputs, news: FactsInputs) {
    // What is known only once something else is made stands as this word in both engines.
    const unknown = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";
    const left = leftBehind(olds, news);
    if (JSON.stringify([news.dify, news.items]).includes(unknown)) {
      if (left) console.log(left);
      return { changes: true };
    }
    const stood = await drift(news, olds.there);
    const drifted = stood?.drifted;
    // The same Dify at another address has our apps.
    const isNew = Object.entries(news.items).every(
      ([name, { item }]) =>
        item !== "app" || !drifted || /^there is (no|an) app|^its plugin /i.test(drifted[name] ?? ""),
    );
    if (left && isNew) console.log(left);
    if (!drifted) return { changes: true };
    // The engines show what a provider prints: a plan can't say which items will be applied, but this can say why.
    for (const [name, why] of Object.entries(drifted)) console.log(`dify-facts: ${name} is not in place: ${why}`);
    const names = Object.keys(news.items);
    const there = whatIsThere(news, stood?.workspace);
    const told = JSON.stringify(olds.there ?? { url: "", what: "" }) === JSON.stringify(there);
    return { changes: !told || names.some((name) => !(name in olds.tokens)) || Object.keys(drifted).length > 0 };
  },
  async update(_id, olds: FactsOutputs, news: FactsInputs) {
    const stood = await drift(news, olds.there);
    const drifted = stood?.drifted;
    const token = (name: string) => {
      const again = name in olds.tokens && (drifted === undefined || name in drifted);
      return again ? globalThis.crypto.randomUUID() : (olds.tokens[name] ?? "");
    };
    const tokens = Object.fromEntries(Object.keys(news.items).map((name) => [name, token(name)]));
    return { outs: { tokens, there: whatIsThere(news, stood?.workspace) } };
  },
};

/**
 * What is true inside of Dify, against what the state believes. Its `diff` asks Dify itself; an item that is not in place gets a
 * new token, which stands on that item's standard input: so the next `up` applies it again, and only it.
 */
export class DifyFacts extends DynamicResource {
  declare readonly tokens: pulumi.Output<Record<string, string>>;

  constructor(
    name: string,
    args: { dify: pulumi.Inputs; own: boolean; items: Record<string, FactItem>; offline?: boolean },
    opts: pulumi.CustomResourceOptions = {},
  ) {
    super(
      { provider: difyFacts, uses: [runScript, askDify, askFirst, drift, whatIsThere, leftBehind] },
      name,
      { ...args, stack: pulumi.getStack(), tokens: undefined },
      opts,
    );
  }
}
