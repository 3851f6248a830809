import { existsSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join, resolve } from "node:path";
import { childEnvironment, NodeChild } from "./childProcess.ts";

/** Where a program lies: `dir` is its working folder, `entry` what is run in it. */
export interface ProgramLocation {
  dir: string;
  entry: string;
}

/** Exit code of a program that has already told its user what is wrong. */
const EXIT_ALREADY_LOGGED = 32;
const MONITOR_CLOSED_GRACE_MS = 10_000;

/**
 * The program's folder and entry, from the folder of Pulumi.yaml and its `main`.
 * @throws when `main` names nothing
 */
export function locateProgram(projectDir: string, main: string | undefined): ProgramLocation {
  if (main === undefined || main === "") return { dir: projectDir, entry: "." };
  const path = resolve(projectDir, main);
  if (!existsSync(path)) {
    throw new Error(
      `Pulumi.yaml's main names ${main}, but there is no ${path}. Correct "main", or create the program.`,
    );
  }
  return statSync(path).isDirectory() ? { dir: path, entry: "." } : { dir: dirname(path), entry: basename(path) };
}

/**
 * A script of the SDK that the program itself uses (two copies of the SDK would not know each other's resources).
 * @throws when the program cannot import @pulumi/pulumi
 */
export function sdkScript(programDir: string, script: "cmd/run" | "cmd/dynamic-provider"): string {
  try {
    return createRequire(join(programDir, "package.json")).resolve(`@pulumi/pulumi/${script}`);
  } catch {
    throw new Error(
      `The program in ${programDir} cannot find the package @pulumi/pulumi. Install its dependencies there (npm ci).`,
    );
  }
}

export interface ProgramOptions {
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
  env: Record<string, string> | undefined;
  cacheDir: string | undefined;
  nodeArgs: string[];
  onStdout: (line: string) => void;
  onStderr: (line: string) => void;
}

/** How a program ended. `bail`: it failed and has already said why. */
export type ProgramResult = { ok: true } | { ok: false; bail: boolean; error: string };

export interface RunningProgram {
  /** Never rejects. */
  finished: Promise<ProgramResult>;
  /** Ends the program: asked first, then killed. */
  stop(): Promise<void>;
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
  const child = new NodeChild({
    script: sdkScript(location.dir, "cmd/run"),
    nodeArgs: options.nodeArgs,
    args: [
      "--monitor",
      options.monitorAddress,
      "--engine",
      options.monitorAddress,
      "--organization",
      "organization",
      "--project",
      options.project,
      "--root-directory",
      options.rootDir,
      "--stack",
      options.stack,
      "--pwd",
      location.dir,
      ...(options.preview ? ["--dry-run"] : []),
      "--parallel",
      String(options.parallel),
      location.entry,
    ],
    cwd: location.dir,
    env: childEnvironment(options.env, options.cacheDir),
    hiddenEnv: {
      PULUMI_CONFIG: JSON.stringify(config),
      PULUMI_CONFIG_SECRET_KEYS: JSON.stringify(options.secretKeys),
    },
  });
  child.lines("stdout", options.onStdout);
  child.lines("stderr", options.onStderr);
  const finished = child.exited.then(async ({ code, signal }): Promise<ProgramResult> => {
    await child.drained();
    if (code === 0) return { ok: true };
    if (code === EXIT_ALREADY_LOGGED) return { ok: false, bail: true, error: "the program failed" };
    const how =
      signal !== null ? `was ended by ${signal}` : code === null ? "could not be started" : `exited with code ${code}`;
    return {
      ok: false,
      bail: false,
      error: `the program ${join(location.dir, location.entry)} ${how}; its output is above`,
    };
  });
  return { finished, stop: () => child.stop(MONITOR_CLOSED_GRACE_MS) };
}
