import type { Console } from "./client.ts";
import { modelProviders } from "./model.ts";
import { toolCredentials } from "./tool.ts";

/** Names of the credentials that a plugin's providers have: somebody works with it, and they would go with it. */
export async function credentialsWith(console: Console, plugin: string): Promise<string[]> {
  const tools = await console.get<{ id: string; plugin_id?: string | null }[]>("/workspaces/current/tool-providers");
  const ofTools = tools.filter(({ plugin_id }) => plugin_id === plugin);
  const names = [];
  for (const { id } of ofTools) names.push(...(await toolCredentials(console, id)).map(({ name }) => name));
  for (const { provider, custom_configuration: stored } of await modelProviders(console)) {
    if (!provider.startsWith(`${plugin}/`)) continue;
    const all = [
      ...(stored.available_credentials ?? []),
      ...(stored.custom_models ?? []).flatMap((one) => one.available_model_credentials),
    ];
    names.push(...all.map(({ credential_name }) => credential_name));
  }
  return names;
}
