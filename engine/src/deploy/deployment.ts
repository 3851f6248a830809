import type { CallContext } from "../provider.ts";
import type { ProviderRegistry } from "../providers/registry.ts";
import type { PendingOperation, ResourceState, Snapshot } from "../resource.ts";
import { createUrn, STACK_TYPE } from "../urn.ts";
import type { PropertyMap } from "../values.ts";
import { describe } from "./errors.ts";
import type { EventSink } from "./eventSink.ts";
import { Lifecycle } from "./lifecycle.ts";
import { InvokeFailed } from "./monitor/invokeFailed.ts";
import type { MonitorHost, Named } from "./monitor/monitor.ts";
import type { ReadGoal, Sources } from "./monitor/requests.ts";
import { Stopped } from "./monitor/stopped.ts";
import { defaultProviderGoal, requireDefaultProvider } from "./plan/defaultProviders.ts";
import { type Goal, Refusal } from "./plan/goal.ts";
import { Planner, type PlannerHost } from "./plan/planner.ts";
import { isProviderType } from "./plan/references.ts";
import { missingMessage, type Targeting } from "./plan/targets.ts";
import { Registrations } from "./registrations.ts";
import { type RemovalHost, removeAll } from "./removal.ts";
import { callContext } from "./steps/callContext.ts";
import { Deletions } from "./steps/deletions.ts";
import { Executor } from "./steps/executor.ts";
import { ProviderCalls } from "./steps/providerCalls.ts";
import type { SnapshotManager } from "./steps/snapshotManager.ts";
import type { SettledStep, Step } from "./steps/step.ts";
import { type StepHost, StepRunner } from "./steps/stepRunner.ts";

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
  targeting: Targeting;
  /** Aborted when running calls are to be cut off. */
  kill: AbortSignal;
}

/** One run: holds what planner, executor and monitor share, and decides whether it has failed. */
export class Deployment implements MonitorHost, PlannerHost, StepHost, RemovalHost {
  readonly stack: string;
  readonly project: string;
  readonly preview: boolean;
  readonly sources: Sources;
  readonly snapshot: SnapshotManager;
  readonly registry: ProviderRegistry;
  readonly events: EventSink;
  readonly executor: Executor;
  readonly targeting: Targeting;
  readonly deletions = new Deletions();
  resources: ResourceState[];
  olds: Map<string, ResourceState>;
  readonly #options: DeploymentOptions;
  readonly #planner: Planner;
  readonly #registrations: Registrations;
  readonly #defaults = new Map<string, Promise<string>>();
  readonly #life: Lifecycle;
  #planning: Promise<unknown> = Promise.resolve();

  constructor(options: DeploymentOptions) {
    this.#options = options;
    this.stack = options.stack;
    this.project = options.project;
    this.preview = options.preview;
    this.sources = options.sources;
    this.snapshot = options.snapshot;
    this.registry = options.registry;
    this.events = options.events;
    this.targeting = options.targeting;
    this.#registrations = new Registrations(options.snapshot, options.events);
    this.resources = options.base.resources;
    this.olds = liveByUrn(this.resources);
    const runner = new StepRunner(this);
    this.executor = new Executor(
      options.parallel,
      async (step) => {
        this.events.begin(step);
        await runner.apply(step);
        if (step.new !== undefined && step.op !== "replace") this.#registrations.settle(step as SettledStep);
        this.events.done(step);
      },
      (error, step) => {
        this.events.failed(step);
        this.refuse(error, step.urn);
      },
    );
    this.#planner = new Planner(this);
    this.#life = new Lifecycle(options.preview, () => this.executor.stop());
    for (const state of this.resources) if (isProviderType(state.type)) this.registry.register(state);
  }

  /** Why nothing more is begun. */
  get verdict(): Lifecycle["verdict"] {
    return this.#life.verdict;
  }

  /** Nothing failed, or a preview goes on to show all that is to be seen. */
  get mayDelete(): boolean {
    return !this.#life.over;
  }

  /** True: a resource may be left out, and what the program takes from it stay unknown. */
  get partial(): boolean {
    return this.targeting.constrained;
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
    this.#life.requireRunning();
    this.events.filter.addSecrets(goal.inputs);
    if (goal.type === STACK_TYPE && goal.parent === undefined) this.#requireNoOtherStack(goal);
    return this.#perform(goal, () => this.#planner.plan(goal));
  }

  async read(goal: ReadGoal): Promise<ResourceState> {
    this.#life.requireRunning();
    this.events.filter.addSecrets(goal.inputs);
    return this.#perform(goal, async () => this.#planner.planRead(goal));
  }

  defaultProvider(pkg: string, version: string, url: string, user: Named | string): Promise<string> {
    this.#life.requireRunning();
    const goal = defaultProviderGoal(pkg, version, url, this.#options.config);
    const known = this.#defaults.get(goal.name + pkg);
    if (known !== undefined) return known;
    requireDefaultProvider(pkg, this.#options.config, () =>
      typeof user === "string" ? user : createUrn(this.stack, this.project, user.parent, user.type, user.name),
    );
    this.registry.requirePackage(pkg);
    const made = this.register(goal).then((state) => `${state.urn}::${state.id}`);
    this.#defaults.set(goal.name + pkg, made);
    return made;
  }

  async registerOutputs(urn: string, outputs: PropertyMap): Promise<void> {
    this.#life.requireRunning();
    this.#registrations.setOutputs(urn, outputs);
  }

  isSkipped(urn: string): boolean {
    return this.#registrations.isSkipped(urn);
  }

  async invoke(token: string, args: PropertyMap, provider: string, version: string) {
    this.#life.requireRunning();
    if (token === "pulumi:pulumi:getResource") return { result: this.#registrations.resource(args), failures: [] };
    const pkg = token.slice(0, token.indexOf(":"));
    const reference = provider || (await this.defaultProvider(pkg, version, "", token));
    const called = await this.provider(reference);
    try {
      return await called.invoke(token, args);
    } catch (error) {
      if (error instanceof Refusal) throw error;
      // It may have failed because the run is over.
      this.#life.requireRunning();
      throw new InvokeFailed(token, this.events.filter.apply(describe(error)));
    }
  }

  programDone(): Promise<void> {
    return this.#life.programDone();
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
    return this.#life.registered();
  }

  /** True when the program has nothing more to say, and did not come to its own end. */
  get unfinished(): boolean {
    return this.verdict === "running" && this.#registrations.unfinished;
  }

  /** True when the SDK has told the stack's outputs: it came to the end of the program's own code. */
  get toldOutputs(): boolean {
    return this.#registrations.toldOutputs;
  }

  /** Lets the program end. */
  release(): void {
    this.#life.release();
  }

  /** The stack's outputs into the state. Of a failed run only what it did say: the other outputs stay as they were. */
  finishOutputs(): void {
    this.#registrations.finishStack((urn) => this.olds.get(urn)?.outputs, {
      complete: this.verdict === "running",
      preview: this.preview,
    });
  }

  /** @throws Refusal when a resource was named that is neither in the state nor in the program */
  requireTargets(): void {
    const missing = this.targeting.missing((urn) => this.olds.has(urn) || this.#planner.knows(urn));
    if (missing.length > 0) throw new Refusal(missingMessage(missing, this.olds.keys()));
  }

  /** @throws Refusal when what is to be made anew is not there: without targets, all else would be done before anybody knew */
  requireReplaced(): void {
    const missing = this.targeting.irreplaceable((urn) => this.olds.has(urn));
    if (missing.length > 0) throw new Refusal(missingMessage(missing, this.olds.keys()));
  }

  /** Deletes what the program did not register, layer by layer. True when all of it is gone. */
  async deleteLeftovers(): Promise<boolean> {
    const { condemned, forgotten } = this.#planner.leftovers();
    return removeAll(this, condemned, forgotten);
  }

  /** Deletes everything that there is, or that the run is about. */
  async destroyAll(): Promise<boolean> {
    this.requireTargets();
    const going = [...this.targeting.deletable(this.resources)];
    return removeAll(
      this,
      going.filter((state) => !state.pendingReplacement),
      going.filter((state) => state.pendingReplacement),
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
      this.#life.markFailed();
      return false;
    }
    this.events.done(step);
    return true;
  }

  /** An error that fails the run: shown, nothing more begun. */
  refuse(error: unknown, urn?: string): void {
    if (error instanceof Stopped) return;
    this.fail(error, urn);
    this.#life.stop("failed");
  }

  /** An error that fails the run, and lets it go on for now. */
  fail(error: unknown, urn?: string): void {
    const at = error instanceof Refusal ? (error.urn ?? urn) : urn;
    this.events.diagnostic({ urn: at, severity: "error", message: describe(error) });
    this.failTold();
  }

  /** The run fails with an error that has been shown, and may go on for now. */
  failTold(): void {
    this.#life.fail();
  }

  interrupt(): void {
    if (this.verdict !== "running") return;
    this.events.emit({ cancelEvent: {} });
    this.#life.stop("interrupted");
  }

  // What planner and steps ask for.

  async provider(reference: string): Promise<ProviderCalls> {
    return new ProviderCalls(await this.registry.get(reference), this.events.filter);
  }

  context(urn: string, seconds = 0): CallContext {
    return callContext(urn, seconds, { kill: this.#options.kill, events: this.events });
  }

  tell(severity: "info" | "warning", message: string, urn: string): void {
    this.events.diagnostic({ urn, severity, message });
  }

  rename(from: string, to: string): void {
    this.snapshot.rename(from, to);
  }

  *everything(): Iterable<ResourceState> {
    yield* this.resources;
    for (const step of this.#registrations.steps()) if (step.new !== step.old) yield step.new;
  }

  async perform(steps: Step[]): Promise<void> {
    if (!(await this.executor.run(steps))) throw new Stopped();
  }

  /** Takes over what a refresh has found. */
  rebase(resources: ResourceState[]): void {
    this.resources = resources;
    this.olds = liveByUrn(resources);
    this.snapshot.rebase(resources);
  }

  #perform(goal: Named, plan: () => Promise<Step[]>): Promise<ResourceState> {
    const planned = this.#planning.then(async () => {
      this.#life.requireRunning();
      try {
        return await plan();
      } catch (error) {
        // What the run's end has cut off is no reason for it.
        if (!(error instanceof Refusal)) this.#life.requireRunning();
        // Here, where it is known whose: a provider's own words seldom say which of its resources is meant.
        this.refuse(error, createUrn(this.stack, this.project, goal.parent, goal.type, goal.name));
        throw new Stopped();
      }
    });
    this.#planning = planned.catch(() => {});
    const done = planned.then(async (steps) => {
      const run = this.deletions.before(steps, this.resources).then(() => this.executor.run(steps));
      this.deletions.plan(steps, run);
      if (!(await run)) throw new Stopped();
      const state = steps.findLast((step) => step.new !== undefined)?.new;
      if (state === undefined) throw new Error("a registration was planned without a result");
      return state;
    });
    done.catch(() => {});
    // When the run stops, the program must hear of it now, and not when the last running step is done.
    return Promise.race([done, this.#life.stopped]);
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
