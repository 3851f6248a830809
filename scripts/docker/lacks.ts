import { readManifest, remake } from "../cli/bundle/manifest.ts";
import type { Input } from "./input.ts";
import { findBundled } from "./load.ts";

/**
 * What a Dify of a closed network would miss at its first start, all at once; empty: nothing.
 * @param missing images that the engine has not
 * @param fresh nothing was ever installed in this Dify
 */
export function whatLacks(
  { engine, plugins }: Pick<Input<"look">, "engine" | "plugins">,
  { missing, fresh, bundle }: { missing: string[]; fresh: boolean; bundle: string | undefined },
): string {
  const packages = bundle && fresh ? readManifest(bundle).plugins : [];
  const isPacked = ({ id, version, identifier }: (typeof plugins)[number]) =>
    packages.some((one) => one.id === id && one.version === version && (!identifier || one.identifier === identifier));
  const lacking = [
    ...missing.filter((name) => !bundle || !findBundled(bundle, name)).map((name) => `image ${name}`),
    ...plugins.filter((one) => fresh && !isPacked(one)).map(({ id, version }) => `plugin ${id} ${version}`),
  ];
  if (lacking.length === 0) return "";
  const list = lacking.join(", ");
  if (bundle)
    return `neither the bundle ${bundle} nor the Docker engine at ${engine.host} has: ${list}. Nothing was made there. ${remake(bundle)} makes the bundle whole for the settings of now.`;
  return `nothing may be fetched (upstreams: offline), and the Docker engine at ${engine.host} has not: ${list}. Nothing was made there. A bundle brings it (--upstreams bundle:<folder>, or the one that was pushed); images also docker load.`;
}
