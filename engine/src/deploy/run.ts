import type { EngineEvent } from "../events.ts";
import { SecretFilter } from "../masking.ts";
import type { EngineOptions, UpdateResult } from "../options.ts";
import { builtinProviders } from "../providers/builtin.ts";
import { DYNAMIC_PACKAGE } from "../providers/dynamic/index.ts";
import { ProviderRegistry } from "../providers/registry.ts";
import { versionFault } from "../pulumiVersion.ts";
import { Deployment } from "./deployment.ts";
import { EventSink } from "./eventSink.ts";
import { type Import, importAll } from "./import.ts";
import { Stopped } from "./monitor/stopped.ts";
import { outputsOf } from "./outputs.ts";
import { inOrder } from "./plan/order.ts";
import { providerType } from "./plan/references.ts";
import { Targeting } from "./plan/targets.ts";
import { DEFAULT_PARALLEL, definedOnly } from "./program/launch.ts";
import { locateProgram } from "./program/program.ts";
import { ServedProgram } from "./program/servedProgram.ts";
import { refreshAll } from "./refresh.ts";
import { Stack, type StackConfig } from "./stack.ts";
import { SnapshotManager } from "./steps/snapshotManager.ts";

export type Kind = "preview" | "up" | "refresh" | "destroy" | "import";

/** How long a program may take to end once nothing more is served to it. */
const PROGRAM_END_MS = 10_000;

/** As Pulumi's history calls them. */
const PAST = {
  preview: "update",
  up: "update",
  refresh: "refresh",
  destroy: "destroy",
  import: "resource-import",
} as const satisfies Record<Kind, string>;

/** One operation, from lock to unlock. Mistakes in settings, project or state are thrown; what fails while it runs is in the result. */
export async function run(kind: Kind, options: EngineOptions, imports: Import[] = []): Promise<UpdateResult> {
  const started = Date.now();
  const targeting = new Targeting(options);
  const preview = kind === "preview" || options.preview === true;
  const events = new EventSink(options.onEvent ?? ((_: EngineEvent) => {}), new SecretFilter(), preview);
  const stack = await Stack.open(options, {
    lock: !preview,
    tell: (message) => events.diagnostic({ severity: "warning", message }),
  });
  let session: ServedProgram | undefined;
  try {
    for (const { value, secret } of Object.values(stack.config)) if (secret) events.filter.addText(value);
    events.emit({ preludeEvent: { config: shownConfig(stack.config) } });
    requireVersion(stack);
    const location = locateProgram(stack.project.dir, stack.project.main);
    const env = definedOnly(options.env);
    if (kind === "preview" || kind === "up") {
      requireConfig(stack);
      session = await ServedProgram.start({ stack, location, env, options, preview, events });
    }
    const base = await stack.load({ write: !preview });
    for (const state of base.resources) {
      events.filter.addSecrets(state.inputs);
      events.filter.addSecrets(state.outputs);
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
      snapshot: new SnapshotManager(
        base,
        preview ? async () => {} : (current) => stack.save(current),
        targeting.constrained || kind === "import" ? inOrder : undefined,
      ),
      targeting,
      events,
      kill: killer.signal,
    });
    const stopListening = listen(options, deployment, killer);
    try {
      await deploy(kind, deployment, { session, refreshFirst: options.refresh ?? false, imports });
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
  } catch (error) {
    throw events.masked(error);
  } finally {
    await session?.stop();
    await stack.close();
    events.end();
  }
}

/** @throws when Pulumi.yaml wants another version of Pulumi than this engine stands for */
function requireVersion({ project }: Stack): void {
  const fault = project.requiredVersion === undefined ? undefined : versionFault(project.requiredVersion);
  if (fault !== undefined) throw new Error(`requiredPulumiVersion in ${project.dir}/Pulumi.yaml: ${fault}`);
}

/** @throws with every setting that Pulumi.yaml declares and the stack lacks, or has of another type */
function requireConfig({ name, configFaults }: Stack): void {
  if (configFaults.length === 0) return;
  const list = configFaults.map((fault) => `  - ${fault}`).join("\n");
  throw new Error(`The settings of the stack "${name}" are not what Pulumi.yaml declares:\n${list}`);
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
    } else if (kind === "destroy") await deployment.destroyAll();
    else if (kind === "import") await importAll(deployment, imports);
    else if (session !== undefined && (!refreshFirst || (await refreshAll(deployment, { outcome: false }))))
      await serve(deployment, session);
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
  session.serve(deployment);
  startProvidersOf(deployment);
  const { program } = session;
  const early = await Promise.race([deployment.registered().catch(stopped), program.finished]);
  await deployment.executor.idle();
  // An exit without the last word, even one with code 0, may be half of a program: nothing must be deleted for it.
  if (early !== undefined) deployment.refuse(early.ok ? new Error(ENDED_EARLY) : new Error(early.error));
  deployment.finishOutputs();
  if (deployment.mayDelete && early === undefined) {
    deployment.requireTargets();
    await deployment.deleteLeftovers();
  }
  deployment.release();
  const last = await within(PROGRAM_END_MS, program.finished);
  if (last !== undefined && !last.ok && deployment.verdict === "running") deployment.refuse(new Error(last.error));
}

const ENDED_EARLY =
  "The program ended before it had registered all of its resources (does it call process.exit?). Nothing was deleted.";

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

function shownConfig(config: StackConfig): Record<string, string> {
  return Object.fromEntries(
    Object.entries(config).map(([key, { value, secret }]) => [key, secret ? "[secret]" : value]),
  );
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
