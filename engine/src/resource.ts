import type { PropertyMap } from "./values.ts";

/** One resource of the state, as the checkpoint holds it (engine.md 4.7), values decoded. */
export interface ResourceState {
  urn: string;
  type: string;
  custom: boolean;
  /** "" for components. */
  id: string;
  inputs: PropertyMap;
  outputs: PropertyMap;
  parent?: string;
  /** `<provider urn>::<id>`; custom resources only. */
  provider?: string;
  dependencies: string[];
  propertyDependencies: Record<string, string[]>;
  /** Condemned by a create-before-delete replacement. */
  delete?: boolean;
  protect?: boolean;
  external?: boolean;
  retainOnDelete?: boolean;
  /** Deleted by a delete-before-replace whose create has not happened yet. */
  pendingReplacement?: boolean;
  deletedWith?: string;
  initErrors?: string[];
  additionalSecretOutputs?: string[];
  aliases?: string[];
  ignoreChanges?: string[];
  /** Paths whose differences are not to be shown. */
  hideDiff?: string[];
  replaceOnChanges?: string[];
  /** Seconds. */
  customTimeouts?: { create?: number; update?: number; delete?: number; read?: number };
  importID?: string;
  created?: string;
  modified?: string;
  sourcePosition?: string;
  /** Fields that a newer engine wrote and this one does not know: carried through unchanged. */
  unknownFields?: Record<string, unknown>;
}

export type PendingOperationType = "creating" | "updating" | "deleting" | "reading" | "importing";

export interface PendingOperation {
  type: PendingOperationType;
  resource: ResourceState;
}

/** A stack's state in memory; `resources` is in topological order. */
export interface Snapshot {
  manifest: { time: string; magic: string; version: string };
  resources: ResourceState[];
  pendingOperations: PendingOperation[];
  /** `latest.metadata` and whatever else of `latest` and `checkpoint` this engine does not know. */
  metadata: Record<string, unknown>;
  unknownFields: Record<string, unknown>;
}
