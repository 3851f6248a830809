/**
 * The engine's one stream to the outside: the shape of Pulumi's EngineEvent (sdk/go/common/apitype/events.go), secrets masked.
 * An event is complete: a display needs nothing else.
 */
export interface EngineEvent {
  sequence: number;
  /** Seconds since the epoch. */
  timestamp: number;
  preludeEvent?: { config: Record<string, string> };
  diagnosticEvent?: DiagnosticEvent;
  resourcePreEvent?: { metadata: StepMetadata; planning: boolean };
  resOutputsEvent?: { metadata: StepMetadata; planning: boolean };
  resOpFailedEvent?: { metadata: StepMetadata; status: number; steps: number };
  summaryEvent?: {
    maybeCorrupt: boolean;
    durationSeconds: number;
    resourceChanges: Partial<Record<OpType, number>>;
    /** Addition to Pulumi's shape: why a run ended as it did. */
    result: "succeeded" | "failed" | "interrupted";
  };
  cancelEvent?: Record<string, never>;
}

export interface DiagnosticEvent {
  urn?: string;
  message: string;
  severity: "debug" | "info" | "info#err" | "warning" | "error";
  /** Progress lines of a running step: a display may overwrite them. */
  ephemeral?: boolean;
  streamID?: number;
}

export type OpType =
  | "same"
  | "create"
  | "update"
  | "delete"
  | "replace"
  | "create-replacement"
  | "delete-replaced"
  | "read"
  | "read-replacement"
  | "refresh"
  | "discard"
  | "discard-replaced"
  | "remove-pending-replace"
  | "import"
  | "import-replacement";

export interface StepMetadata {
  op: OpType;
  urn: string;
  type: string;
  old: StepEventState | null;
  new: StepEventState | null;
  keys?: string[];
  diffs?: string[];
  detailedDiff?: Record<string, { diffKind: string; inputDiff: boolean }>;
  logical: boolean;
  provider: string;
}

/** Inputs and outputs as JSON, every secret the word "[secret]". */
export interface StepEventState {
  urn: string;
  type: string;
  id: string;
  parent: string;
  provider: string;
  protect?: boolean;
  inputs: Record<string, unknown>;
  outputs: Record<string, unknown>;
}
