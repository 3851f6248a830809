import type { EngineOptions } from "../../options.ts";
import type { Project } from "../../project.ts";
import { createUrn, STACK_TYPE } from "../../urn.ts";
import type { EventSink } from "../eventSink.ts";
import type { Stack } from "../stack.ts";
import { type ProgramLocation, type RunningProgram, startProgram } from "./program.ts";

export const DEFAULT_PARALLEL = 64;

export interface Launch {
  stack: Stack;
  location: ProgramLocation;
  env: Record<string, string> | undefined;
  options: Pick<EngineOptions, "parallel" | "nodeArgs" | "debug">;
  preview: boolean;
  /** Of the monitor. */
  address: string;
  events: EventSink;
  /** What the program prints is shown after this: only then are all secrets of the state known. @default at once */
  after?: Promise<unknown>;
}

/** Starts a stack's program with its settings; what it prints is shown under the stack. */
export function launchProgram({
  stack,
  location,
  env,
  options,
  preview,
  address,
  events,
  after,
}: Launch): RunningProgram {
  const { project, config } = stack;
  const urn = createUrn(stack.name, project.name, undefined, STACK_TYPE, `${project.name}-${stack.name}`);
  const show = (severity: "info" | "info#err") => (message: string) => {
    if (after === undefined) events.diagnostic({ urn, severity, message });
    else void after.then(() => events.diagnostic({ urn, severity, message }));
  };
  return startProgram({
    location,
    rootDir: project.dir,
    project: project.name,
    stack: stack.name,
    preview,
    parallel: options.parallel ?? DEFAULT_PARALLEL,
    monitorAddress: address,
    config: Object.fromEntries(Object.entries(config).map(([key, { value }]) => [key, value])),
    secretKeys: Object.keys(config).filter((key) => config[key]?.secret),
    env: { ...typescriptOf(project), ...(options.debug && { ENGINE_DEBUG: "1" }), ...env },
    cacheDir: stack.cacheDir,
    nodeArgs: options.nodeArgs ?? nodeArgsOf(project),
    onStdout: show("info"),
    onStderr: show("info#err"),
  });
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

export function definedOnly(env: EngineOptions["env"]): Record<string, string> | undefined {
  if (env === undefined) return undefined;
  return Object.fromEntries(Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined));
}
