export { type Adoption, type AdoptOptions, adoptInputs } from "./deploy/adopt.ts";
export type { Import } from "./deploy/import.ts";
export type { DiagnosticEvent, EngineEvent, OpType } from "./events.ts";
export { destroy, importResources, preview, refresh, up } from "./operations.ts";
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
export { dropResources, listResources, type StateOptions, stackOutputs, withResources } from "./stateCommands.ts";
