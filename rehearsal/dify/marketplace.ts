import { setTimeout as sleep } from "node:timers/promises";
import { invalid, pluginError } from "./answers.ts";
import type { Dify } from "./dify.ts";
import { readPackage } from "./packages.ts";
import type { Package } from "./state.ts";

const tries = 3;

export const unreachableAfterRetries = (url: string) => invalid(`Reached maximum retries (${tries}) for URL ${url}`);

/**
 * The package behind an identifier: the one that is here, or the marketplace's.
 * @throws when the marketplace is not reached after three tries, has no such file, or gives something else
 */
export async function downloadFromMarketplace(dify: Dify, identifier: string): Promise<Package> {
  const known = dify.state.packages[identifier];
  if (known) return known;
  const url = `${dify.config.marketplaceUrl}/api/v1/plugins/download?unique_identifier=${identifier}`;
  const bytes = await download(url);
  const found = readPackage(bytes);
  if (!found) throw pluginError("difypkg: not a valid difypkg file");
  if (dify.config.forceVerifyingSignature && !found.verified)
    throw pluginError("plugin verification has been enabled, and the plugin you want to install has a bad signature");
  dify.state.packages[found.id] = found;
  dify.save();
  return found;
}

async function download(url: string): Promise<Uint8Array> {
  for (let attempt = 1; attempt <= tries; attempt++) {
    try {
      const response = await fetch(url, { signal: AbortSignal.timeout(30_000) });
      if (response.status === 404) throw invalid("file not found");
      if (response.ok) return new Uint8Array(await response.arrayBuffer());
    } catch (error) {
      if (!(error instanceof TypeError) && !(error instanceof DOMException)) throw error;
    }
    if (attempt < tries) await sleep(100 * attempt);
  }
  throw unreachableAfterRetries(url);
}

/** What the marketplace says of the newest version of plugins; nothing where it does not answer. */
export async function latestVersions(dify: Dify, ids: unknown[]): Promise<Record<string, object>> {
  try {
    const answer = await fetch(`${dify.config.marketplaceUrl}/api/v1/plugins/batch`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ plugin_ids: ids }),
      signal: AbortSignal.timeout(5000),
    });
    if (!answer.ok) return {};
    const { data } = (await answer.json()) as { data: { plugins: Record<string, string>[] } };
    const latest = data.plugins.map((plugin) => ({
      plugin_id: plugin.plugin_id,
      version: plugin.latest_version,
      unique_identifier: plugin.latest_package_identifier,
      status: plugin.status ?? "active",
      deprecated_reason: "",
      alternative_plugin_id: "",
    }));
    return Object.fromEntries(latest.map((one) => [one.plugin_id, one]));
  } catch {
    return {};
  }
}
