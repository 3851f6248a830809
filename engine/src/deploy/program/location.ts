import { existsSync, readFileSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join, resolve } from "node:path";

/** Where a program lies: `dir` is its working folder, `entry` what is run in it. */
export interface ProgramLocation {
  dir: string;
  entry: string;
}

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
    return inSdk(programDir, script);
  } catch {
    throw new Error(
      `The program in ${programDir} cannot find the package @pulumi/pulumi. Install its dependencies there (npm ci).`,
    );
  }
}

/** True when the program's SDK says that it has registered all, as those since June 2025 do; others only end. */
export function sdkSignals(programDir: string): boolean {
  return readFileSync(inSdk(programDir, "proto/resource_grpc_pb.js"), "utf8").includes("signalAndWaitForShutdown");
}

function inSdk(programDir: string, path: string): string {
  return createRequire(join(programDir, "package.json")).resolve(`@pulumi/pulumi/${path}`);
}
