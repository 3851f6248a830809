import { join } from "node:path";
import type { ProgramLocation } from "./location.ts";
import { ProgramProcess } from "./process.ts";

/** Exit code of a program that has already told its user what is wrong. */
const EXIT_ALREADY_LOGGED = 32;
/** Exit code of a program whose `apply` waits for what never comes, as `child/quickStart.mjs` ends it. */
const EXIT_APPLY_WAITS = 33;
const APPLY_WAITS =
  "The program ended while it was waiting: an apply waits for an output whose promise never settled. Nothing was deleted.";
const MONITOR_CLOSED_GRACE_MS = 10_000;
const OUTPUT_HELD =
  "The program has ended, and a process that it started still holds its output. That one is not waited for, and what it prints is not shown.";

export interface ProgramOptions {
  /** Has loaded the SDK. */
  process: ProgramProcess;
  location: ProgramLocation;
  rootDir: string;
  project: string;
  stack: string;
  preview: boolean;
  parallel: number;
  monitorAddress: string;
  /** Plain values, keys `project:name`. */
  config: Record<string, string>;
  secretKeys: string[];
  onStdout: (line: string) => void;
  onStderr: (line: string) => void;
  onWarning: (message: string) => void;
}

/** How a program ended. `bail`: it failed and has already said why. */
export type ProgramResult = { ok: true } | { ok: false; bail: boolean; error: string };

export interface RunningProgram {
  /** Never rejects. */
  finished: Promise<ProgramResult>;
  /** Ends the program: asked first, then killed. */
  stop(): Promise<void>;
}

/** A process for the program that an operation is going to run. */
export function prepareProgram(options: ConstructorParameters<typeof ProgramProcess>[0]): ProgramProcess {
  return new ProgramProcess(options);
}

/** Starts the program under the SDK's own runner. */
export function startProgram(options: ProgramOptions): RunningProgram {
  const { location } = options;
  // The SDK reads the old form `pkg:config:name`; values are plain text there, as the protocol has it.
  const config: Record<string, string> = {};
  for (const [key, value] of Object.entries(options.config)) {
    const colon = key.indexOf(":");
    config[colon < 0 ? key : `${key.slice(0, colon)}:config:${key.slice(colon + 1)}`] = value;
  }
  const { child, env } = options.process;
  child.lines("stdout", options.onStdout);
  child.lines("stderr", options.onStderr);
  child.run({
    cwd: location.dir,
    args: [
      ...["--monitor", options.monitorAddress, "--engine", options.monitorAddress],
      ...["--organization", "organization", "--project", options.project, "--root-directory", options.rootDir],
      ...["--stack", options.stack, "--pwd", location.dir],
      ...(options.preview ? ["--dry-run"] : []),
      ...["--parallel", String(options.parallel), location.entry],
    ],
    env,
    hidden: { PULUMI_CONFIG: JSON.stringify(config), PULUMI_CONFIG_SECRET_KEYS: JSON.stringify(options.secretKeys) },
  });
  const finished = child.exited.then(async ({ code, signal }): Promise<ProgramResult> => {
    await child.drained();
    if (child.outputHeld) options.onWarning(OUTPUT_HELD);
    if (code === 0) return { ok: true };
    if (code === EXIT_ALREADY_LOGGED) return { ok: false, bail: true, error: "the program failed" };
    if (code === EXIT_APPLY_WAITS) return { ok: false, bail: false, error: APPLY_WAITS };
    const how =
      signal !== null ? `was ended by ${signal}` : code === null ? "could not be started" : `exited with code ${code}`;
    return {
      ok: false,
      bail: false,
      error: `the program ${join(location.dir, location.entry)} ${how}; its output is above`,
    };
  });
  return { finished, stop: () => options.process.stop(MONITOR_CLOSED_GRACE_MS) };
}
