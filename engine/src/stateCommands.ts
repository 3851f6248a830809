import { outputsOf } from "./deploy/outputs.ts";
import { Stack } from "./deploy/stack.ts";
import type { EngineOptions, UpdateResult } from "./options.ts";
import type { ResourceState } from "./resource.ts";
import { removeResources } from "./stateEdit.ts";

/** What it takes to find and read a stack's state. */
export type StateOptions = Pick<EngineOptions, "projectDir" | "stack" | "backend" | "passphrase" | "onEvent">;

/**
 * The outputs that the stack had after its last update.
 * @param show `showSecrets`: secret values in clear; without it they are the word "[secret]"
 */
export async function stackOutputs(
  options: StateOptions,
  show: { showSecrets?: boolean } = {},
): Promise<UpdateResult["outputs"]> {
  return withStack(options, false, async (stack) => {
    const outputs = outputsOf(await stack.load());
    if (!show.showSecrets) for (const output of Object.values(outputs)) if (output.secret) output.value = "[secret]";
    return outputs;
  });
}

/** Every resource of the state, in topological order, secrets marked and not masked. */
export async function listResources(options: StateOptions): Promise<ResourceState[]> {
  return withStack(options, false, async (stack) => (await stack.load()).resources);
}

/** Uses every resource of the state while nobody else may change it. @throws StackLocked */
export async function withResources<T>(
  options: StateOptions,
  use: (resources: ResourceState[]) => Promise<T>,
): Promise<T> {
  return withStack(options, true, async (stack) => use((await stack.load()).resources));
}

/**
 * Takes resources out of the state without touching what they stand for, and with them all that leans on them.
 * @returns their URNs
 */
export async function dropResources(
  options: StateOptions,
  predicate: (state: ResourceState) => boolean,
): Promise<string[]> {
  return withStack(options, true, async (stack) => {
    const started = Date.now();
    const { snapshot, removed } = removeResources(await stack.load(), predicate);
    if (removed.length === 0) return [];
    await stack.save(snapshot);
    const changes = { discard: removed.length };
    await stack.record({
      kind: "update",
      result: "succeeded",
      changes,
      started,
      message: "resources dropped from the state",
    });
    return removed.map((state) => state.urn);
  });
}

export async function withStack<T>(
  options: StateOptions,
  lock: boolean,
  use: (stack: Stack) => Promise<T>,
): Promise<T> {
  const tell = (message: string): void =>
    options.onEvent?.({
      sequence: 0,
      timestamp: Math.floor(Date.now() / 1000),
      diagnosticEvent: { message, severity: "warning" },
    });
  const stack = await Stack.open(options, { lock, tell });
  try {
    return await use(stack);
  } finally {
    await stack.close();
  }
}
