import { equalValues } from "../compare.ts";
import type { CallContext } from "../provider.ts";
import type { ProviderRegistry } from "../providers/registry.ts";
import type { PendingOperation, ResourceState, Snapshot } from "../resource.ts";
import { parseUrn, STACK_TYPE } from "../urn.ts";
import { type PropertyMap, Secret } from "../values.ts";
import type { EventSink } from "./eventSink.ts";
import type { MonitorHost } from "./monitor/monitor.ts";
import type { ReadGoal, Sources } from "./monitor/requests.ts";
import { Stopped } from "./monitor/stopped.ts";
import { defaultProviderGoal } from "./plan/defaultProviders.ts";
import { type Goal, Refusal } from "./plan/goal.ts";
import { deletionLayers } from "./plan/graph.ts";
import { Planner, type PlannerHost } from "./plan/planner.ts";
import { isProviderType } from "./plan/references.ts";
import { Deletions } from "./steps/deletions.ts";
import { Executor } from "./steps/executor.ts";
import { ProviderCalls } from "./steps/providerCalls.ts";
import type { SnapshotManager } from "./steps/snapshotManager.ts";
import type { Step } from "./steps/step.ts";
import { protectedFromDelete, type StepHost, StepRunner } from "./steps/stepRunner.ts";

export interface DeploymentOptions {
  stack: string;
  project: string;
  preview: boolean;
  parallel: number;
  base: Snapshot;
  sources: Sources;
  /** Plain values and which of them are secret, keys `project:name`. */
  config: Record<string, { value: string; secret: boolean }>;
  registry: ProviderRegistry;
  snapshot: SnapshotManager;
  events: EventSink;
  /** Aborted when running calls are to be cut off. */
  kill: AbortSignal;
}

/** Beyond a resource's own time, so that its provider can say itself that it is over. */
const TIMEOUT_GRACE_SECONDS = 5;

/** One run: holds what planner, executor and monitor share, and decides whether it has failed. */
export class Deployment implements MonitorHost, PlannerHost, StepHost {
  readonly stack: string;
  readonly project: string;
  readonly preview: boolean;
  readonly sources: Sources;
  readonly snapshot: SnapshotManager;
  readonly registry: ProviderRegistry;
  readonly events: EventSink;
  readonly executor: Executor;
  readonly deletions = new Deletions();
  resources: ResourceState[];
  olds: Map<string, ResourceState>;
  /** Why nothing more is begun. */
  verdict: "running" | "failed" | "interrupted" = "running";
  readonly #options: DeploymentOptions;
  readonly #planner: Planner;
  /** The step by which each resource of this run came to be. */
  readonly #news = new Map<string, Step & { new: ResourceState }>();
  readonly #defaults = new Map<string, Promise<string>>();
  readonly #stopped: Promise<never>;
  readonly #programDone: Promise<void>;
  readonly #released: Promise<void>;
  #planning: Promise<unknown> = Promise.resolve();
  #stackOutputs: { urn: string; outputs: PropertyMap } | undefined;
  #reject!: (error: Stopped) => void;
  #signalDone!: () => void;
  #release!: () => void;

  constructor(options: DeploymentOptions) {
    this.#options = options;
    this.stack = options.stack;
    this.project = options.project;
    this.preview = options.preview;
    this.sources = options.sources;
    this.snapshot = options.snapshot;
    this.registry = options.registry;
    this.events = options.events;
    this.resources = options.base.resources;
    this.olds = liveByUrn(this.resources);
    const runner = new StepRunner(this);
    this.executor = new Executor(
      options.parallel,
      async (step) => {
        this.events.begin(step);
        await runner.apply(step);
        if (step.new !== undefined && step.op !== "replace") this.#settle(step);
        this.events.done(step);
      },
      (error, step) => {
        this.events.failed(step);
        this.refuse(error, step.urn);
      },
    );
    this.#planner = new Planner(this);
    this.#stopped = new Promise<never>((_, reject) => {
      this.#reject = reject;
    });
    this.#stopped.catch(() => {});
    this.#programDone = new Promise((resolve) => {
      this.#signalDone = resolve;
    });
    this.#released = new Promise((resolve) => {
      this.#release = resolve;
    });
    for (const state of this.resources) if (isProviderType(state.type)) this.registry.register(state);
  }

  /** Nothing failed, or a preview goes on to show all that is to be seen. */
  get mayDelete(): boolean {
    return !this.#over;
  }

  /** What an earlier run was cut off in. */
  get interrupted(): PendingOperation[] {
    return this.#options.base.pendingOperations;
  }

  get killSignal(): AbortSignal {
    return this.#options.kill;
  }

  get killed(): boolean {
    return this.#options.kill.aborted;
  }

  // What the program asks for.

  async register(goal: Goal): Promise<ResourceState> {
    this.#requireRunning();
    this.events.filter.addSecrets(goal.inputs);
    if (goal.type === STACK_TYPE && goal.parent === undefined) this.#requireNoOtherStack(goal);
    return this.#perform(() => this.#planner.plan(goal));
  }

  async read(goal: ReadGoal): Promise<ResourceState> {
    this.#requireRunning();
    this.events.filter.addSecrets(goal.inputs);
    return this.#perform(async () => this.#planner.planRead(goal));
  }

  defaultProvider(pkg: string, version: string, url: string): Promise<string> {
    this.#requireRunning();
    const goal = defaultProviderGoal(pkg, version, url, this.#options.config);
    const known = this.#defaults.get(goal.name + pkg);
    if (known !== undefined) return known;
    this.registry.requirePackage(pkg);
    const made = this.register(goal).then((state) => `${state.urn}::${state.id}`);
    this.#defaults.set(goal.name + pkg, made);
    return made;
  }

  async registerOutputs(urn: string, outputs: PropertyMap): Promise<void> {
    this.#requireRunning();
    this.events.filter.addSecrets(outputs);
    if (parseUrn(urn).qualifiedType === STACK_TYPE) {
      this.#stackOutputs = { urn, outputs };
      return;
    }
    const step = this.#news.get(urn);
    if (step === undefined)
      throw new Refusal(`Outputs were registered for ${urn}, which is not registered itself.`, urn);
    this.#replaceOutputs(step.new, outputs);
    this.events.outputs(step);
  }

  async invoke(token: string, args: PropertyMap, provider: string, version: string) {
    this.#requireRunning();
    if (token === "pulumi:pulumi:getResource") return { result: this.#getResource(args), failures: [] };
    const pkg = token.slice(0, token.indexOf(":"));
    const reference = provider || (await this.defaultProvider(pkg, version, ""));
    return (await this.provider(reference)).invoke(token, args);
  }

  async programDone(): Promise<void> {
    this.#signalDone();
    await this.#released;
  }

  log(line: Parameters<MonitorHost["log"]>[0]): void {
    this.events.diagnostic({
      urn: line.urn || undefined,
      message: line.message,
      severity: line.severity,
      ephemeral: line.ephemeral || undefined,
      streamID: line.streamId || undefined,
    });
  }

  // How it goes on and ends.

  /** Resolves when the program has said that it has registered all; rejects with Stopped when the run is over before. */
  registered(): Promise<void> {
    return Promise.race([this.#programDone, this.#stopped]);
  }

  /** Lets the program end. */
  release(): void {
    this.#release();
  }

  /** The stack's outputs into the state. Of a failed run only what it did say: the other outputs stay as they were. */
  finishOutputs(): void {
    if (this.#stackOutputs === undefined) return;
    const { urn, outputs } = this.#stackOutputs;
    const step = this.#news.get(urn);
    if (step === undefined) return;
    const complete = this.verdict === "running";
    this.#replaceOutputs(step.new, complete ? outputs : { ...this.olds.get(urn)?.outputs, ...outputs });
    this.events.outputs(step);
  }

  /** Deletes what the program did not register, layer by layer. True when all of it is gone. */
  async deleteLeftovers(): Promise<boolean> {
    const { condemned, forgotten } = this.#planner.leftovers();
    return this.#deleteAll(condemned, forgotten);
  }

  /** Deletes everything there is. */
  async destroyAll(): Promise<boolean> {
    const forgotten = this.resources.filter((state) => state.pendingReplacement);
    return this.#deleteAll(
      this.resources.filter((state) => !state.pendingReplacement),
      forgotten,
    );
  }

  /** Runs a refresh's read as a step of its own; false when it failed. A failure does not keep the others from being read. */
  async refreshing(step: Step, read: () => Promise<void>): Promise<boolean> {
    this.events.begin(step);
    try {
      await this.executor.limited(read);
    } catch (error) {
      this.events.failed(step);
      if (!(error instanceof Stopped))
        this.events.diagnostic({ urn: step.urn, severity: "error", message: describe(error) });
      if (this.verdict === "running") this.verdict = "failed";
      return false;
    }
    this.events.done(step);
    return true;
  }

  /** An error that fails the run: shown, nothing more begun. */
  refuse(error: unknown, urn?: string): void {
    if (error instanceof Stopped) return;
    this.fail(error, urn);
    this.#stop("failed");
  }

  /** An error that fails the run, and lets it go on for now. */
  fail(error: unknown, urn?: string): void {
    const at = error instanceof Refusal ? (error.urn ?? urn) : urn;
    this.events.diagnostic({ urn: at, severity: "error", message: describe(error) });
    if (!this.preview) this.#stop("failed");
    else if (this.verdict === "running") this.verdict = "failed";
  }

  interrupt(): void {
    if (this.verdict !== "running") return;
    this.events.emit({ cancelEvent: {} });
    this.#stop("interrupted");
  }

  // What planner and steps ask for.

  async provider(reference: string): Promise<ProviderCalls> {
    return new ProviderCalls(await this.registry.get(reference), this.events.filter);
  }

  context(urn: string, seconds = 0): CallContext {
    const { kill } = this.#options;
    const { type, name } = parseUrn(urn);
    const signal =
      seconds > 0 ? AbortSignal.any([kill, AbortSignal.timeout((seconds + TIMEOUT_GRACE_SECONDS) * 1000)]) : kill;
    return {
      urn,
      type,
      name,
      signal,
      log: ({ stream, text, ephemeral }) => {
        const severity = stream === "stdout" ? "info" : stream === "stderr" ? "info#err" : stream;
        this.events.diagnostic({ urn, message: text, severity, ephemeral });
      },
    };
  }

  tell(severity: "info" | "warning", message: string, urn: string): void {
    this.events.diagnostic({ urn, severity, message });
  }

  rename(from: string, to: string): void {
    this.snapshot.rename(from, to);
  }

  *everything(): Iterable<ResourceState> {
    yield* this.resources;
    for (const step of this.#news.values()) if (step.new !== step.old) yield step.new;
  }

  /** Takes over what a refresh has found. */
  rebase(resources: ResourceState[]): void {
    this.resources = resources;
    this.olds = liveByUrn(resources);
    this.snapshot.rebase(resources);
  }

  #perform(plan: () => Promise<Step[]>): Promise<ResourceState> {
    const planned = this.#planning.then(async () => {
      this.#requireRunning();
      return plan();
    });
    this.#planning = planned.catch(() => {});
    const done = planned.then(async (steps) => {
      for (const step of steps) if (step.op === "delete-replaced" && step.old) this.deletions.plan(step.old);
      if (!(await this.executor.run(steps))) throw new Stopped();
      const state = steps.findLast((step) => step.new !== undefined)?.new;
      if (state === undefined) throw new Error("a registration was planned without a result");
      return state;
    });
    done.catch(() => {});
    // When the run stops, the program must hear of it now, and not when the last running step is done.
    return Promise.race([done, this.#stopped]);
  }

  async #deleteAll(condemned: ResourceState[], forgotten: ResourceState[]): Promise<boolean> {
    let blocked = false;
    for (const state of condemned.filter((one) => one.protect && !one.delete)) {
      this.fail(protectedFromDelete(state));
      blocked = true;
    }
    if (blocked && !this.preview) return false;
    for (const state of condemned) this.deletions.plan(state);
    const gone = forgotten.map((old): Step => ({ op: "remove-pending-replace", urn: old.urn, type: old.type, old }));
    if (!(await this.executor.runLayer(gone))) return false;
    for (const layer of deletionLayers(this.resources, new Set(condemned))) {
      const steps = layer
        .filter((state) => !(state.protect && !state.delete))
        .map((old): Step => ({ op: old.delete ? "delete-replaced" : "delete", urn: old.urn, type: old.type, old }));
      if (!(await this.executor.runLayer(steps))) return false;
    }
    return !blocked;
  }

  #settle(step: Step): void {
    const state = step.new as ResourceState;
    this.#news.set(state.urn, { ...step, new: state });
    for (const map of [state.inputs, state.outputs]) this.events.filter.addSecrets(map);
  }

  #replaceOutputs(state: ResourceState, outputs: PropertyMap): void {
    if (equalValues(state.outputs, outputs)) return;
    this.snapshot.lazily(() => {
      state.outputs = outputs;
    });
  }

  #getResource(args: PropertyMap): PropertyMap {
    const urn = args.urn instanceof Secret ? args.urn.element : args.urn;
    const state = typeof urn === "string" ? this.#news.get(urn)?.new : undefined;
    if (state === undefined) throw new Refusal(`The program asks for ${String(urn)}, which it has not registered yet.`);
    return { urn: state.urn, id: state.id, provider: state.provider ?? "", state: state.outputs };
  }

  #requireRunning(): void {
    if (this.verdict !== "running" && !(this.preview && this.verdict === "failed" && !this.#over)) throw new Stopped();
  }

  #over = false;

  #stop(verdict: "failed" | "interrupted"): void {
    if (this.verdict === "running" || verdict === "interrupted") this.verdict = verdict;
    this.#over = true;
    this.executor.stop();
    this.#reject(new Stopped());
    this.#release();
  }

  #requireNoOtherStack(goal: Goal): void {
    const expected = `${this.project}-${this.stack}`;
    if (goal.name !== expected)
      throw new Refusal(`The program registered the stack "${goal.name}" instead of "${expected}".`);
  }
}

function liveByUrn(resources: ResourceState[]): Map<string, ResourceState> {
  return new Map(resources.filter((state) => !state.delete).map((state) => [state.urn, state]));
}

/** A user's mistake by its message; what looks like a mistake of ours with its stack. */
export function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const ours = error instanceof TypeError || error instanceof RangeError || error instanceof ReferenceError;
  return ours ? (error.stack ?? error.message) : error.message;
}
