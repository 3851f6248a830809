import type { DiagnosticEvent, EngineEvent, OpType, StepEventState } from "../events.ts";
import { maskForEvent, type SecretFilter } from "../masking.ts";
import type { ResourceState } from "../resource.ts";
import { parseUrn } from "../urn.ts";
import type { PropertyMap } from "../values.ts";
import { isProviderType } from "./references.ts";
import { isLogical, type Step } from "./step.ts";

type Body = Omit<EngineEvent, "sequence" | "timestamp">;

/** The one way to the outside: numbers events, counts changes, keeps the errors, and takes every known secret out. */
export class EventSink {
  readonly filter: SecretFilter;
  /** How many resources each kind of step was done to. */
  readonly changes: Partial<Record<OpType, number>> = {};
  /** Warnings and errors, as they were shown. */
  readonly diagnostics: DiagnosticEvent[] = [];
  readonly #send: (event: EngineEvent) => void;
  readonly #planning: boolean;
  #sequence = 0;

  constructor(send: (event: EngineEvent) => void, filter: SecretFilter, planning: boolean) {
    this.#send = send;
    this.filter = filter;
    this.#planning = planning;
  }

  emit(body: Body): void {
    this.#send({ sequence: this.#sequence++, timestamp: Math.floor(Date.now() / 1000), ...body });
  }

  diagnostic(event: DiagnosticEvent): void {
    const shown = { ...event, message: this.filter.apply(event.message) };
    if (shown.severity === "warning" || shown.severity === "error") this.diagnostics.push(shown);
    this.emit({ diagnosticEvent: shown });
  }

  begin(step: Step): void {
    if (isInternal(step)) return;
    this.emit({ resourcePreEvent: { metadata: this.#metadata(step), planning: this.#planning } });
  }

  /** Counts a step that was done, and shows it; a component is shown when it has told its outputs. */
  done(step: Step): void {
    if (isInternal(step)) return;
    if (isLogical(step.op)) this.changes[step.op] = (this.changes[step.op] ?? 0) + 1;
    if (step.new === undefined || step.new.custom) this.outputs(step);
  }

  outputs(step: Step): void {
    this.emit({ resOutputsEvent: { metadata: this.#metadata(step), planning: this.#planning } });
  }

  failed(step: Step): void {
    this.emit({ resOpFailedEvent: { metadata: this.#metadata(step), status: 1, steps: 1 } });
  }

  #metadata(step: Step): NonNullable<EngineEvent["resourcePreEvent"]>["metadata"] {
    const { op, urn, type, keys, diffs } = step;
    const provider = (step.new ?? step.old)?.provider ?? "";
    return {
      op,
      urn,
      type,
      old: step.old ? this.#state(step.old) : null,
      new: step.new ? this.#state(step.new) : null,
      ...(keys && keys.length > 0 ? { keys } : {}),
      ...(diffs && diffs.length > 0 ? { diffs, detailedDiff: detailed(diffs, keys ?? []) } : {}),
      logical: isLogical(op),
      provider,
    };
  }

  #state(state: ResourceState): StepEventState {
    return {
      urn: state.urn,
      type: state.type,
      id: state.id,
      parent: state.parent ?? "",
      provider: state.provider ?? "",
      ...(state.protect ? { protect: true } : {}),
      inputs: this.#masked(state.inputs),
      outputs: this.#masked(state.outputs),
    };
  }

  /** Marked secrets first, then every text known to be one: outputs of a careless provider repeat them. */
  #masked(map: PropertyMap): Record<string, unknown> {
    return this.filter.applyDeep(maskForEvent(map));
  }
}

/** Default providers are the engine's own affair. */
function isInternal({ type, urn }: Step): boolean {
  return isProviderType(type) && parseUrn(urn).name.startsWith("default");
}

function detailed(diffs: string[], keys: string[]): Record<string, { diffKind: string; inputDiff: boolean }> {
  return Object.fromEntries(
    diffs.map((path) => [path, { diffKind: keys.includes(path) ? "update-replace" : "update", inputDiff: true }]),
  );
}
