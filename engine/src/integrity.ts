import type { ResourceState, Snapshot } from "./resource.ts";
import { magicOf } from "./snapshot.ts";

const PROVIDER_TYPE = "pulumi:providers:";

/** A state that must not be used, with everything that is wrong with it. */
export class BrokenState extends Error {
  readonly faults: string[];
  constructor(faults: string[]) {
    super(
      `The state is broken, and nothing was changed:\n${faults.map((fault) => `  - ${fault}`).join("\n")}\n` +
        "Restore the backup beside the state file (.bak, or one under .pulumi/backups), or repair it by `pulumi state` commands.",
    );
    this.name = "BrokenState";
    this.faults = faults;
  }
}

/** @throws BrokenState with all faults at once */
export function verifyIntegrity(snapshot: Snapshot): void {
  const faults = integrityFaults(snapshot);
  if (faults.length > 0) throw new BrokenState(faults);
}

/** Everything that makes a snapshot unusable, in words; empty when it is sound. */
export function integrityFaults(snapshot: Snapshot): string[] {
  const faults: string[] = [];
  const { magic, version } = snapshot.manifest;
  if (magic !== magicOf(version)) faults.push(`the manifest's magic does not fit its version "${version}"`);
  const later = new Map<string, number>();
  for (const [index, state] of snapshot.resources.entries()) later.set(state.urn, index);
  const urns = new Set<string>();
  const providers = new Set<string>();
  const alive = new Set<string>();
  snapshot.resources.forEach((state, index) => {
    if (state.urn === "") {
      faults.push(`the resource at index ${index} has no URN`);
      return;
    }
    if (state.type === "") faults.push(`${state.urn} has no type`);
    if (!state.custom && state.id !== "") faults.push(`${state.urn} is a component but has the id "${state.id}"`);
    const isKnown = (urn: string) => urns.has(urn);
    for (const [what, urn] of referencesOf(state)) {
      if (isKnown(urn)) continue;
      const where = (later.get(urn) ?? -1) >= index ? "comes after it" : "does not exist";
      faults.push(`${state.urn}: its ${what} ${urn} ${where}`);
    }
    if (state.provider && !state.pendingReplacement && !providers.has(state.provider)) {
      faults.push(
        state.provider.includes("::")
          ? `${state.urn}: its provider ${state.provider} does not come before it`
          : `${state.urn}: its provider reference "${state.provider}" is malformed`,
      );
    }
    if (state.type.startsWith(PROVIDER_TYPE)) {
      if (state.id === "") faults.push(`the provider ${state.urn} has no id, so nothing can refer to it`);
      providers.add(`${state.urn}::${state.id}`);
    }
    if (!state.delete) {
      if (alive.has(state.urn)) faults.push(`${state.urn} exists twice, and is not marked for deletion`);
      alive.add(state.urn);
    }
    urns.add(state.urn);
  });
  return faults;
}

/** Every URN that must come before the resource, with the word for what it is to it. */
function* referencesOf(state: ResourceState): Generator<[string, string]> {
  if (state.parent) yield ["parent", state.parent];
  for (const urn of state.dependencies) yield ["dependency", urn];
  for (const [key, urns] of Object.entries(state.propertyDependencies)) {
    for (const urn of urns) yield [`dependency (of its property ${key})`, urn];
  }
  if (state.deletedWith) yield ["deletedWith", state.deletedWith];
  const replaceWith = state.unknownFields?.replaceWith;
  if (Array.isArray(replaceWith)) for (const urn of replaceWith) yield ["replaceWith", String(urn)];
}
