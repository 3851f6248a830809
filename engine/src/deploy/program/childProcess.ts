import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";

export interface NodeChildOptions {
  /** Absolute path of the script. */
  script: string;
  args: string[];
  cwd: string;
  /** The whole environment of the child. */
  env: Record<string, string>;
  /** Variables with secrets: the child's own code finds them in process.env, its environment and its children don't. */
  hiddenEnv?: Record<string, string>;
  /** Arguments of node itself. */
  nodeArgs?: string[];
}

export interface Exit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

/** A node process of ours: it ends when this process does, however that ends. */
export class NodeChild {
  readonly process: ChildProcess;
  /** Settles when the process and its streams have ended; never rejects. */
  readonly exited: Promise<Exit>;
  readonly #done: Promise<void>[] = [];

  constructor(options: NodeChildOptions) {
    const lifeline = fileURLToPath(new URL("./lifeline.mjs", import.meta.url));
    this.process = spawn(
      process.execPath,
      ["--import", lifeline, ...(options.nodeArgs ?? []), options.script, ...options.args],
      // A group of its own: Ctrl-C in the terminal is the engine's to handle, and must not end the program first.
      {
        cwd: options.cwd,
        env: options.hiddenEnv ? { ...options.env, ENGINE_HIDDEN_VARIABLES: "1" } : options.env,
        stdio: ["pipe", "pipe", "pipe"],
        detached: process.platform !== "win32",
      },
    );
    this.process.stdin?.on("error", () => {});
    if (options.hiddenEnv) this.process.stdin?.write(`${JSON.stringify(options.hiddenEnv)}\n`);
    this.exited = new Promise<Exit>((resolve) => {
      this.process.once("error", () => resolve({ code: null, signal: null }));
      this.process.once("close", (code, signal) => resolve({ code, signal }));
    });
  }

  /** Calls `onLine` for each line of both streams. */
  lines(stream: "stdout" | "stderr", onLine: (line: string) => void): void {
    const source: Readable | null = this.process[stream];
    if (source === null) return;
    const reader = createInterface({ input: source, crlfDelay: Number.POSITIVE_INFINITY });
    reader.on("line", onLine);
    this.#done.push(new Promise((resolve) => reader.once("close", () => resolve())));
  }

  /** After the process ended: every line was delivered. */
  async drained(): Promise<void> {
    await Promise.all(this.#done);
  }

  /** Asks the process to end, and kills it when it has not within `graceMs`. */
  async stop(graceMs = 2000): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    this.process.stdin?.end();
    this.process.kill("SIGTERM");
    const timer = setTimeout(() => this.process.kill("SIGKILL"), graceMs);
    await this.exited;
    clearTimeout(timer);
  }
}

/**
 * This process's environment for a child, without what would leak the passphrase, with a compile cache.
 * @param cacheDir where node may keep compiled code; undefined: none
 */
export function childEnvironment(extra: Record<string, string> | undefined, cacheDir?: string): Record<string, string> {
  const env: Record<string, string> = {};
  for (const [key, value] of Object.entries(process.env)) {
    if (value !== undefined && !key.startsWith("PULUMI_CONFIG_PASSPHRASE")) env[key] = value;
  }
  if (cacheDir !== undefined && env.NODE_COMPILE_CACHE === undefined) env.NODE_COMPILE_CACHE = cacheDir;
  return { ...env, ...extra };
}
