import type { ResourceState } from "../../resource.ts";
import { Refusal } from "./goal.ts";
import { dependenciesOf } from "./graph.ts";
import { leansOn } from "./order.ts";

/**
 * Why a resource can't be made or changed while others are left out of the run; undefined: nothing is in the way.
 * @param skipped URNs that will not exist
 * @param kept what this run has left as it was in the old state, `olds`: whether it would be a target by now is no matter
 */
export function unreachable(
  state: ResourceState,
  skipped: Set<string>,
  kept: Map<string, ResourceState>,
  olds: Map<string, ResourceState>,
): Refusal | undefined {
  const leans = [...dependenciesOf(state, true)];
  const missing = leans.filter((urn) => skipped.has(urn));
  const turned = leans.filter((urn) => {
    const old = kept.get(urn);
    return old !== undefined && leansOn(old, state.urn, olds);
  });
  if (missing.length + turned.length === 0) return undefined;
  const why = missing.length > 0 ? "does not exist yet" : "still leans on it in the state";
  return new Refusal(
    `${state.urn} leans on ${(missing.length > 0 ? missing : turned).join(", ")}, which ${why} and is left out of this run. ` +
      "Take it in (--target), or leave this resource out too.",
    state.urn,
  );
}

/** An unknown value in a real update: only a resource that is left out may have one. */
export function unknownInUpdate({ urn }: ResourceState): Refusal {
  return new Refusal(
    `${urn} was registered with a value that is not known yet, in a real update. Nothing was done to it.`,
    urn,
  );
}

/** The URNs that the states lean on, directly or through others, each with one of those that do. */
export function neededBy(states: ResourceState[], olds: Map<string, ResourceState>): Map<string, string> {
  const needed = new Map<string, string>();
  const follow = (state: ResourceState): void => {
    for (const urn of dependenciesOf(state, true)) {
      if (needed.has(urn)) continue;
      needed.set(urn, state.urn);
      const old = olds.get(urn);
      if (old !== undefined) follow(old);
    }
  };
  for (const state of states) follow(state);
  return needed;
}

/** What is said of a resource that the program no longer has, and that stays all the same. */
export function stillNeeded({ urn }: ResourceState, bearer: string): string {
  return `${urn} is not deleted: ${bearer} leans on it in the state, and is left out of this run.`;
}
