import type { ResourceState } from "../resource.ts";
import { Refusal } from "./plan/goal.ts";
import { deletionLayers } from "./plan/graph.ts";
import { neededBy } from "./plan/reach.ts";
import type { Targeting } from "./plan/targets.ts";
import type { Deletions } from "./steps/deletions.ts";
import type { Executor } from "./steps/executor.ts";
import type { Step } from "./steps/step.ts";

/** What a deletion needs of the deployment. */
export interface RemovalHost {
  readonly preview: boolean;
  readonly resources: ResourceState[];
  /** Those of them that are live, by URN. */
  readonly olds: Map<string, ResourceState>;
  readonly targeting: Targeting;
  readonly deletions: Deletions;
  readonly executor: Executor;
  /** Shows an error that is to fail the deployment. */
  fail(error: Refusal): void;
}

/**
 * Deletes resources, layer by layer: what leans on another goes before it. None goes when one of them is protected or no target.
 * @param forgotten what only leaves the state: an earlier run has deleted it
 * @returns true when all of it is gone
 */
export async function removeAll(
  host: RemovalHost,
  condemned: ResourceState[],
  forgotten: ResourceState[],
): Promise<boolean> {
  const shielded = condemned.filter((one) => one.protect && !one.delete);
  const untargeted = condemned.filter((one) => !one.delete && !host.targeting.mayGoAlong(one.urn));
  for (const state of shielded) host.fail(protectedFromDelete(state));
  for (const state of untargeted) host.fail(untargetedDelete(state));
  const blocked = shielded.length + untargeted.length > 0;
  if (blocked && !host.preview) return false;
  const needed = neededBy(shielded, host.olds);
  const going = new Set(condemned.filter((one) => !shielded.includes(one) && (one.delete || !needed.has(one.urn))));
  for (const state of going) host.deletions.condemn(state);
  // What is gone already leaves the state in its turn: what leans on it must find it there.
  const gone = new Set(forgotten);
  for (const layer of deletionLayers(host.resources, new Set([...condemned, ...forgotten]))) {
    const steps = layer
      .filter((state) => gone.has(state) || going.has(state))
      .map(
        (old): Step => ({
          op: gone.has(old) ? "remove-pending-replace" : removalOf(old),
          urn: old.urn,
          type: old.type,
          old,
        }),
      );
    if (!(await host.executor.runLayer(steps))) return false;
  }
  return !blocked;
}

/** What the program only read is not deleted, and nobody should be told so. */
function removalOf(old: ResourceState): Step["op"] {
  if (old.external) return old.delete ? "discard-replaced" : "discard";
  return old.delete ? "delete-replaced" : "delete";
}

/** The message carries the way out. */
export function protectedFromDelete(state: ResourceState): Refusal {
  return new Refusal(
    `${state.urn} is protected and can't be deleted. To delete it, set the option "protect" of the resource to false in the ` +
      `program, run up, and then delete it; or take its protection out of the state: state unprotect '${state.urn}'`,
    state.urn,
  );
}

function untargetedDelete({ urn }: ResourceState): Refusal {
  return new Refusal(
    `${urn} would have to be deleted too, as it leans on a target, and is not among the targets. Add it to them, or let ` +
      "dependents follow (--target-dependents).",
    urn,
  );
}
