import type { ProviderFactory } from "../provider.ts";
import { DYNAMIC_PACKAGE, type DynamicOptions, dynamicProvider } from "./dynamic/index.ts";
import { pulumiProvider, type ReadStack } from "./pulumi.ts";

/** Every package that the engine covers by itself. */
export function builtinProviders(options: DynamicOptions & { readStack: ReadStack }): Record<string, ProviderFactory> {
  return {
    pulumi: () => pulumiProvider(options.readStack),
    [DYNAMIC_PACKAGE]: dynamicProvider(options),
    // Loaded at their first use: their clients cost start-up time that a program without commands and containers need not pay.
    command: async (given) => (await import("./command/index.ts")).commandProvider(given),
    docker: async (given) => (await import("./docker/index.ts")).dockerProvider(given),
  };
}
