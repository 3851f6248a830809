import { diskTrouble } from "../diskTrouble.ts";
import { UserError } from "../errors.ts";
import { makeFolder } from "../files.ts";
import { readPassphrase } from "../passphrase.ts";
import { backendUrl, home, root, stateDir } from "../paths.ts";
import type { Operation, Runner, RunOptions, RunResult } from "./engine.ts";

/** The engine of this project, in this process. */
export class EmbeddedRunner implements Runner {
  readonly name = "embedded";
  readonly #stack: string;

  constructor(stack: string) {
    this.#stack = stack;
  }

  async run(operation: Operation, options: RunOptions): Promise<RunResult> {
    const engine = await import("@atelier/engine/operations");
    try {
      const { imports = [], ...rest } = options;
      const all = { ...stateOptions(this.#stack), ...rest };
      return await (operation === "import" ? engine.importResources(all, imports) : engine[operation](all));
    } catch (error) {
      throw asUserError(error);
    }
  }
}

/** The engine says mistakes of settings, state and locks as plain errors; only JavaScript's own kinds are bugs. */
export function asUserError(error: unknown): unknown {
  const bugs = [TypeError, RangeError, ReferenceError, SyntaxError];
  if (!(error instanceof Error) || bugs.some((kind) => error instanceof kind)) return error;
  return diskTrouble(error) ?? new UserError(error.message);
}

/** What the engine needs to find and read a stack's state. */
export function stateOptions(stack: string) {
  makeFolder(stateDir);
  return {
    projectDir: root,
    stack,
    backend: backendUrl,
    passphrase: async () => readPassphrase(),
    cacheDir: process.env.NODE_COMPILE_CACHE,
    env: { ...process.env, ATELIER_HOME: home },
  };
}
