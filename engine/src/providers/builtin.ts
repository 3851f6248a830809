import { createRequire } from "node:module";
import { join } from "node:path";
import { providerType } from "../deploy/plan/references.ts";
import type { ProviderFactory } from "../provider.ts";
import type { ResourceState } from "../resource.ts";
import { DYNAMIC_PACKAGE, type DynamicOptions, dynamicProvider } from "./dynamic/index.ts";
import { pulumiProvider, type ReadStack } from "./pulumi.ts";

/** Loaded when they are wanted: their clients cost start-up time that a program without commands and containers need not pay. */
const loaders = {
  command: () => import("./command/index.ts"),
  docker: () => import("./docker/index.ts"),
};

/** Every package that the engine covers by itself. */
export function builtinProviders(options: DynamicOptions & { readStack: ReadStack }): Record<string, ProviderFactory> {
  return {
    pulumi: () => pulumiProvider(options.readStack),
    [DYNAMIC_PACKAGE]: dynamicProvider(options),
    command: async (given) => (await loaders.command()).commandProvider(given),
    docker: async (given) => (await loaders.docker()).dockerProvider(given),
  };
}

/**
 * Loads what the program will ask for, while it still starts: the packages of the state, or for a new stack commands, if the
 * program has their package.
 */
export function loadAhead(state: ResourceState[], programDir: string): void {
  const used = (pkg: string): boolean =>
    state.length > 0 ? state.some(({ type }) => type === providerType(pkg)) : pkg === "command" && has(programDir, pkg);
  for (const [pkg, load] of Object.entries(loaders)) if (used(pkg)) load().catch(() => {});
}

function has(programDir: string, pkg: string): boolean {
  try {
    return createRequire(join(programDir, "package.json")).resolve(`@pulumi/${pkg}`) !== "";
  } catch {
    return false;
  }
}
