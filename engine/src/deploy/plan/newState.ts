import type { ResourceState } from "../../resource.ts";
import type { ReadGoal } from "../monitor/requests.ts";
import type { Goal } from "./goal.ts";

/**
 * The state that a registration asks for; what its provider makes of it comes later.
 * @param aliases the former URNs that the state still has to tell of
 */
export function newState(urn: string, goal: Goal, old: ResourceState | undefined, aliases: string[]): ResourceState {
  return {
    urn,
    type: goal.type,
    custom: goal.custom,
    id: "",
    inputs: goal.inputs,
    outputs: {},
    parent: goal.parent,
    provider: goal.provider || undefined,
    dependencies: goal.dependencies,
    propertyDependencies: goal.propertyDependencies,
    protect: goal.protect,
    retainOnDelete: goal.retainOnDelete,
    deletedWith: goal.deletedWith,
    additionalSecretOutputs: goal.additionalSecretOutputs,
    aliases: aliases.length === 0 ? undefined : aliases,
    ignoreChanges: goal.ignoreChanges,
    hideDiff: goal.hideDiff,
    replaceOnChanges: goal.replaceOnChanges,
    ...(goal.customTimeouts && { customTimeouts: goal.customTimeouts }),
    ...(goal.importId !== "" && { importID: goal.importId }),
    sourcePosition: goal.sourcePosition,
    created: old?.created,
    modified: old?.modified,
  };
}

/** The state of a resource that the program only reads. */
export function readState(urn: string, goal: ReadGoal): ResourceState {
  return {
    urn,
    type: goal.type,
    custom: true,
    id: goal.id,
    inputs: goal.inputs,
    outputs: {},
    parent: goal.parent,
    provider: goal.provider,
    dependencies: goal.dependencies,
    propertyDependencies: {},
    external: true,
    additionalSecretOutputs: goal.additionalSecretOutputs,
    sourcePosition: goal.sourcePosition,
  };
}

/** True when what is there already is to be taken over: nothing is known of it, or it is known under another id. */
export function isImport(goal: Goal, old: ResourceState | undefined): boolean {
  if (!goal.custom || goal.importId === "") return false;
  return old === undefined || old.external === true || (old.importID || old.id) !== goal.importId;
}
