import {
  deleteFromState,
  dropResources,
  exportStack,
  importStack,
  listResources as listStates,
  type PastUpdate,
  protectInState,
  type ResourceState,
  renameStack,
  stackHistory,
  stackOutputs,
  withResources,
} from "@atelier/engine";
import { equalValues } from "@atelier/engine/compare";
import { unwrapMap } from "@atelier/engine/deploy/steps/marking";
import { asUserError, stateOptions } from "./embedded.ts";

// Both engines keep one state, so one reader does for both.

/** A stack's outputs; secrets in clear: mind `secret` before showing one. */
export type Outputs = Record<string, { value: unknown; secret: boolean }>;

/** What the last update left; nothing where there was none. */
export async function readOutputs(stack: string): Promise<Outputs> {
  return stackOutputs(stateOptions(stack), { showSecrets: true }).catch((error) => {
    throw asUserError(error);
  });
}

/** What stands in the state; nothing where there was no update. */
export async function listResources(stack: string): Promise<ResourceState[]> {
  return listStates(stateOptions(stack)).catch((error) => {
    throw asUserError(error);
  });
}

/** What stands in the state, while no update may change it. */
export async function underLock<T>(stack: string, use: (states: ResourceState[]) => Promise<T>): Promise<T> {
  return told(withResources(stateOptions(stack), use));
}

export const isOnHost = ({ type }: Pick<ResourceState, "type">): boolean => type.startsWith("command:remote:");

/** The identity of the stack's workspace, as its step told it; undefined where none was made. */
export function workspaceId(states: ResourceState[]): string | undefined {
  const step = states.find((state) => isOnHost(state) && state.urn.endsWith("::workspace"));
  const facts = /\{.*\}\s*$/.exec(String((step && unwrapMap(step.outputs).stdout) ?? ""))?.[0];
  return facts === undefined ? undefined : (JSON.parse(facts) as { id?: string }).id;
}

/** What a Docker engine has of a container that is the host: it is gone with it. */
export const isOfContainer = ({ urn }: Pick<ResourceState, "urn">): boolean =>
  urn.includes("::atelier:docker:DockerBox$docker:");

/** What Dify's containers have on their Docker engine. */
export const isOfDifyEngine = ({ urn }: Pick<ResourceState, "urn">): boolean =>
  urn.includes("::atelier:dify:Dify$docker:");

/** What this stack has made inside of a Dify, and its proof. */
export const isInDify = ({ urn }: Pick<ResourceState, "urn">): boolean =>
  urn.includes("::atelier:dify:Dify$command:local:");

/** Takes the host's resources out of the state without dialling it, and those that `also` names. Gives how many. */
export const forgetHost = (stack: string, also: (state: ResourceState) => boolean = () => false): Promise<number> =>
  forget(stack, (state) => isOnHost(state) || also(state));

/** Takes resources out of the state, with what leans on them, and removes nothing. Gives how many. */
export async function forget(stack: string, which: (state: ResourceState) => boolean): Promise<number> {
  return (await told(dropResources(stateOptions(stack), which))).length;
}

/**
 * Takes today's address and login into the state: what is deleted dials what the state says, not the settings.
 * Runs the program without any provider.
 */
export async function adoptConnection(stack: string, signal: AbortSignal): Promise<void> {
  const { adoptInputs } = await import("@atelier/engine");
  await adoptInputs(
    { ...stateOptions(stack), signal },
    { types: ["command:remote:*"], properties: ["connection"], orphans: true },
  ).catch((error) => {
    throw asUserError(error);
  });
}

/**
 * Gives steps that an update could not remove the address and login that all others on the host have by now: theirs are those that
 * they were made with. Gives of how many they were others.
 */
export async function moveConnection(stack: string, urns: string[]): Promise<number> {
  const steps = (await listResources(stack)).filter(isOnHost);
  const [first, ...others] = steps.filter(({ urn }) => !urns.includes(urn));
  const same = (state: ResourceState) =>
    equalValues(state.inputs.connection ?? null, first?.inputs.connection ?? null, { ignoreSecretness: true });
  const moved = steps.filter((state) => urns.includes(state.urn) && !same(state)).map(({ urn }) => urn);
  if (!first || !others.every(same) || moved.length === 0) return 0;
  const state = await exportState(stack, false);
  const { resources = [] } = (state.deployment ?? {}) as {
    resources?: { urn: string; inputs: Record<string, unknown>; outputs: Record<string, unknown> }[];
  };
  const good = resources.find(({ urn }) => urn === first.urn);
  for (const { urn, inputs, outputs } of resources) {
    if (!good || !moved.includes(urn)) continue;
    inputs.connection = good.inputs.connection;
    outputs.connection = good.outputs.connection;
  }
  await importState(stack, JSON.stringify(state), false);
  return moved.length;
}

/** The state in the form of `pulumi stack export`. */
export async function exportState(stack: string, showSecrets: boolean): Promise<Record<string, unknown>> {
  return told(exportStack(stateOptions(stack), { showSecrets }));
}

/** Makes an exported state the stack's own. */
export async function importState(
  stack: string,
  text: string,
  force: boolean,
): Promise<{ resources: number; warnings: string[] }> {
  return told(importStack(stateOptions(stack), text, { force }));
}

/** State, history and settings under another name. */
export async function renameState(stack: string, to: string): Promise<{ settings: string | undefined }> {
  return told(renameStack(stateOptions(stack), to));
}

/** The updates so far, the latest first. */
export async function pastUpdates(stack: string): Promise<PastUpdate[]> {
  return told(stackHistory(stateOptions(stack)));
}

/** Takes resources out of the state; without URNs, all. Gives what left it. */
export async function deleteStates(
  stack: string,
  urns: string[] | undefined,
  rules: { force: boolean; targetDependents: boolean },
): Promise<string[]> {
  return told(deleteFromState(stateOptions(stack), urns, rules));
}

/** Protects resources in the state, or no longer; without URNs, all. Gives those that changed. */
export async function protectStates(stack: string, urns: string[] | undefined, protect: boolean): Promise<string[]> {
  return told(protectInState(stateOptions(stack), urns, protect));
}

async function told<T>(work: Promise<T>): Promise<T> {
  return work.catch((error) => {
    throw asUserError(error);
  });
}
