import { DYNAMIC_PACKAGE } from "../../providers/dynamic/index.ts";
import { INTERNAL_KEY } from "../../providers/registry.ts";
import { type PropertyMap, Secret } from "../../values.ts";
import { bareGoal, type Goal, Refusal } from "./goal.ts";
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

const DISABLED = "pulumi:disable-default-providers";

/**
 * @param user the URN or token of what names no provider
 * @throws Refusal when the settings want it to, or don't say what they want
 */
export function requireDefaultProvider(
  pkg: string,
  config: Record<string, { value: string }>,
  user: () => string,
): void {
  const text = config[DISABLED]?.value;
  // The engine's own package has no other provider.
  if (text === undefined || pkg === "pulumi") return;
  const packages = listOf(text);
  if (packages === undefined)
    throw new Refusal(`The setting ${DISABLED} is no list of packages: write ["command"], or ["*"] for all.`);
  if (packages.includes(pkg) || packages.includes("*")) {
    throw new Refusal(`Default provider for '${pkg}' disabled. '${user()}' must use an explicit provider.`);
  }
}

function listOf(text: string): string[] | undefined {
  try {
    const list: unknown = JSON.parse(text);
    return Array.isArray(list) && list.every((one) => typeof one === "string") ? list : undefined;
  } catch {
    return undefined;
  }
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
