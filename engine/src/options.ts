import type { TargetOptions } from "./deploy/plan/targets.ts";
import type { DiagnosticEvent, EngineEvent, OpType } from "./events.ts";
import type { ProviderFactory } from "./provider.ts";

export interface EngineOptions extends TargetOptions {
  /** The folder of Pulumi.yaml, absolute. */
  projectDir: string;
  /** The stack's short name. */
  stack: string;
  /** `file://<folder>`: the folder that holds `.pulumi/`. */
  backend: string;
  /** Asked once, when the stack has secrets or is to get some. */
  passphrase: () => Promise<string>;
  /** Settings of this run alone, over those of the stack's file: keys `project:name` (or `name`), plain text. A key that is secret in the file stays so. */
  config?: Record<string, string>;
  /** The same for values that are secret. */
  secretConfig?: Record<string, string>;
  /** Steps at once: most wait for another machine. @default 64 */
  parallel?: number;
  /** Added to the environment of the program and of dynamic resources. @default this process's environment alone */
  env?: Record<string, string | undefined>;
  /** First word to stop: nothing more begins, what runs comes to its end, the state is saved and unlocked; result "interrupted". */
  signal?: AbortSignal;
  /** Last word: running calls are cut off. What they did is not known, and stands in the state as pending. */
  killSignal?: AbortSignal;
  /** Every event, in order; secrets are masked. @default none */
  onEvent?: (event: EngineEvent) => void;
  /** Providers by package, over the built-in ones. */
  providers?: Record<string, ProviderFactory>;
  /** `preview`, `up` and `destroy`: makes the state say what is really there first. @default what Pulumi.yaml says by `options.refresh` */
  refresh?: boolean;
  /** `refresh` and `destroy` only: says what would be done, and does nothing. @default false */
  preview?: boolean;
  /** A word about the run for the history. @default "" */
  message?: string;
  /** Folder for node's compile cache. @default `node-compile-cache` in the system's folder for temporary files */
  cacheDir?: string;
  /** Whether debug messages, the SDK's own above all, become events: some five calls a resource. @default false */
  debug?: boolean;
  /** Arguments for the program's node. @default those of Pulumi.yaml's runtime.options.nodeargs */
  nodeArgs?: string[];
}

export interface UpdateResult {
  result: "succeeded" | "failed" | "interrupted";
  /** How many resources each kind of step was done to. */
  changes: Partial<Record<OpType, number>>;
  /** The stack's outputs, secrets in clear: mind `secret` before showing one. A value that is not known yet is undefined. */
  outputs: Record<string, { value: unknown; secret: boolean }>;
  seconds: number;
  /** Warnings and errors, secrets masked. */
  diagnostics: DiagnosticEvent[];
}
