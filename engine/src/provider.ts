import type { PropertyMap } from "./values.ts";

/** What a provider can do for one package, in this process or behind a gRPC connection. */
export interface Provider {
  /** False: the engine answers previews of create and update with the inputs alone. */
  readonly supportsPreview: boolean;
  /** False: it gets plain values, and the engine marks its outputs where an input of the same name was secret. */
  readonly acceptsSecrets: boolean;
  check(request: CheckRequest): Promise<CheckResult>;
  diff(request: DiffRequest): Promise<DiffResult>;
  /**
   * Told of a create that follows as soon as its intention is saved: time to get ready what nobody would miss, such as a login. Never
   * throws; what goes wrong is told by the create.
   */
  expect?(request: Pick<CreateRequest, "type" | "inputs">): void;
  create(request: CreateRequest): Promise<CreateResult>;
  update(request: UpdateRequest): Promise<{ outputs: PropertyMap }>;
  delete(request: DeleteRequest): Promise<void>;
  /** Undefined answer: the resource is gone. A provider without Read answers what it got. */
  read(request: ReadRequest): Promise<{ id: string; inputs: PropertyMap; outputs: PropertyMap } | undefined>;
  invoke?(token: string, args: PropertyMap): Promise<{ result: PropertyMap; failures: CheckFailure[] }>;
  /** Ends connections and child processes. Called once, also after failures. */
  close(): Promise<void>;
}

/** What every call knows. `log` shows a line under the resource while it runs. */
export interface CallContext {
  urn: string;
  type: string;
  name: string;
  /** Aborted on the second Ctrl-C, or when the resource's own time is over. */
  signal: AbortSignal;
  log: (line: {
    stream: "stdout" | "stderr" | "info" | "warning" | "error";
    text: string;
    ephemeral?: boolean;
  }) => void;
}

export interface CheckRequest extends CallContext {
  /** Undefined when creating, recreating or replacing. */
  olds: PropertyMap | undefined;
  news: PropertyMap;
  /** 32 random bytes for autonames. */
  randomSeed: Uint8Array;
}
export interface CheckFailure {
  property: string;
  reason: string;
}
export interface CheckResult {
  inputs: PropertyMap;
  failures: CheckFailure[];
}

export interface DiffRequest extends CallContext {
  id: string;
  oldInputs: PropertyMap;
  oldOutputs: PropertyMap;
  news: PropertyMap;
  ignoreChanges: string[];
}
export interface DiffResult {
  /** "unknown": the engine compares inputs itself. */
  changes: "none" | "some" | "unknown";
  /** Property paths (`a.b[0]`) that force a replacement. */
  replaceKeys: string[];
  /** Property paths that differ, for the display. */
  changedKeys: string[];
  deleteBeforeReplace: boolean;
}

export interface CreateRequest extends CallContext {
  inputs: PropertyMap;
  preview: boolean;
  /** Seconds; 0: the provider's own default. */
  timeout: number;
}
export interface CreateResult {
  /** "" in a preview. */
  id: string;
  outputs: PropertyMap;
}
export interface UpdateRequest extends CallContext {
  id: string;
  oldInputs: PropertyMap;
  oldOutputs: PropertyMap;
  news: PropertyMap;
  ignoreChanges: string[];
  preview: boolean;
  timeout: number;
}
export interface DeleteRequest extends CallContext {
  id: string;
  inputs: PropertyMap;
  outputs: PropertyMap;
  timeout: number;
}
export interface ReadRequest extends CallContext {
  id: string;
  inputs: PropertyMap;
  outputs: PropertyMap;
}

/** A create or update that made the resource but left it unfinished: saved with its reasons, the step fails. */
export class InitFailed extends Error {
  readonly id: string;
  readonly outputs: PropertyMap;
  readonly reasons: string[];
  constructor(id: string, outputs: PropertyMap, reasons: string[]) {
    super(reasons.join("; "));
    this.name = "InitFailed";
    this.id = id;
    this.outputs = outputs;
    this.reasons = reasons;
  }
}

/** A call that was given up when the resource's own time was over, while the provider goes on unheard: what it did is not known. */
export class GivenUp extends Error {}

/** Makes the provider of one package for one provider resource (its inputs, its version). */
export type ProviderFactory = (options: {
  version: string;
  config: PropertyMap;
  /** The folder of the program: relative paths of assets and the local commands' working folder. */
  programDir: string;
}) => Provider | Promise<Provider>;
