import type { ResourceState } from "../../resource.ts";
import { dependenciesOf } from "./graph.ts";

/**
 * The resources so that each comes after all that it leans on, and otherwise in the order that they have.
 * Needed where a run leaves resources alone: what it has done may lean on what it has not met.
 */
export function inOrder(resources: ResourceState[]): ResourceState[] {
  const byUrn = new Map<string, ResourceState[]>();
  for (const state of resources) {
    const same = byUrn.get(state.urn);
    if (same) same.push(state);
    else byUrn.set(state.urn, [state]);
  }
  const ordered = new Set<ResourceState>();
  const visiting = new Set<ResourceState>();
  const visit = (state: ResourceState): void => {
    if (ordered.has(state) || visiting.has(state)) return;
    visiting.add(state);
    for (const urn of dependenciesOf(state, true)) {
      if (urn !== state.urn) for (const other of byUrn.get(urn) ?? []) visit(other);
    }
    ordered.add(state);
  };
  for (const state of resources) visit(state);
  return [...ordered];
}

/** True when the resource leans on the URN, directly or through others. */
export function leansOn(state: ResourceState, urn: string, olds: Map<string, ResourceState>): boolean {
  const seen = new Set<string>();
  const search = (at: ResourceState): boolean =>
    [...dependenciesOf(at, true)].some((next) => {
      if (next === urn) return true;
      if (seen.has(next)) return false;
      seen.add(next);
      const found = olds.get(next);
      return found !== undefined && search(found);
    });
  return search(state);
}
