import type { EngineOptions, UpdateResult } from "../options.ts";
import { builtinProviders, loadAhead } from "../providers/builtin.ts";
import { DYNAMIC_PACKAGE } from "../providers/dynamic/index.ts";
import { ProviderRegistry } from "../providers/registry.ts";
import type { Snapshot } from "../resource.ts";
import { Deployment } from "./deployment.ts";
import type { EventSink } from "./eventSink.ts";
import { type Import, importAll } from "./import.ts";
import { Stopped } from "./monitor/stopped.ts";
import { outputsOf } from "./outputs.ts";
import { inOrder } from "./plan/order.ts";
import { providerType } from "./plan/references.ts";
import type { Targeting } from "./plan/targets.ts";
import { DEFAULT_PARALLEL } from "./program/launch.ts";
import { type ProgramLocation, sdkSignals } from "./program/location.ts";
import type { ProgramResult } from "./program/program.ts";
import type { ServedProgram } from "./program/servedProgram.ts";
import { refreshAll } from "./refresh.ts";
import type { Stack } from "./stack.ts";
import { SnapshotManager } from "./steps/snapshotManager.ts";

/** As Pulumi's history calls them. */
const PAST = {
  preview: "update",
  up: "update",
  refresh: "refresh",
  destroy: "destroy",
  import: "resource-import",
} as const satisfies Record<Kind, string>;

/** How long a program may take to end once nothing more is served to it. */
const PROGRAM_END_MS = 30_000;

export type Kind = "preview" | "up" | "refresh" | "destroy" | "import";

/** One operation whose stack is open. */
export interface Operation {
  kind: Kind;
  options: EngineOptions;
  preview: boolean;
  stack: Stack;
  /** Of the stack, perhaps still on its way. */
  state: Promise<Snapshot>;
  /** The program, where the operation runs it. */
  session: ServedProgram | undefined;
  location: ProgramLocation;
  env: Record<string, string> | undefined;
  targeting: Targeting;
  imports: Import[];
  events: EventSink;
  /** Milliseconds since the epoch. */
  started: number;
}

/** From the loaded state to the saved one. What fails while it runs is in the result. @throws when the state can't be read or saved */
export async function carryOut(operation: Operation): Promise<UpdateResult> {
  const { kind, options, preview, stack, state, session, location, env, targeting, imports, events, started } =
    operation;
  const base = await state;
  if (session !== undefined) loadAhead(base.resources, location.dir);
  for (const { inputs, outputs } of base.resources) {
    events.filter.addSecrets(inputs);
    events.filter.addSecrets(outputs);
  }
  const builtin = builtinProviders({
    project: stack.project.name,
    stack: stack.name,
    env,
    cacheDir: stack.cacheDir,
    readStack: (name) => stack.outputsOf(name),
  });
  const killer = new AbortController();
  const deployment = new Deployment({
    stack: stack.name,
    project: stack.project.name,
    preview,
    parallel: options.parallel ?? DEFAULT_PARALLEL,
    base,
    sources: { programDir: location.dir, rootDir: stack.project.dir },
    config: stack.config,
    registry: new ProviderRegistry({ ...builtin, ...options.providers }, location.dir),
    snapshot: new SnapshotManager(base, preview ? async () => {} : (current) => stack.save(current), {
      order: targeting.constrained || kind === "import" ? inOrder : undefined,
      ready: () => stack.key(),
    }),
    targeting,
    events,
    kill: killer.signal,
  });
  const stopListening = listen(options, deployment, killer);
  try {
    await deploy(kind, deployment, { session, refreshFirst: options.refresh ?? stack.project.refreshFirst, imports });
  } finally {
    stopListening();
  }
  const seconds = (Date.now() - started) / 1000;
  const result = deployment.verdict === "running" ? "succeeded" : deployment.verdict;
  const { changes, diagnostics } = events;
  if (!preview) {
    await stack.record({ kind: PAST[kind], result, changes, started, message: options.message ?? "" });
  }
  events.summary(result, seconds);
  return { result, changes, outputs: outputsOf(deployment.snapshot.current()), seconds, diagnostics };
}

async function deploy(
  kind: Kind,
  deployment: Deployment,
  { session, refreshFirst, imports }: { session: ServedProgram | undefined; refreshFirst: boolean; imports: Import[] },
): Promise<void> {
  try {
    warnOfPending(deployment);
    if (kind === "refresh") {
      deployment.requireTargets();
      await refreshAll(deployment, { outcome: true });
    } else if (kind === "import") await importAll(deployment, imports);
    else if (!refreshFirst || (await refreshAll(deployment, { outcome: false }))) {
      if (kind === "destroy") await deployment.destroyAll();
      else if (session !== undefined) await serve(deployment, session);
    }
  } catch (error) {
    deployment.refuse(error);
  }
  await deployment.executor.idle();
  await deployment.registry.close();
  // A state that can't be saved is the one failure that must be heard: it is thrown.
  if (!deployment.preview) await deployment.snapshot.flush();
}

/** Serves the program to its end, and does what follows from it. */
async function serve(deployment: Deployment, session: ServedProgram): Promise<void> {
  deployment.requireReplaced();
  session.serve(deployment);
  startProvidersOf(deployment);
  const { program } = session;
  const early = await Promise.race([deployment.registered().then(() => undefined, stopped), program.finished]);
  await deployment.executor.idle();
  const fault = early === undefined ? (deployment.unfinished ? UNSETTLED : undefined) : endFault(deployment, early);
  // Even an exit with code 0 may be half of a program: nothing must be deleted for it.
  if (fault !== undefined) failFor(deployment, fault, early);
  deployment.finishOutputs();
  if (deployment.mayDelete && fault === undefined) {
    deployment.requireTargets();
    await deployment.deleteLeftovers();
  }
  deployment.release();
  // All is registered: what its providers hold goes while the program ends.
  const [last] = await Promise.all([within(PROGRAM_END_MS, program.finished), deployment.registry.close()]);
  if (last !== undefined && !last.ok && deployment.verdict === "running") failFor(deployment, last.error, last);
}

/** A program that has said itself why it failed, as the SDK does of an exception, needs no second error. */
function failFor(deployment: Deployment, fault: string, end: ProgramResult | undefined): void {
  const told =
    end?.ok === false && end.bail && deployment.events.diagnostics.some(({ severity }) => severity === "error");
  if (told) deployment.failTold();
  else deployment.refuse(new Error(fault));
}

const ENDED_EARLY =
  "The program ended before it had registered all of its resources (does it call process.exit?). Nothing was deleted.";
const UNSETTLED =
  "The program ended while it was waiting: a promise that it awaits, or exports, never settled. Nothing was deleted.";

/** What is wrong with a program that ended without the word that all is registered: SDKs of before June 2025 have no such word. */
function endFault({ toldOutputs, sources }: Deployment, end: ProgramResult): string | undefined {
  if (!end.ok) return end.error;
  return toldOutputs && !sdkSignals(sources.programDir) ? undefined : ENDED_EARLY;
}

function stopped(error: unknown): undefined {
  if (!(error instanceof Stopped)) throw error;
  return undefined;
}

/** The process of dynamic resources takes as long to start as the program: they start together, where it will be needed. */
function startProvidersOf(deployment: Deployment): void {
  for (const state of deployment.resources) {
    const inUse = state.type === providerType(DYNAMIC_PACKAGE) && !state.delete;
    if (inUse) void deployment.provider(`${state.urn}::${state.id}`).catch(() => {});
  }
}

function listen(options: EngineOptions, deployment: Deployment, killer: AbortController): () => void {
  const interrupt = (): void => deployment.interrupt();
  const kill = (): void => {
    deployment.interrupt();
    killer.abort();
  };
  if (options.signal?.aborted) interrupt();
  if (options.killSignal?.aborted) kill();
  options.signal?.addEventListener("abort", interrupt);
  options.killSignal?.addEventListener("abort", kill);
  return () => {
    options.signal?.removeEventListener("abort", interrupt);
    options.killSignal?.removeEventListener("abort", kill);
  };
}

function warnOfPending(deployment: Deployment): void {
  for (const { type, resource } of deployment.interrupted) {
    const after =
      type === "creating" ? " Something may have been made that the state does not know; a refresh clears this." : "";
    deployment.tell(
      "warning",
      `An earlier run was cut off while it was ${type} ${resource.urn}.${after}`,
      resource.urn,
    );
  }
}

/** The promise's value, or undefined when it takes longer. */
async function within<T>(ms: number, promise: Promise<T>): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), ms);
  });
  const value = await Promise.race([promise, late]);
  clearTimeout(timer);
  return value;
}
