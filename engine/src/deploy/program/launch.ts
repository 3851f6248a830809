import type { EngineOptions } from "../../options.ts";
import { createUrn, STACK_TYPE } from "../../urn.ts";
import type { EventSink } from "../eventSink.ts";
import type { Stack } from "../stack.ts";
import type { ProgramLocation } from "./location.ts";
import type { ProgramProcess } from "./process.ts";
import { prepareProgram, type RunningProgram, startProgram } from "./program.ts";

export const DEFAULT_PARALLEL = 64;

export interface Launch {
  stack: Stack;
  location: ProgramLocation;
  options: EngineOptions;
  /** @default made here */
  prepared?: ProgramProcess | undefined;
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
  options,
  prepared = prepareProgram(options),
  preview,
  address,
  events,
  after,
}: Launch): RunningProgram {
  const { project, config } = stack;
  const urn = createUrn(stack.name, project.name, undefined, STACK_TYPE, `${project.name}-${stack.name}`);
  const show = (severity: "info" | "info#err" | "warning") => (message: string) => {
    if (after === undefined) events.diagnostic({ urn, severity, message });
    else void after.then(() => events.diagnostic({ urn, severity, message }));
  };
  prepared.load(project, location);
  return startProgram({
    process: prepared,
    location,
    rootDir: project.dir,
    project: project.name,
    stack: stack.name,
    preview,
    parallel: options.parallel ?? DEFAULT_PARALLEL,
    monitorAddress: address,
    config: Object.fromEntries(Object.entries(config).map(([key, { value }]) => [key, value])),
    secretKeys: Object.keys(config).filter((key) => config[key]?.secret),
    onStdout: show("info"),
    onStderr: show("info#err"),
    onWarning: show("warning"),
  });
}
