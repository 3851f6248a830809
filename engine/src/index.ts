import type { Import } from "./deploy/import.ts";
import { run } from "./deploy/run.ts";
import type { EngineOptions, UpdateResult } from "./options.ts";

export { type Adoption, type AdoptOptions, adoptInputs } from "./deploy/adopt.ts";
export type { Import } from "./deploy/import.ts";
export type { DiagnosticEvent, EngineEvent, OpType } from "./events.ts";
export type { EngineOptions, UpdateResult } from "./options.ts";
export type { Provider, ProviderFactory } from "./provider.ts";
export type { ResourceState } from "./resource.ts";
export {
  deleteFromState,
  exportStack,
  importStack,
  type PastUpdate,
  protectInState,
  renameStack,
  stackHistory,
} from "./stackCommands.ts";
export { dropResources, listResources, type StateOptions, stackOutputs } from "./stateCommands.ts";

/** Says what `up` would do, and does nothing. */
export function preview(options: EngineOptions): Promise<UpdateResult> {
  return run("preview", options);
}

/** Makes what the program describes. */
export function up(options: EngineOptions): Promise<UpdateResult> {
  return run("up", options);
}

/** Makes the state say what is really there. */
export function refresh(options: EngineOptions): Promise<UpdateResult> {
  return run("refresh", options);
}

/** Reads what is there already into the state, without the program. */
export function importResources(options: EngineOptions, imports: Import[]): Promise<UpdateResult> {
  return run("import", options, imports);
}

/** Deletes all of the stack's resources, without running the program. */
export function destroy(options: EngineOptions): Promise<UpdateResult> {
  return run("destroy", options);
}
