import type { EngineEvent } from "../events.ts";
import { maskForEvent, SecretFilter } from "../masking.ts";
import type { EngineOptions, UpdateResult } from "../options.ts";
import { builtinProviders } from "../providers/builtin.ts";
import { DYNAMIC_PACKAGE } from "../providers/dynamic/index.ts";
import { ProviderRegistry } from "../providers/registry.ts";
import { Secret } from "../values.ts";
import { Deployment } from "./deployment.ts";
import { EventSink } from "./eventSink.ts";
import { Monitor } from "./monitor.ts";
import { outputsOf } from "./outputs.ts";
import { locateProgram, type RunningProgram, startProgram } from "./program.ts";
import { providerType } from "./references.ts";
import { refreshAll } from "./refresh.ts";
import { SnapshotManager } from "./snapshotManager.ts";
import { openStack, type Stack } from "./stack.ts";
import { Stopped } from "./stopped.ts";

export type Kind = "preview" | "up" | "refresh" | "destroy";

const DEFAULT_PARALLEL = 16;
/** How long a program may take to end once nothing more is served to it. */
const PROGRAM_END_MS = 10_000;

/** One operation, from lock to unlock. Mistakes in settings, project or state are thrown; what fails while it runs is in the result. */
export async function run(kind: Kind, options: EngineOptions): Promise<UpdateResult> {
  const started = Date.now();
  const preview = kind === "preview" || options.preview === true;
  const filter = new SecretFilter();
  const send = options.onEvent ?? ((_: EngineEvent) => {});
  const events = new EventSink(send, filter, preview);
  const stack = await openStack(options, {
    lock: !preview,
    tell: (message) => events.diagnostic({ severity: "warning", message }),
  });
  try {
    for (const { value, secret } of Object.values(stack.config)) if (secret) filter.addText(value);
    for (const state of stack.snapshot.resources) {
      filter.addSecrets(state.inputs);
      filter.addSecrets(state.outputs);
    }
    events.emit({ preludeEvent: { config: shownConfig(stack) } });
    const { deployment, failed } = await deploy(kind, preview, options, stack, events);
    const seconds = (Date.now() - started) / 1000;
    const result = deployment.verdict === "running" ? (failed ? "failed" : "succeeded") : deployment.verdict;
    if (!preview) await stack.finish(kind, result, events.changes, started, options.message ?? "");
    events.emit({
      summaryEvent: {
        maybeCorrupt: false,
        durationSeconds: Math.round(seconds),
        resourceChanges: events.changes,
        result,
      },
    });
    return {
      result,
      changes: events.changes,
      outputs: outputsOf(deployment.snapshot.current()),
      seconds,
      diagnostics: events.diagnostics,
    };
  } finally {
    await stack.close();
  }
}

async function deploy(
  kind: Kind,
  preview: boolean,
  options: EngineOptions,
  stack: Stack,
  events: EventSink,
): Promise<{ deployment: Deployment; failed: boolean }> {
  const location = locateProgram(stack.project.dir, stack.project.main);
  const env = definedOnly(options.env);
  const registry = new ProviderRegistry(
    {
      ...builtinProviders({ project: stack.project.name, stack: stack.name, env, cacheDir: stack.cacheDir }),
      ...options.providers,
    },
    location.dir,
  );
  const snapshot = new SnapshotManager(stack.snapshot, preview ? async () => {} : (current) => stack.save(current));
  const killer = new AbortController();
  const deployment = new Deployment({
    stack: stack.name,
    project: stack.project.name,
    preview,
    parallel: options.parallel ?? DEFAULT_PARALLEL,
    base: stack.snapshot,
    sources: { programDir: location.dir, rootDir: stack.project.dir },
    config: stack.config,
    registry,
    snapshot,
    events,
    kill: killer.signal,
  });
  const stopListening = listen(options, deployment, killer);
  let failed = false;
  try {
    warnOfPending(stack, deployment);
    if (kind === "refresh") failed = !(await refreshAll(deployment));
    else if (kind === "destroy") failed = !(await deployment.destroyAll());
    else failed = !(await runProgram(deployment, options, stack, events, env));
  } catch (error) {
    deployment.refuse(error);
  } finally {
    await deployment.executor.idle();
    await registry.close();
    stopListening();
    try {
      if (!preview) await snapshot.flush();
    } catch (error) {
      deployment.refuse(error);
    }
  }
  return { deployment, failed };
}

/** Runs the program to its end and what follows from it. False: it failed, and has said so. */
async function runProgram(
  deployment: Deployment,
  options: EngineOptions,
  stack: Stack,
  events: EventSink,
  env: Record<string, string> | undefined,
): Promise<boolean> {
  const monitor = new Monitor(deployment);
  let program: RunningProgram | undefined;
  try {
    const location = locateProgram(stack.project.dir, stack.project.main);
    const stackUrn = `urn:pulumi:${stack.name}::${stack.project.name}::pulumi:pulumi:Stack::${stack.project.name}-${stack.name}`;
    program = startProgram({
      location,
      rootDir: stack.project.dir,
      project: stack.project.name,
      stack: stack.name,
      preview: deployment.preview,
      parallel: options.parallel ?? DEFAULT_PARALLEL,
      monitorAddress: await monitor.listen(),
      config: Object.fromEntries(Object.entries(stack.config).map(([key, { value }]) => [key, value])),
      secretKeys: Object.entries(stack.config).flatMap(([key, { secret }]) => (secret ? [key] : [])),
      env,
      cacheDir: stack.cacheDir,
      nodeArgs: options.nodeArgs ?? stack.project.nodeArgs,
      onStdout: (message) => events.diagnostic({ urn: stackUrn, severity: "info", message }),
      onStderr: (message) => events.diagnostic({ urn: stackUrn, severity: "info#err", message }),
    });
    startProvidersOf(deployment);
    const ended = program.finished.then((result) => ({ ended: result }));
    const first = await Promise.race([deployment.registered().catch(stopped), ended]);
    await deployment.executor.idle();
    let gone = true;
    if (first !== undefined && "ended" in first) {
      // An exit without the last word, even one with code 0, may be half of a program: nothing must be deleted for it.
      const { ended: result } = first;
      if (result.ok) deployment.refuse(new Error("The program ended before it had registered all of its resources."));
      else if (result.bail && deployment.verdict === "running")
        deployment.refuse(new Error("The program failed; see above."));
      else if (!result.ok && !result.bail) deployment.refuse(new Error(result.error));
    }
    deployment.finishOutputs();
    if (
      deployment.verdict === "running" ||
      (deployment.preview && deployment.verdict === "failed" && !("ended" in (first ?? {})))
    ) {
      gone = await deployment.deleteLeftovers();
    }
    deployment.release();
    const last = await within(PROGRAM_END_MS, program.finished);
    if (last !== undefined && !last.ok && deployment.verdict === "running") {
      deployment.refuse(new Error(last.bail ? "The program failed; see above." : last.error));
    }
    return gone;
  } finally {
    await program?.stop();
    monitor.close();
  }
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

function warnOfPending(stack: Stack, deployment: Deployment): void {
  for (const { type, resource } of stack.snapshot.pendingOperations) {
    const after =
      type === "creating" ? " Something may have been made that the state does not know; a refresh clears this." : "";
    deployment.tell(
      "warning",
      `An earlier run was cut off while it was ${type} ${resource.urn}.${after}`,
      resource.urn,
    );
  }
}

function shownConfig(stack: Stack): Record<string, string> {
  const map = Object.entries(stack.config).map(([key, { value, secret }]) => [key, secret ? new Secret(value) : value]);
  return maskForEvent(Object.fromEntries(map)) as Record<string, string>;
}

function definedOnly(env: EngineOptions["env"]): Record<string, string> | undefined {
  if (env === undefined) return undefined;
  return Object.fromEntries(Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined));
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
