import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import type { EngineOptions } from "../../options.ts";
import type { Project } from "../../project.ts";
import { childEnvironment, NodeChild } from "./childProcess.ts";
import { type ProgramLocation, sdkScript } from "./location.ts";

/**
 * The process of a program. Made as soon as there is an operation: node and the SDK take longer to load than the project, the
 * state and the engine itself, so all of it goes on side by side. The program's own code runs when it is told to.
 */
export class ProgramProcess {
  readonly #given: Record<string, string>;
  readonly #env: Record<string, string>;
  readonly #nodeArgs: string[] | undefined;
  #script: string | undefined;
  #dir: string | undefined;
  #child: NodeChild | undefined;
  #loaded = false;
  #typescript: Record<string, string> = {};

  constructor({ projectDir, env, cacheDir, debug, nodeArgs }: ProcessOptions) {
    this.#given = { ...(debug && { ENGINE_DEBUG: "1" }), ...definedOnly(env) };
    this.#env = childEnvironment(this.#given, cacheDirOr(cacheDir));
    this.#nodeArgs = nodeArgs;
    // Arguments of node may name files in the program's folder, which Pulumi.yaml names.
    if (nodeArgs !== undefined) return;
    try {
      this.#start(sdkScript(projectDir, "cmd/run"), projectDir);
    } catch {
      // No SDK is found from here; perhaps from the program's folder.
    }
  }

  /**
   * Loads the SDK that the program uses, unless it is the one that is being loaded. Again does nothing.
   * @throws when there is none, or Pulumi.yaml's options for the runtime are wrong
   */
  load(project: Project, { dir }: ProgramLocation): void {
    if (this.#loaded) return;
    this.#typescript = typescriptOf(project);
    const script = sdkScript(dir, "cmd/run");
    const nodeArgs = this.#nodeArgs ?? nodeArgsOf(project);
    this.#loaded = true;
    const elsewhere = dir !== this.#dir && this.#env.NODE_OPTIONS !== undefined;
    if (script === this.#script && nodeArgs.length === 0 && !elsewhere) return;
    void this.#child?.stop();
    this.#start(script, dir, nodeArgs);
  }

  /** The node process. @throws when nothing was loaded */
  get child(): NodeChild {
    if (this.#child === undefined) throw new Error("no program was loaded");
    return this.#child;
  }

  /** What the program finds in its environment beyond what the process was started with. */
  get env(): Record<string, string> {
    // What the caller gave goes before what Pulumi.yaml says.
    return Object.fromEntries(Object.entries(this.#typescript).filter(([name]) => !(name in this.#given)));
  }

  /** Ends it. @param graceMs how long it may take to end by itself */
  async stop(graceMs?: number): Promise<void> {
    await this.#child?.stop(graceMs);
  }

  #start(script: string, dir: string, nodeArgs?: string[]): void {
    this.#script = script;
    this.#dir = dir;
    this.#child = new NodeChild({ script, env: this.#env, cwd: dir, nodeArgs });
  }
}

type ProcessOptions = Pick<EngineOptions, "projectDir" | "env" | "cacheDir" | "debug" | "nodeArgs">;

/** Where node keeps compiled code for the engine's child processes. */
export function cacheDirOr(cacheDir: string | undefined): string {
  return cacheDir ?? join(tmpdir(), `node-compile-cache-${userInfo().username}`);
}

export function definedOnly(env: EngineOptions["env"]): Record<string, string> | undefined {
  if (env === undefined) return undefined;
  return Object.fromEntries(Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined));
}

/** Unless Pulumi.yaml says no, the SDK's runner compiles TypeScript itself, by ts-node; with `typescript: false` it is Node's to read. */
function typescriptOf({ dir, runtime }: Project): Record<string, string> {
  const { typescript = true, tsconfig } = runtime.options;
  if (typeof typescript !== "boolean" || (tsconfig !== undefined && typeof tsconfig !== "string")) {
    throw new Error(
      `${dir}/Pulumi.yaml: of the runtime's options, "typescript" must be true or false, and "tsconfig" the path of a file.`,
    );
  }
  return {
    ...(typescript && { PULUMI_NODEJS_TYPESCRIPT: "true" }),
    ...(tsconfig !== undefined && { PULUMI_NODEJS_TSCONFIG_PATH: tsconfig }),
  };
}

function nodeArgsOf(project: Project): string[] {
  const args = project.runtime.options.nodeargs;
  return typeof args === "string" ? args.split(" ").filter((arg) => arg !== "") : [];
}
