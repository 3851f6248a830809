import { stateOptions } from "./embedded.ts";

/** A stack's outputs; secrets in clear: mind `secret` before showing one. */
export type Outputs = Record<string, { value: unknown; secret: boolean }>;

export interface StateResource {
  urn: string;
  type: string;
  id: string;
}

interface StateCalls {
  stackOutputs(options: object): Promise<Outputs>;
  listResources(options: object): Promise<StateResource[]>;
  dropResources(options: object, matches: (resource: StateResource) => boolean): Promise<number>;
}

// Both engines keep one state, so one reader does for both.
const calls = async (): Promise<StateCalls> => (await import("@atelier/engine")) as unknown as StateCalls;

/** What the last update left; nothing where there was none. */
export async function readOutputs(stack: string): Promise<Outputs> {
  return (await calls()).stackOutputs(stateOptions(stack));
}

/** What stands in the state; nothing where there was no update. */
export async function listResources(stack: string): Promise<StateResource[]> {
  return (await calls()).listResources(stateOptions(stack));
}

/** Takes the host's resources out of the state without dialling it. Gives how many. */
export async function forgetHost(stack: string): Promise<number> {
  return (await calls()).dropResources(stateOptions(stack), ({ type }) => type.startsWith("command:remote:"));
}
