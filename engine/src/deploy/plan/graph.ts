import type { ResourceState } from "../../resource.ts";
import { parseReference } from "./references.ts";

/** Every URN that a resource leans on; `parent` only when asked for. */
export function dependenciesOf(state: ResourceState, withParent: boolean): Set<string> {
  const urns = new Set(state.dependencies);
  for (const list of Object.values(state.propertyDependencies)) for (const urn of list) urns.add(urn);
  if (state.deletedWith) urns.add(state.deletedWith);
  if (state.provider) urns.add(parseReference(state.provider).urn);
  if (withParent && state.parent) urns.add(state.parent);
  return urns;
}

/**
 * The resources after `root` that lean on it, directly or through others, in their order. Parenthood alone does not count.
 * @param resources in topological order
 * @param ignore URNs that can't be dependents any more
 */
export function dependentsOf(resources: ResourceState[], root: ResourceState, ignore: Set<string>): ResourceState[] {
  const found: ResourceState[] = [];
  const urns = new Set([root.urn]);
  const start = resources.indexOf(root);
  if (start < 0) return found;
  for (const candidate of resources.slice(start + 1)) {
    if (ignore.has(candidate.urn) || candidate.urn === root.urn) continue;
    for (const urn of dependenciesOf(candidate, false)) {
      if (!urns.has(urn)) continue;
      urns.add(candidate.urn);
      found.push(candidate);
      break;
    }
  }
  return found;
}

/**
 * The condemned in layers: nothing in a layer is leaned on by anything in it or after it, so that a layer can go at once.
 * @param resources in topological order, holding all the condemned
 */
export function deletionLayers(resources: ResourceState[], condemned: Set<ResourceState>): ResourceState[][] {
  const depth = new Map<ResourceState, number>();
  const byUrn = new Map<string, ResourceState[]>();
  let deepest = 0;
  // A resource's depth is one more than the deepest of what it leans on among the condemned: the deepest go first.
  for (const state of resources) {
    if (!condemned.has(state)) continue;
    let own = 0;
    for (const urn of dependenciesOf(state, true)) {
      for (const other of byUrn.get(urn) ?? []) own = Math.max(own, (depth.get(other) ?? 0) + 1);
    }
    depth.set(state, own);
    deepest = Math.max(deepest, own);
    const same = byUrn.get(state.urn);
    if (same) same.push(state);
    else byUrn.set(state.urn, [state]);
  }
  const layers: ResourceState[][] = Array.from({ length: deepest + 1 }, () => []);
  for (const [state, own] of depth) layers[deepest - own]?.push(state);
  return layers.filter((layer) => layer.length > 0);
}
