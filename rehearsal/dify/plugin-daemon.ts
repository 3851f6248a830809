import { internalError, invalid } from "./answers.ts";
import type { Dify } from "./dify.ts";

/** @throws as Dify's API does when its plugin daemon doesn't answer */
export async function needDaemon(dify: Dify, path: string): Promise<void> {
  const { config, state } = dify;
  const down = invalid(`Failed to request plugin daemon, url: plugin/${state.tenantId}/management/${path}`);
  if (dify.lies.has("daemon_down")) throw down;
  if (!config.pluginDaemonUrl) return;
  try {
    const response = await fetch(`${config.pluginDaemonUrl}/health/check`, { signal: AbortSignal.timeout(10_000) });
    if (!response.ok) throw down;
  } catch {
    throw down;
  }
}

/** What a plugin's call says in the seconds between the daemon's start and its own. */
export const runtimeNotFound = "no available node, plugin runtime not found";

/** @throws as a call of a plugin does whose process does not run yet */
export async function needRuntime(dify: Dify, path: string): Promise<void> {
  await needDaemon(dify, path);
  if (dify.lies.tells("runtime_missing")) throw internalError();
}
