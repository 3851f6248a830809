import type { ResourceState, Snapshot } from "./resource.ts";

export interface Removal {
  snapshot: Snapshot;
  /** What is no longer in it, in the old order. */
  removed: ResourceState[];
}

/**
 * Drops resources from the state without touching what they stand for, and with them everything that leans on them:
 * children, dependents, resources of a dropped provider. Pending operations on them go too.
 * @returns a new snapshot, as sound as the old one was
 */
export function removeResources(snapshot: Snapshot, predicate: (state: ResourceState) => boolean): Removal {
  const kept: ResourceState[] = [];
  const removed: ResourceState[] = [];
  const urns = new Set<string>();
  const providers = new Set<string>();
  const stands = (state: ResourceState) =>
    namedBy(state).every((urn) => urns.has(urn)) &&
    (!state.provider || state.pendingReplacement === true || providers.has(state.provider));
  // In topological order, so that what is dropped is known before anything that leans on it is met.
  for (const state of snapshot.resources) {
    if (predicate(state) || !stands(state)) {
      removed.push(state);
      continue;
    }
    kept.push(state);
    urns.add(state.urn);
    providers.add(`${state.urn}::${state.id}`);
  }
  const pendingOperations = snapshot.pendingOperations.filter(
    ({ resource }) => !predicate(resource) && stands(resource),
  );
  return { snapshot: { ...snapshot, resources: kept, pendingOperations }, removed };
}

/** Every URN that a resource cannot be without. */
function namedBy(state: ResourceState): string[] {
  const named = [...state.dependencies, ...Object.values(state.propertyDependencies).flatMap((urns) => urns ?? [])];
  if (state.parent) named.push(state.parent);
  if (state.deletedWith) named.push(state.deletedWith);
  const replaceWith = state.unknownFields?.replaceWith;
  return Array.isArray(replaceWith) ? [...named, ...replaceWith.map(String)] : named;
}
