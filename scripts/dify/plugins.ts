import { atelier } from "../../healthchecks/hint.ts";
import type { Console } from "./client.ts";
import { DifyError } from "./errors.ts";

const path = "/workspaces/current/plugin";

/** A plugin as it is installed. */
export interface Installed {
  plugin_id: string;
  plugin_unique_identifier: string;
  installation_id: string;
  version: string;
  /** `marketplace`, `package`, `github`. */
  source: string;
}

/** Every plugin of the workspace. */
export async function pluginList(console: Console): Promise<Installed[]> {
  const found: (Installed & { id: string })[] = [];
  for (let page = 1; page < 100; page++) {
    const { plugins } = await console.get<{ plugins: (Installed & { id: string })[] }>(
      `${path}/list?page=${page}&page_size=100`,
    );
    found.push(...plugins);
    if (plugins.length < 100) break;
  }
  return found.map((plugin) => ({ ...plugin, installation_id: plugin.installation_id ?? plugin.id }));
}

/** The plugin, as it is installed. */
export const pluginById = async (console: Console, id: string): Promise<Installed | undefined> =>
  (await pluginList(console)).find((plugin) => plugin.plugin_id === id);

/** @throws DifyError when it is not installed: what asks for a plugin that is not there answers 500 and no more */
export async function wantPlugin(console: Console, id: string): Promise<Installed> {
  const plugin = await pluginById(console, id);
  if (plugin) return plugin;
  throw new DifyError(
    `The plugin ${id} is not installed at ${console.url}. The next ${atelier("up")} installs it again.`,
  );
}
