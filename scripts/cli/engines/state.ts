import { dropResources, listResources as listStates, type ResourceState, stackOutputs } from "@atelier/engine";
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

export const isOnHost = ({ type }: Pick<ResourceState, "type">): boolean => type.startsWith("command:remote:");

/** Takes the host's resources out of the state without dialling it. Gives how many. */
export async function forgetHost(stack: string): Promise<number> {
  const dropped = await dropResources(stateOptions(stack), isOnHost).catch((error) => {
    throw asUserError(error);
  });
  return dropped.length;
}

/**
 * Takes today's address and login into the state: what is deleted dials what the state says, not the settings.
 * Runs the program without any provider.
 */
export async function adoptConnection(stack: string, signal: AbortSignal): Promise<void> {
  const { adoptInputs } = await import("@atelier/engine");
  await adoptInputs(
    { ...stateOptions(stack), signal },
    { types: ["command:remote:*"], properties: ["connection"] },
  ).catch((error) => {
    throw asUserError(error);
  });
}
