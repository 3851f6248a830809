import { difyServices } from "../../images/dify.ts";
import type { DifyModel } from "../schema/dify.ts";

/** A host of the user's own network, where a proxy to the world has no way: by address, or by a name that no public server knows. */
const isPrivate = (host: string): boolean =>
  /^(10\.|127\.|192\.168\.|169\.254\.|172\.(1[6-9]|2\d|3[01])\.|100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\.|\[(::1|f[cd]|fe80))/.test(
    host,
  ) ||
  /\.(local|lan|internal|home\.arpa)$/.test(host) ||
  !/[.:]/.test(host);

/**
 * What no proxy stands before: what is inside, the WebUI, and a language model in the user's own network.
 * @param subnets of Dify's own network: the daemon asks itself by its address, too
 */
export function directHosts(webui: string, model: DifyModel, subnets: string[]): string {
  const address = "baseUrl" in model && model.baseUrl ? new URL(model.baseUrl).hostname : undefined;
  const own = address && isPrivate(address) ? [address] : [];
  return [...new Set(["localhost", "127.0.0.1", ...difyServices, ...subnets, webui, ...own])].join(",");
}
