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
 * Tells under which URNs others lean on a resource: its own; and of one that a renamed resource has replaced, and that an update
 * which was cut off has left to be deleted, the new one's too: what leans on it by then bears that name in the state.
 */
export function namesIn(resources: ResourceState[]): (state: ResourceState) => string[] {
  const later = new Map<string, string[]>();
  for (const { urn, aliases } of resources) {
    for (const alias of aliases ?? []) later.set(alias, [...(later.get(alias) ?? []), urn]);
  }
  return (state) => [state.urn, ...((state.delete && later.get(state.urn)) || [])];
}

/**
 * The resources after `root` that lean on it, directly or through others, in their order. Parenthood alone does not count.
 * @param resources in topological order
 * @param ignore URNs that can't be dependents any more
 */
export function dependentsOf(resources: ResourceState[], root: ResourceState, ignore: Set<string>): ResourceState[] {
  const found: ResourceState[] = [];
  const urns = new Set([root.urn]);
  const namesOf = namesIn(resources);
  const start = resources.indexOf(root);
  if (start < 0) return found;
  for (const candidate of resources.slice(start + 1)) {
    if (ignore.has(candidate.urn) || candidate.urn === root.urn) continue;
    for (const urn of dependenciesOf(candidate, false)) {
      if (!urns.has(urn)) continue;
      for (const name of namesOf(candidate)) urns.add(name);
      found.push(candidate);
      break;
    }
  }
  return found;
}

/**
 * The condemned in layers: nothing in a layer is leaned on by anything in it or after it, so that a layer can go at once.
 * What goes along with another (`deletedWith`) is there until that goes: so what it leans on goes after both, where it can.
 * @param resources in topological order, holding all the condemned
 */
export function deletionLayers(resources: ResourceState[], condemned: Set<ResourceState>): ResourceState[][] {
  const ordered = resources.filter((state) => condemned.has(state));
  const byUrn = new Map<string, ResourceState[]>();
  const namesOf = namesIn(resources);
  const leans = new Map<ResourceState, Set<ResourceState>>();
  for (const state of ordered) {
    const on = new Set<ResourceState>();
    for (const urn of dependenciesOf(state, true)) for (const other of byUrn.get(urn) ?? []) on.add(other);
    leans.set(state, on);
    for (const name of namesOf(state)) {
      const same = byUrn.get(name);
      if (same) same.push(state);
      else byUrn.set(name, [state]);
    }
  }
  // From behind, so that what lies in one that itself goes along is thought of too.
  for (const state of ordered.toReversed()) {
    // What is kept (`retainOnDelete`) waits for no carrier: it leaves the state in its own turn.
    const kept = state.retainOnDelete || state.external || !state.custom;
    const along = kept ? undefined : state.deletedWith;
    const carriers = along === undefined ? [] : (byUrn.get(along) ?? []);
    for (const carrier of carriers) {
      for (const other of leans.get(state) ?? []) {
        if (!reaches(other, carrier, leans)) leans.get(carrier)?.add(other);
      }
    }
  }
  // A resource's depth is one more than the deepest of what it leans on: the deepest go first.
  const depths = new Map<ResourceState, number>();
  for (const state of ordered) measure(state, leans, depths);
  const deepest = [...depths.values()].reduce((most, depth) => Math.max(most, depth), -1);
  const layers: ResourceState[][] = Array.from({ length: deepest + 1 }, () => []);
  for (const state of ordered) layers[layers.length - 1 - (depths.get(state) ?? 0)]?.push(state);
  return layers;
}

/** True when `from` is `to`, or leans on it through any number of others. */
function reaches(from: ResourceState, to: ResourceState, leans: Map<ResourceState, Set<ResourceState>>): boolean {
  const seen = new Set([from]);
  for (const state of seen) {
    if (state === to) return true;
    for (const other of leans.get(state) ?? []) seen.add(other);
  }
  return false;
}

/** Notes the depth of a resource and of all that it leans on. Without recursion: a chain may be as long as a program. */
function measure(
  root: ResourceState,
  leans: Map<ResourceState, Set<ResourceState>>,
  depths: Map<ResourceState, number>,
): void {
  const stack = [root];
  for (let state = stack.at(-1); state !== undefined; state = stack.at(-1)) {
    const on = [...(leans.get(state) ?? [])];
    const open = depths.has(state) ? [] : on.filter((other) => !depths.has(other));
    if (open.length > 0) stack.push(...open);
    else {
      stack.pop();
      if (!depths.has(state))
        depths.set(
          state,
          on.reduce((most, other) => Math.max(most, (depths.get(other) ?? 0) + 1), 0),
        );
    }
  }
}
