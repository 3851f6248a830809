import type { Console } from "./client.ts";
import { DifyError } from "./errors.ts";
import { type Item, inPlace, missing, type Work } from "./item.ts";
import { userInfo } from "./masker.ts";
import { pluginById, wantPlugin } from "./plugins.ts";
import { whenPluginRuns } from "./wait.ts";
import { whyNoModels } from "./webui.ts";

/** A credential of a tool as the console lists it: `base_url` has its first and last two letters, `*` between. */
export interface Credential {
  id: string;
  name: string;
  is_default: boolean;
  credentials: { base_url?: string; model?: string };
}

const pathOf = (provider: string) => `/workspaces/current/tool-provider/builtin/${provider}`;

/** The credentials of a tool; the plugin has to be there, or Dify answers 500. */
export async function toolCredentials(console: Console, provider: string): Promise<Credential[]> {
  const { credentials } = await console.get<{ credentials: Credential[] }>(`${pathOf(provider)}/credential/info`);
  return credentials;
}

type Webui = Work<"tool">["input"]["webui"];

/** The WebUI's address with its login in it, which is how the tool sends one. */
export function baseUrl({ url, user, password }: Webui): string {
  const at = new URL(url);
  return `${at.protocol}//${userInfo(user)}:${userInfo(password)}@${at.host}${at.pathname.replace(/\/+$/, "")}`;
}

/** The credential that the Stable Diffusion tool calls the WebUI with. */
export const tool: Item<"tool"> = {
  async apply({ console, input, say, before: facts }) {
    const { name, provider, webui, model, own } = input;
    await wantPlugin(console, input.plugin);
    const before = await toolCredentials(console, provider);
    const found = ours(before, name, facts);
    const credentials = { base_url: baseUrl(webui), model };
    // Both make the plugin ask the WebUI for its models, so what is stored has worked.
    const put = () =>
      found
        ? console.post(`${pathOf(provider)}/update`, { credential_id: found.id, credentials, name }, { seconds: 60 })
        : console.post(`${pathOf(provider)}/add`, { credentials, type: "api-key", name }, { seconds: 60 });
    try {
      await whenPluginRuns(put, input.plugin, say);
    } catch (error) {
      throw error instanceof DifyError && /Failed to get models/.test(error.said)
        ? new DifyError(await whyNoModels(error, { webui, model, mask: console.masker.mask }), error)
        : error;
    }
    const after = await toolCredentials(console, provider);
    const stored = after.find((credential) => credential.name === name);
    if (!stored) throw new DifyError(`Dify took the credential \`${name}\` of ${provider}, and does not list it.`);
    // Where none was chosen the newest is the default: in somebody's Dify their apps would draw with our WebUI. Our apps name their own.
    const theirs = before.find((credential) => credential.is_default && credential.name !== name);
    const byDefault = own ? stored : after.find(({ id }) => id === theirs?.id);
    if (byDefault && !byDefault.is_default)
      await console.post(`${pathOf(provider)}/default-credential`, { id: byDefault.id });
    return { credentialId: stored.id, made: true };
  },

  async remove({ console, input, before }) {
    if (!(await pluginById(console, input.plugin))) return;
    const found = ours(await toolCredentials(console, input.provider), input.name, before);
    if (found) await console.post(`${pathOf(input.provider)}/delete`, { credential_id: found.id });
  },

  async check(console, { name, provider, webui, model, plugin }, { own }) {
    if (!(await pluginById(console, plugin))) return missing(`its plugin ${plugin} is not installed`);
    const found = (await toolCredentials(console, provider)).find((credential) => credential.name === name);
    if (!found) return missing(`the tool has no credential \`${name}\``);
    if (found.credentials.model !== model) return missing(`its checkpoint is ${found.credentials.model}, not ${model}`);
    if (surelyOther(found.credentials.base_url, baseUrl(webui))) return missing("it calls another address or login");
    if (own && !found.is_default) return missing("the tool calls with another credential by default");
    return inPlace;
  },
};

/** Also one that has an earlier name yet: the stack was renamed, or has another WebUI's password. */
const ours = (all: Credential[], name: string, facts: Record<string, unknown> | undefined): Credential | undefined =>
  all.find((credential) => credential.name === name) ?? all.find(({ id }) => id === facts?.credentialId);

/** A masked value can't be compared, but its length and its ends can tell that it is another one. */
function surelyOther(masked: string | undefined, value: string): boolean {
  if (!masked || !/^..\*+..$/.test(masked)) return false;
  return masked !== `${value.slice(0, 2)}${"*".repeat(value.length - 4)}${value.slice(-2)}`;
}
