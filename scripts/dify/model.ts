import type { Console } from "./client.ts";
import { DifyError } from "./errors.ts";
import { type Item, inPlace, missing, type Work } from "./item.ts";
import { pluginById, wantPlugin } from "./plugins.ts";
import { note, type Say, whenPluginRuns } from "./wait.ts";

interface Named {
  credential_id: string;
  credential_name: string;
}
interface Stored {
  credentials: Record<string, string> | null;
  current_credential_id: string | null;
  available_credentials: Named[];
}
interface Listed {
  provider: string;
  models: { model: string; status: string; features?: string[] | null }[];
}

const pathOf = (provider: string) => `/workspaces/current/model-providers/${provider}`;
type Input = Pick<
  Work<"model">["input"],
  "provider" | "model" | "name" | "scope" | "credentials" | "custom" | "secrets"
> & {
  /** What it was called last. */
  earlier: string;
};

/** The language model: its provider's credential, or its own, active and able to call tools. */
export const model: Item<"model"> = {
  async apply({ console, input: told, say, before }) {
    const input = { ...told, earlier: calledBefore(told, before) };
    await wantPlugin(console, input.plugin);
    const { scope, provider, custom, own } = input;
    const runs = <T>(work: () => Promise<T>) => whenPluginRuns(work, input.plugin, say);
    if (scope === "provider") await runs(() => putProvider(console, input, own));
    // Not every model of a provider stands in its plugin's list.
    if (scope === "model") await runs(() => putModel(console, input, input.credentials, own));
    else if (custom && !(await listed(console, input))) await runs(() => putModel(console, input, custom, own));
    const now = await runs(() => listed(console, input));
    const why = unfit(now, input.model);
    if (why) throw new DifyError(`Dify took the credential of ${input.model} (${provider}), but ${why}.`);
    // Others' apps begin with the default; theirs is left alone.
    if (own)
      await console.post("/workspaces/current/default-model", {
        model_settings: [{ model_type: "llm", provider, model: input.model }],
      });
    const left = [...leftIn(before), ...(await leftWith(console, input))];
    return { made: true, name: input.name, ...(left.length > 0 && { left }) };
  },

  async remove({ console, input, say, before }) {
    const { name } = input;
    const earlier = calledBefore(input, before);
    const isOurs = ({ credential_id: id, credential_name: called }: Named) =>
      called === name || called === earlier || leftIn(before).includes(id);
    // Of every provider and model that the settings ever named: an app that somebody edited may have gone on with an earlier one.
    for (const { provider, custom_configuration: stored } of await modelProviders(console)) {
      for (const { model, model_type, available_model_credentials: all, ...active } of stored.custom_models ?? []) {
        const path = `${pathOf(provider)}/models/credentials`;
        await handOver(console, { path, of: { model, model_type }, what: model, all, active, isOurs }, say);
        for (const { credential_id } of all.filter(isOurs))
          await console.delete(path, { model, model_type, credential_id });
      }
      const all = stored.available_credentials ?? [];
      const path = `${pathOf(provider)}/credentials`;
      await handOver(console, { path, of: {}, what: `models of ${provider}`, all, active: stored, isOurs }, say);
      for (const { credential_id } of all.filter(isOurs)) await console.delete(path, { credential_id });
    }
  },

  async check(console, wanted, { own }) {
    if (!(await pluginById(console, wanted.plugin))) return missing(`its plugin ${wanted.plugin} is not installed`);
    const custom = wanted.scope === "provider" ? wanted.custom : wanted.credentials;
    const stored =
      wanted.scope === "provider"
        ? await providerCredentials(console, wanted.provider)
        : await modelCredentials(console, wanted);
    const id = named(stored, wanted.name);
    if (!id) return missing(`${wanted.provider} has no credential \`${wanted.name}\``);
    if (own ? stored.current_credential_id !== id : stored.current_credential_id === null)
      return missing(`the credential \`${wanted.name}\` is not the active one`);
    if (wanted.scope === "model" && stored.current_credential_id === id) {
      const other = differing(custom ?? {}, stored.credentials ?? {}, wanted.secrets);
      if (other.length > 0) return missing(`other than the settings say: ${other.join(", ")}`);
    }
    const why = unfit(await listed(console, wanted), wanted.model);
    return why ? missing(why) : inPlace;
  },
};

interface Leaving {
  path: string;
  of: { model?: string; model_type?: string };
  /** Said to people. */
  what: string;
  all: Named[];
  active: { current_credential_id: string | null };
  isOurs: (one: Named) => boolean;
}

/**
 * Makes another's credential the active one in place of ours. Deleted while it is active it leaves none: others' apps go on with the
 * deleted one out of Dify's cache, for up to a day, and then say that the model does not exist.
 */
async function handOver(console: Console, { path, of, what, all, active, isOurs }: Leaving, say: Say): Promise<void> {
  const theirs = all.find((one) => !isOurs(one));
  const current = all.find(({ credential_id: id }) => id === active.current_credential_id);
  if (!theirs || !current || !isOurs(current)) return;
  await console.post(`${path}/switch`, { ...of, credential_id: theirs.credential_id });
  say(note(`apps with ${what} go on with the credential \`${theirs.credential_name}\``));
}

const named = ({ available_credentials }: Partial<Stored>, name: string): string | undefined =>
  available_credentials?.find(({ credential_name }) => credential_name === name)?.credential_id;

const ours = (stored: Partial<Stored>, { name, earlier }: Pick<Input, "name" | "earlier">): string | undefined =>
  named(stored, name) ?? named(stored, earlier);

/** By its last facts; those of an earlier Atelier say no name, and it was the stack's own. */
function calledBefore({ name, early }: Work<"model">["input"], before: Work<"model">["before"]): string {
  if (typeof before?.name === "string") return before.name;
  return before?.made === true ? (early ?? name) : name;
}

/** Ids of those of earlier models that have an earlier name. */
function leftIn(before: Work<"model">["before"]): string[] {
  const left = before?.left;
  return Array.isArray(left) ? left.filter((id) => typeof id === "string") : [];
}

async function leftWith(console: Console, { name, earlier }: Input): Promise<string[]> {
  if (earlier === name) return [];
  const all = (await modelProviders(console)).flatMap(({ custom_configuration: stored }) => [
    ...(stored.available_credentials ?? []),
    ...(stored.custom_models ?? []).flatMap((one) => one.available_model_credentials),
  ]);
  return all.filter((one) => one.credential_name === earlier).map((one) => one.credential_id);
}

/** Which of the values that can be seen are other ones. */
const differing = (wanted: Record<string, string>, stored: Record<string, string>, secrets: string[]): string[] =>
  Object.keys(wanted).filter((key) => !secrets.includes(key) && stored[key] !== wanted[key]);

async function modelCredentials(
  console: Console,
  { provider, model: name }: Pick<Input, "provider" | "model">,
): Promise<Stored> {
  const query = new URLSearchParams({ model: name, model_type: "llm", config_from: "custom-model" });
  const stored = await console.get<Partial<Stored>>(`${pathOf(provider)}/models/credentials?${query}`);
  return {
    credentials: stored.credentials ?? null,
    current_credential_id: stored.current_credential_id ?? null,
    available_credentials: stored.available_credentials ?? [],
  };
}

interface Configured extends Omit<Stored, "credentials"> {
  custom_models?: {
    model: string;
    model_type: string;
    current_credential_id: string | null;
    available_model_credentials: Stored["available_credentials"];
  }[];
}
interface Provider {
  provider: string;
  custom_configuration: Configured;
}

/** What every provider has of credentials: its own, and those of its models. */
export async function modelProviders(console: Console): Promise<Provider[]> {
  const { data } = await console.get<{ data: Provider[] }>("/workspaces/current/model-providers");
  return data;
}

async function providerCredentials(console: Console, provider: string): Promise<Stored> {
  const found = (await modelProviders(console)).find((one) => one.provider === provider)?.custom_configuration;
  return {
    credentials: null,
    current_credential_id: found?.current_credential_id ?? null,
    available_credentials: found?.available_credentials ?? [],
  };
}

/** The provider's own error is Dify's answer: a wrong key, an address that is not there, a model that it does not have. */
const mend =
  "Check dify.model: its name, baseUrl (as seen from Dify's plugin daemon, never localhost) and apiKey or apiKeyEnv.";

async function putModel(
  console: Console,
  input: Input,
  credentials: Record<string, string>,
  own: boolean,
): Promise<void> {
  const path = `${pathOf(input.provider)}/models/credentials`;
  const body = { model: input.model, model_type: "llm", name: input.name, credentials };
  const found = ours(await modelCredentials(console, input), input);
  const call = { seconds: 120, mend };
  if (found) await console.put(path, { ...body, credential_id: found }, call);
  else await console.post(path, body, call);
  const { current_credential_id: current, ...stored } = await modelCredentials(console, input);
  const id = named(stored as Stored, input.name);
  // After a delete of the active one, none is active while another stands there.
  if (current === null || (own && current !== id))
    await console.post(`${path}/switch`, { model: input.model, model_type: "llm", credential_id: id });
}

async function putProvider(console: Console, input: Input, own: boolean): Promise<void> {
  const { provider, name, earlier, credentials } = input;
  const path = `${pathOf(provider)}/credentials`;
  const found = ours(await providerCredentials(console, provider), { name, earlier });
  const call = { seconds: 120, mend };
  if (found) await console.put(path, { credential_id: found, credentials, name }, call);
  else await console.post(path, { credentials, name }, call);
  const { current_credential_id: current, ...stored } = await providerCredentials(console, provider);
  if (current === null || (own && current !== named(stored as Stored, name)))
    await console.post(`${path}/switch`, { credential_id: named(stored as Stored, name) });
}

type ListedModel = Listed["models"][number];

async function listed(
  console: Console,
  { provider, model: name }: Pick<Input, "provider" | "model">,
): Promise<ListedModel | undefined> {
  const { data } = await console.get<{ data: Listed[] }>("/workspaces/current/models/model-types/llm");
  return data.find((one) => one.provider === provider)?.models.find((one) => one.model === name);
}

/** Without tool calls an agent answers with words, and nothing says why. */
function unfit(found: ListedModel | undefined, name: string): string | undefined {
  if (!found) return `the model ${name} is not among the models that can be used`;
  if (found.status !== "active") return `the model ${name} is ${found.status}`;
  const features = found.features ?? [];
  if (!features.some((feature) => /tool-call/.test(feature)))
    return `the model ${name} can't call tools, as its plugin says (${features.join(", ") || "no features"}): an agent would never draw. Choose another one (dify.model.name)`;
  return undefined;
}
