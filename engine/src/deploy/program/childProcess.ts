import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Writable } from "node:stream";
import { fileURLToPath } from "node:url";

export interface NodeChildOptions {
  /** Absolute path. */
  script: string;
  /** The whole environment of the child. */
  env: Record<string, string>;
  /** Where it starts. @default where this process is */
  cwd?: string;
  /** Arguments of node itself. */
  nodeArgs?: string[];
}

/** How the script is run. */
export interface Order {
  cwd: string;
  args: string[];
  /** Beyond the child's environment. */
  env?: Record<string, string>;
  /** Variables with secrets: the child's own code finds them in process.env, its environment and its children don't. */
  hidden?: Record<string, string>;
}

export interface Exit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

/**
 * Megabytes for young objects: most of what a program makes as it starts stays, and V8, which begins with one, would copy it about
 * time and again. Of an argument that is given twice node takes the later one: the program's own, which come after, win.
 */
const ROOMY = ["--min-semi-space-size=16"];

/** The pipe on which the child is told what to do; its end is the child's. Standard input is not ours to fill. */
const ENGINE_FD = 3;

/** How long the output of a process that has ended may be quiet without being closed. */
const OUTPUT_GRACE_MS = 2000;

/**
 * A node process of ours for a script of the SDK: it ends when this process does, however that ends. It loads what the script
 * wants at once, which takes as long as reading a stack, and runs it when it is told how.
 */
export class NodeChild {
  readonly process: ChildProcess;
  /** Settles when the process and its streams have ended; never rejects. */
  readonly exited: Promise<Exit>;
  readonly #orders: Writable | undefined;
  readonly #done: Promise<void>[] = [];
  /** True when the process has ended, and its output had to be cut off: one that it started has it as well, and lives. */
  outputHeld = false;
  /** Pieces of output so far. */
  #heard = 0;
  /** What was printed before anybody asked: the process may have ended by then. */
  readonly #early: Record<"stdout" | "stderr", string[]> = { stdout: [], stderr: [] };
  readonly #onLine = {
    stdout: (line: string): unknown => this.#early.stdout.push(line),
    stderr: (line: string): unknown => this.#early.stderr.push(line),
  };

  constructor({ script, env, cwd, nodeArgs = [] }: NodeChildOptions) {
    const host = fileURLToPath(new URL("./child/host.mjs", import.meta.url));
    this.process = spawn(
      process.execPath,
      [...ROOMY, ...nodeArgs, host, script],
      // A group of its own: Ctrl-C in the terminal is the engine's to handle, and must not end the program first.
      { cwd, env, stdio: ["ignore", "pipe", "pipe", "pipe"], detached: process.platform !== "win32" },
    );
    this.#orders = this.process.stdio[ENGINE_FD] as Writable | undefined;
    this.#orders?.on("error", () => {});
    for (const stream of ["stdout", "stderr"] as const) {
      const input = this.process[stream];
      if (input === null) continue;
      input.on("data", () => this.#heard++);
      const reader = createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY });
      reader.on("line", (line) => this.#onLine[stream](line));
      this.#done.push(new Promise((resolve) => reader.once("close", () => resolve())));
    }
    this.exited = new Promise<Exit>((resolve) => {
      this.process.once("error", () => resolve({ code: null, signal: null }));
      this.process.once("close", (code, signal) => resolve({ code, signal }));
    });
    this.process.once("exit", () => this.#endOutput());
  }

  /** What the process has printed comes in at once; what another process prints that still has its output is not waited for. */
  #endOutput(rounds = 5): void {
    const { stdout, stderr } = this.process;
    const before = this.#heard;
    const timer = setTimeout(() => {
      // After a pause of this process's own, there may be something to read yet.
      setImmediate(() => {
        if (this.#heard > before && rounds > 1) return this.#endOutput(rounds - 1);
        for (const stream of [stdout, stderr]) {
          if (stream === null || stream.readableEnded || stream.destroyed) continue;
          this.outputHeld = true;
          // The last line may have no end.
          stream.once("end", () => stream.destroy());
          stream.push(null);
        }
      });
    }, OUTPUT_GRACE_MS);
    this.process.once("close", () => clearTimeout(timer));
  }

  /** Runs the script, once. */
  run({ cwd, args, env = {}, hidden = {} }: Order): void {
    this.#orders?.write(`${JSON.stringify({ cwd, args, env, hidden })}\n`);
  }

  /** Calls `onLine` for each line of a stream, from the first. */
  lines(stream: "stdout" | "stderr", onLine: (line: string) => void): void {
    for (const line of this.#early[stream].splice(0)) onLine(line);
    this.#onLine[stream] = onLine;
  }

  /** After the process ended: every line was delivered. */
  async drained(): Promise<void> {
    await Promise.all(this.#done);
  }

  /** Asks the process to end, and kills it when it has not within `graceMs`. */
  async stop(graceMs = 2000): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    this.#orders?.end();
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
