import type { EngineEvent } from "@atelier/engine/events";

export type Operation = "preview" | "up" | "refresh" | "destroy" | "import";

/** Which resources a run is about, and what it does first. */
export interface Scope {
  targets?: string[];
  targetDependents?: boolean;
  excludes?: string[];
  excludeDependents?: boolean;
  /** Of `preview` and `up`: made anew, changed or not. */
  replace?: string[];
  /** Of `preview` and `up`: reads what is there into the state first. */
  refresh?: boolean;
}

/** What `import` takes over. */
export interface Import {
  type: string;
  name: string;
  id: string;
  parent?: string;
  provider?: string;
  protect: boolean;
}

export interface RunOptions extends Scope {
  /** Of `import`. */
  imports?: Import[];
  /** Of `destroy` and `import`: says what would be done, and does nothing. */
  preview?: boolean;
  onEvent: (event: EngineEvent) => void;
  /** Aborted at Ctrl-C: running steps end, the state is saved. */
  signal: AbortSignal;
  /** Aborted at the second: what runs is cut off. */
  killSignal: AbortSignal;
}

export interface RunResult {
  result: "succeeded" | "failed" | "interrupted";
  /** The stack's outputs, in clear, where the engine tells them: of a preview, as they would be (unknown: undefined). */
  outputs?: Record<string, { value: unknown; secret: boolean }>;
}

/** One of the two engines, opened for one stack. Both keep the same state (`state.ts`). */
export interface Runner {
  readonly name: "embedded" | "pulumi";
  run(operation: Operation, options: RunOptions): Promise<RunResult>;
}
