import { equalValues } from "../compare.ts";
import { parseUrn, STACK_TYPE } from "../urn.ts";
import { type PropertyMap, Secret } from "../values.ts";
import type { EventSink } from "./eventSink.ts";
import { InvokeFailed } from "./monitor/invokeFailed.ts";
import { Refusal } from "./plan/goal.ts";
import { containsUnknown } from "./steps/marking.ts";
import type { SnapshotManager } from "./steps/snapshotManager.ts";
import type { SettledStep } from "./steps/step.ts";

/** What this run's program has registered so far: each resource by the step by which it came to be, and the outputs told later. */
export class Registrations {
  readonly #steps = new Map<string, SettledStep>();
  readonly #snapshot: SnapshotManager;
  readonly #events: EventSink;
  #stackOutputs: { urn: string; outputs: PropertyMap } | undefined;

  constructor(snapshot: SnapshotManager, events: EventSink) {
    this.#snapshot = snapshot;
    this.#events = events;
  }

  settle(step: SettledStep): void {
    this.#steps.set(step.new.urn, step);
    for (const map of [step.new.inputs, step.new.outputs]) this.#events.filter.addSecrets(map);
  }

  steps(): Iterable<SettledStep> {
    return this.#steps.values();
  }

  /** True when the resource is not among the targets and will not exist. */
  isSkipped(urn: string): boolean {
    return this.#steps.get(urn)?.skipped ?? false;
  }

  /** Takes a component's outputs; the stack's are kept until it is known whether all went well. @throws Refusal for an unknown URN */
  setOutputs(urn: string, outputs: PropertyMap): void {
    this.#events.filter.addSecrets(outputs);
    if (parseUrn(urn).qualifiedType === STACK_TYPE) {
      this.#stackOutputs = { urn, outputs };
      return;
    }
    const step = this.#steps.get(urn);
    if (step === undefined)
      throw new Refusal(`Outputs were registered for ${urn}, which is not registered itself.`, urn);
    if (step.skipped) return;
    // One that the run is not about stays as it was.
    if (!step.kept) this.#replace(step, outputs);
    this.#events.outputs(step);
  }

  /** True when the SDK has not told the stack's outputs, as it does at a program's end: one of its promises never settled. */
  get unfinished(): boolean {
    const stack = [...this.#steps.keys()].some((urn) => parseUrn(urn).qualifiedType === STACK_TYPE);
    return stack && !this.toldOutputs;
  }

  get toldOutputs(): boolean {
    return this.#stackOutputs !== undefined;
  }

  /**
   * The stack's outputs into the state.
   * @param olds what it had; of a run that is not complete, only what it did say is new
   * @param preview true: outputs may be unknown
   */
  finishStack(olds: (urn: string) => PropertyMap | undefined, how: { complete: boolean; preview: boolean }): void {
    if (this.#stackOutputs === undefined) return;
    const { urn, outputs } = this.#stackOutputs;
    const step = this.#steps.get(urn);
    if (step === undefined) return;
    const before = olds(urn) ?? {};
    const told = Object.entries(outputs).flatMap(([key, value]): [string, PropertyMap[string]][] => {
      if (how.preview || !containsUnknown(value)) return [[key, value]];
      // Of a resource that was left out it is not known what this would be.
      return before[key] === undefined ? [] : [[key, before[key]]];
    });
    this.#replace(step, { ...(how.complete ? {} : before), ...Object.fromEntries(told) });
    this.#events.outputs(step);
  }

  /** What the function `pulumi:pulumi:getResource` answers. @throws InvokeFailed when this run has not registered it */
  resource(args: PropertyMap): PropertyMap {
    const urn = args.urn instanceof Secret ? args.urn.element : args.urn;
    const state = typeof urn === "string" ? this.#steps.get(urn)?.new : undefined;
    if (state === undefined) throw new InvokeFailed("pulumi:pulumi:getResource", `unknown resource ${String(urn)}`);
    return { urn: state.urn, id: state.id, provider: state.provider ?? "", state: state.outputs };
  }

  #replace({ new: state }: SettledStep, outputs: PropertyMap): void {
    if (equalValues(state.outputs, outputs)) return;
    this.#snapshot.lazily(() => {
      state.outputs = outputs;
    });
  }
}
