import { randomUUID } from "node:crypto";
import { notCovered, Refusal } from "../deploy/plan/goal.ts";
import { packageOf, parseReference, UNKNOWN_ID } from "../deploy/plan/references.ts";
import type { Provider, ProviderFactory } from "../provider.ts";
import type { ResourceState } from "../resource.ts";
import type { PropertyMap } from "../values.ts";
import { dockerProviderInputs } from "./docker/providerInputs.ts";

/** Where the engine keeps what is its own among a provider's inputs (version and its kin); never shown to a provider. */
export const INTERNAL_KEY = "__internal";

/** What the official plugin of a package adds to its own configuration: without it each engine would see a change. */
const CONFIG_ADDITIONS: Record<string, PropertyMap> = {
  command: { "__pulumi-go-provider-version": "v1.5.0" },
};

/** A provider resource's inputs as they stand in the state; what its plugin has once added stays as it wrote it. */
export function checkProviderInputs(pkg: string, inputs: PropertyMap, olds: PropertyMap | undefined): PropertyMap {
  const additions = Object.entries(CONFIG_ADDITIONS[pkg] ?? {}).map(([key, value]) => [key, olds?.[key] ?? value]);
  return { ...Object.fromEntries(additions), ...(pkg === "docker" ? dockerProviderInputs(inputs) : inputs) };
}

export function providerOutputs(inputs: PropertyMap): PropertyMap {
  const { [INTERNAL_KEY]: _, ...outputs } = inputs;
  return outputs;
}

export function newProviderId(preview: boolean): string {
  return preview ? UNKNOWN_ID : randomUUID();
}

/**
 * The providers of one run, by reference. A provider is made at its first use, so that a package whose resources
 * are never touched costs nothing.
 */
export class ProviderRegistry {
  readonly #factories: Record<string, ProviderFactory>;
  readonly #programDir: string;
  readonly #states = new Map<string, ResourceState>();
  readonly #live = new Map<string, Promise<Provider>>();

  constructor(factories: Record<string, ProviderFactory>, programDir: string) {
    this.#factories = factories;
    this.#programDir = programDir;
  }

  /** @throws Refusal when no provider for the package is built in */
  requirePackage(pkg: string, urn?: string): void {
    if (!Object.hasOwn(this.#factories, pkg)) throw notCovered(`The package "${pkg}"`, urn);
  }

  /** Makes a provider resource known under its reference; the same again changes nothing, other inputs replace it. */
  register(state: ResourceState, id = state.id): void {
    const reference = `${state.urn}::${id}`;
    const known = this.#states.get(reference);
    if (known === state) return;
    this.#states.set(reference, state);
    const live = this.#live.get(reference);
    if (known !== undefined && live !== undefined && JSON.stringify(known.inputs) !== JSON.stringify(state.inputs)) {
      this.#live.delete(reference);
      void live.then((provider) => provider.close()).catch(() => {});
    }
  }

  has(reference: string): boolean {
    return this.#states.has(reference);
  }

  /** @throws Refusal when the reference is unknown or its package not covered */
  async get(reference: string): Promise<Provider> {
    const live = this.#live.get(reference);
    if (live !== undefined) return live;
    const state = this.#states.get(reference);
    if (state === undefined) throw new Refusal(`There is no provider ${reference} in this run.`);
    const pkg = packageOf(state.type);
    this.requirePackage(pkg, state.urn);
    const { version, ...config } = providerOutputs(state.inputs);
    const made = Promise.resolve(
      (this.#factories[pkg] as ProviderFactory)({
        version: typeof version === "string" ? version : "",
        config,
        programDir: this.#programDir,
      }),
    );
    this.#live.set(reference, made);
    return made;
  }

  /** Ends every provider that was made, also those whose start failed half-way. */
  async close(): Promise<void> {
    const all = [...this.#live.values()];
    this.#live.clear();
    await Promise.allSettled(all.map(async (provider) => (await provider).close()));
  }

  /** The URN of a reference. */
  static urnOf(reference: string): string {
    return parseReference(reference).urn;
  }
}
