/**
 * The engine's one stream to the outside: the shape of Pulumi's EngineEvent (sdk/go/common/apitype/events.go), secrets masked.
 * An event is complete: a display needs nothing else. A run begins with its preludeEvent and ends with summaryEvent and cancelEvent;
 * a cancelEvent before the summary is an interruption.
 */
export interface EngineEvent {
  sequence: number;
  /** Seconds since the epoch. */
  timestamp: number;
  preludeEvent?: { config: Record<string, string> };
  diagnosticEvent?: DiagnosticEvent;
  resourcePreEvent?: { metadata: StepMetadata; planning?: boolean };
  resOutputsEvent?: { metadata: StepMetadata; planning?: boolean };
  resOpFailedEvent?: { metadata: StepMetadata; status: number; steps: number };
  summaryEvent?: {
    maybeCorrupt: boolean;
    durationSeconds: number;
    resourceChanges: Partial<Record<OpType, number>>;
    /** Always empty here: there are no policies. */
    PolicyPacks: Record<string, string>;
    isPreview: boolean;
    result: "succeeded" | "failed" | "canceled";
  };
  cancelEvent?: Record<string, never>;
}

export interface DiagnosticEvent {
  urn?: string;
  /** `error: ` and the like: what a display may write before the message. */
  prefix?: string;
  message: string;
  /** Always "never": messages hold no colours. */
  color?: string;
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
  /** Null: the provider told no details. */
  detailedDiff: Record<string, { diffKind: string; inputDiff: boolean }> | null;
  logical?: boolean;
  provider: string;
}

/** Inputs and outputs as JSON, every secret the word "[secret]", of a very long text its beginning. */
export interface StepEventState {
  urn: string;
  type: string;
  custom?: boolean;
  delete?: boolean;
  id: string;
  parent: string;
  provider: string;
  protect?: boolean;
  external?: boolean;
  retainOnDelete?: boolean;
  initErrors?: string[];
  /** Paths whose differences are not to be shown. */
  hideDiffs?: string[];
  inputs: Record<string, unknown>;
  outputs: Record<string, unknown>;
}
