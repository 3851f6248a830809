import { equalValues } from "../compare.ts";
import { InitFailed } from "../provider.ts";
import type { ResourceState } from "../resource.ts";
import type { PropertyMap } from "../values.ts";
import type { Deployment } from "./deployment.ts";
import { isProviderType } from "./plan/references.ts";
import { markLike, markOutputs } from "./steps/marking.ts";
import type { ProviderCalls } from "./steps/providerCalls.ts";
import type { Step } from "./steps/step.ts";

/**
 * Asks every resource's provider what is there, and makes the state say so. What is gone leaves the state.
 * @param show `outcome`: each read is shown as what it comes to: gone, changed, or as it was
 * @returns false when a read failed; the state then holds what the others found
 */
export async function refreshAll(deployment: Deployment, show: { outcome: boolean }): Promise<boolean> {
  const wanted = deployment.targeting.refreshed(deployment.resources);
  const found = new Map<ResourceState, ResourceState | undefined>();
  const results = await Promise.all(
    deployment.resources
      .filter((state) => wanted.has(state) && isRefreshed(state))
      .map(async (old) => {
        const step: Step = { op: "refresh", urn: old.urn, type: old.type, old, new: old };
        return deployment.refreshing(step, async () => {
          const now = await readAgain(deployment, old);
          found.set(old, now);
          step.new = now;
          if (show.outcome) step.op = now === undefined ? "delete" : now === old ? "same" : "update";
        });
      }),
  );
  const changed = [...found].some(([old, now]) => now !== old);
  if (changed) {
    deployment.rebase(rebuild(deployment.resources, found));
    await deployment.snapshot.save();
  }
  const dropped = deployment.snapshot.dropKeptOperations((resource) => deployment.targeting.includes(resource));
  for (const { resource } of dropped) {
    deployment.tell(
      "warning",
      `An earlier run was cut off while it created ${resource.urn}. The state now forgets that; if something was made, it is yours to remove.`,
      resource.urn,
    );
  }
  return results.every((done) => done);
}

function isRefreshed(state: ResourceState): boolean {
  return state.custom && !isProviderType(state.type) && !state.pendingReplacement;
}

async function readAgain(deployment: Deployment, old: ResourceState): Promise<ResourceState | undefined> {
  const provider = await deployment.provider(old.provider ?? "");
  const { now, initErrors } = await readWell(deployment, provider, old);
  if (now === undefined || now.id === "") return undefined;
  // Inputs of a resource that is only read are the program's words, not the provider's.
  // What is a secret stays one, also where the provider does not say so, and where an update was cut off that made it one.
  const begun = deployment.interrupted.filter(({ resource }) => resource.urn === old.urn);
  const marked = (map: PropertyMap, was: PropertyMap): PropertyMap =>
    begun.reduce((all, { resource }) => markLike(all, resource.inputs), markLike(map, was));
  const state: ResourceState = {
    ...old,
    id: now.id,
    inputs: old.external ? old.inputs : marked(now.inputs, old.inputs),
    outputs: marked(markOutputs(now.outputs, old.inputs, old.additionalSecretOutputs ?? []), old.outputs),
    initErrors,
  };
  const same =
    state.id === old.id &&
    (old.initErrors ?? []).join("\n") === (initErrors ?? []).join("\n") &&
    equalValues(state.inputs, old.inputs) &&
    equalValues(state.outputs, old.outputs);
  return same ? old : { ...state, modified: new Date().toISOString() };
}

/** What is there; with the reasons if it is not well, which is no failure of the refresh: the next update tries to mend it. */
async function readWell(
  deployment: Deployment,
  provider: ProviderCalls,
  { urn, id, inputs, outputs, customTimeouts }: ResourceState,
): Promise<{ now: Awaited<ReturnType<ProviderCalls["read"]>>; initErrors: string[] | undefined }> {
  try {
    const now = await provider.read({ ...deployment.context(urn, customTimeouts?.read), id, inputs, outputs });
    return { now, initErrors: undefined };
  } catch (error) {
    if (!(error instanceof InitFailed)) throw error;
    deployment.tell("warning", `It is there, but not well: ${error.reasons.join("; ")}`, urn);
    return { now: { id: error.id, inputs, outputs: error.outputs }, initErrors: error.reasons };
  }
}

/** The state without what is gone: nobody depends on it any more, and its children belong to their grandparent. */
function rebuild(resources: ResourceState[], found: Map<ResourceState, ResourceState | undefined>): ResourceState[] {
  const kept: ResourceState[] = [];
  const urns = new Set<string>();
  const parents = new Map<string, string | undefined>();
  for (const old of resources) {
    const state = found.has(old) ? found.get(old) : old;
    if (state === undefined) {
      if (!urns.has(old.urn)) parents.set(old.urn, resolveParent(old.parent, urns, parents));
      continue;
    }
    urns.add(state.urn);
    kept.push(strip(state, urns, parents));
  }
  return kept;
}

function resolveParent(
  parent: string | undefined,
  urns: Set<string>,
  parents: Map<string, string | undefined>,
): string | undefined {
  let at = parent;
  while (at !== undefined && !urns.has(at)) at = parents.get(at);
  return at;
}

function strip(state: ResourceState, urns: Set<string>, parents: Map<string, string | undefined>): ResourceState {
  const stays = (urn: string): boolean => urns.has(urn);
  const dangling =
    !state.dependencies.every(stays) ||
    !Object.values(state.propertyDependencies).every((list) => list.every(stays)) ||
    (state.deletedWith !== undefined && !stays(state.deletedWith)) ||
    (state.parent !== undefined && !stays(state.parent));
  if (!dangling) return state;
  return {
    ...state,
    parent: resolveParent(state.parent, urns, parents),
    dependencies: state.dependencies.filter(stays),
    propertyDependencies: Object.fromEntries(
      Object.entries(state.propertyDependencies).map(([key, list]) => [key, list.filter(stays)]),
    ),
    deletedWith: state.deletedWith !== undefined && stays(state.deletedWith) ? state.deletedWith : undefined,
  };
}
