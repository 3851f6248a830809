import { DYNAMIC_PACKAGE } from "../../providers/dynamic/index.ts";
import { INTERNAL_KEY } from "../../providers/registry.ts";
import { type PropertyMap, Secret } from "../../values.ts";
import { bareGoal, type Goal } from "./goal.ts";
import { providerType } from "./references.ts";

/**
 * The provider of a package for resources that name none: its configuration is the stack's for that package.
 * @param version "" when the program's package tells none
 */
export function defaultProviderGoal(
  pkg: string,
  version: string,
  url: string,
  config: Record<string, { value: string; secret: boolean }>,
): Goal {
  const inputs = packageConfig(pkg, config);
  if (version !== "") {
    inputs[INTERNAL_KEY] = url === "" ? {} : { pluginDownloadURL: url };
    inputs.version = version;
  }
  return bareGoal(providerType(pkg), defaultName(version, url), true, inputs);
}

/** `1.2.1` → `default_1_2_1`, `1.0.0-rc.1+b` → `default_1_0_0_rc_1_b`. */
function defaultName(version: string, url: string): string {
  const parts = [version.split(/[.+-]/).join("_"), url.replace(/[^A-Za-z0-9_.-]/g, "_")].filter((part) => part !== "");
  return ["default", ...parts].join("_");
}

/** Dynamic resources see all of the stack's configuration, under its full keys. */
function packageConfig(pkg: string, config: Record<string, { value: string; secret: boolean }>): PropertyMap {
  const inputs: PropertyMap = {};
  for (const [key, { value, secret }] of Object.entries(config)) {
    const colon = key.indexOf(":");
    if (pkg !== DYNAMIC_PACKAGE && key.slice(0, colon) !== pkg) continue;
    const name = pkg === DYNAMIC_PACKAGE ? key : key.slice(colon + 1);
    inputs[name] = secret ? new Secret(value) : value;
  }
  return inputs;
}
