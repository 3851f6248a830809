import { stripVTControlCharacters } from "node:util";
import type { DiagnosticEvent, EngineEvent, OpType, StepEventState } from "../events.ts";
import { maskForEvent, type SecretFilter } from "../masking.ts";
import { getPath } from "../paths.ts";
import type { ResourceState } from "../resource.ts";
import { setKey } from "../signatures.ts";
import { parseUrn } from "../urn.ts";
import type { PropertyMap } from "../values.ts";
import { isProviderType } from "./plan/references.ts";
import { isLogical, type Step } from "./steps/step.ts";

type Body = Omit<EngineEvent, "sequence" | "timestamp">;

/** The one way to the outside: numbers events, counts changes, keeps the errors, and takes every known secret out. */
export class EventSink {
  readonly filter: SecretFilter;
  /** How many resources each kind of step was done to. */
  readonly changes: Partial<Record<OpType, number>> = {};
  /** Warnings and errors, as they were shown. */
  readonly diagnostics: DiagnosticEvent[] = [];
  readonly #send: (event: EngineEvent) => void;
  readonly #planned: { planning?: true };
  #sequence = 0;

  constructor(send: (event: EngineEvent) => void, filter: SecretFilter, planning: boolean) {
    this.#send = send;
    this.filter = filter;
    this.#planned = planning ? { planning: true } : {};
  }

  emit(body: Body): void {
    this.#send({ sequence: this.#sequence++, timestamp: Math.floor(Date.now() / 1000), ...body });
  }

  diagnostic(event: DiagnosticEvent): void {
    const prefix = event.severity.startsWith("info") ? {} : { prefix: `${event.severity}: ` };
    const shown = { ...event, ...prefix, message: this.#plain(event.message), color: "never" };
    if (shown.severity === "warning" || shown.severity === "error") this.diagnostics.push(shown);
    this.emit({ diagnosticEvent: shown });
  }

  begin(step: Step): void {
    if (step.silent || isInternal(step)) return;
    this.emit({ resourcePreEvent: { metadata: this.#metadata(step), ...this.#planned } });
  }

  /** Counts a step that was done, and shows it; a component is shown when it has told its outputs. */
  done(step: Step): void {
    if (step.silent || isInternal(step)) return;
    if (isLogical(step.op)) this.changes[step.op] = (this.changes[step.op] ?? 0) + 1;
    if (step.new === undefined || step.new.custom) this.outputs(step);
  }

  outputs(step: Step): void {
    this.emit({ resOutputsEvent: { metadata: this.#metadata(step), ...this.#planned } });
  }

  failed(step: Step): void {
    this.emit({ resOpFailedEvent: { metadata: this.#metadata(step), status: 1, steps: 1 } });
  }

  summary(result: "succeeded" | "failed" | "interrupted", seconds: number): void {
    this.emit({
      summaryEvent: {
        maybeCorrupt: false,
        durationSeconds: Math.ceil(seconds),
        resourceChanges: this.changes,
        PolicyPacks: {},
        isPreview: this.#planned.planning ?? false,
        result: result === "interrupted" ? "canceled" : result,
      },
    });
  }

  /** The last word of a run that had begun, however it ended. */
  end(): void {
    if (this.#sequence > 0) this.emit({ cancelEvent: {} });
  }

  /** An error that leaves the run, without the secrets that its texts may repeat; the same one where they repeat none. */
  masked(error: unknown): unknown {
    if (!(error instanceof Error)) return typeof error === "string" ? this.filter.apply(error) : error;
    error.message = this.filter.apply(error.message);
    if (error.stack !== undefined) error.stack = this.filter.apply(error.stack);
    if (error.cause !== undefined) error.cause = this.masked(error.cause);
    return error;
  }

  /** Without secrets, and without a terminal's colours, which the SDK gives every exception; either may stand inside of the other. */
  #plain(text: string): string {
    const masked = this.filter.apply(text);
    const plain = stripVTControlCharacters(masked);
    return plain === masked ? masked : this.filter.apply(plain);
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
      ...(diffs && diffs.length > 0 ? { diffs } : {}),
      detailedDiff: diffs && diffs.length > 0 ? detailed(step, diffs, keys ?? []) : null,
      ...(isLogical(op) ? { logical: true } : {}),
      provider,
    };
  }

  #state(state: ResourceState): StepEventState {
    return {
      urn: state.urn,
      type: state.type,
      ...(state.custom ? { custom: true } : {}),
      ...(state.delete ? { delete: true } : {}),
      id: this.filter.apply(state.id),
      parent: state.parent ?? "",
      provider: state.provider ?? "",
      ...(state.protect ? { protect: true } : {}),
      ...(state.external ? { external: true } : {}),
      ...(state.retainOnDelete ? { retainOnDelete: true } : {}),
      ...(state.hideDiff?.length ? { hideDiffs: state.hideDiff } : {}),
      ...(state.initErrors?.length ? { initErrors: this.filter.applyDeep(state.initErrors) } : {}),
      inputs: this.#masked(state.inputs),
      outputs: this.#masked(state.outputs),
    };
  }

  /** Marked secrets first, then every text known to be one: outputs of a careless provider repeat them. */
  #masked(map: PropertyMap): Record<string, unknown> {
    return shortened(this.filter.applyDeep(maskForEvent(map)));
  }
}

/** Longer texts are cut: an event is to be followed, and what a command said in full is in the state. */
const LONGEST_TEXT = 256 * 1024;

// After the masking: a cut through a secret would leave a half that no filter knows.
function shortened<T>(value: T): T {
  return cut(value) as T;
}

function cut(value: unknown): unknown {
  if (typeof value === "string") {
    if (value.length <= LONGEST_TEXT) return value;
    return `${value.slice(0, LONGEST_TEXT)}… (${value.length - LONGEST_TEXT} characters more)`;
  }
  if (Array.isArray(value)) return value.map(cut);
  if (typeof value !== "object" || value === null) return value;
  const object: Record<string, unknown> = {};
  for (const [key, element] of Object.entries(value)) setKey(object, key, cut(element));
  return object;
}

/** Default providers are the engine's own affair. */
function isInternal({ type, urn }: Step): boolean {
  return isProviderType(type) && parseUrn(urn).name.startsWith("default");
}

function detailed(
  step: Step,
  diffs: string[],
  keys: string[],
): Record<string, { diffKind: string; inputDiff: boolean }> {
  return Object.fromEntries(
    diffs.map((path) => [
      path,
      { diffKind: kindOf(step, path) + (keys.includes(path) ? "-replace" : ""), inputDiff: true },
    ]),
  );
}

function kindOf(step: Step, path: string): "add" | "delete" | "update" {
  const [was, is] = [step.old, step.new].map((state) => isThere(state?.inputs ?? {}, path));
  if (was === is) return "update";
  return is ? "add" : "delete";
}

function isThere(inputs: PropertyMap, path: string): boolean {
  try {
    return (getPath(inputs, path) ?? null) !== null;
  } catch {
    // What a provider of the program's own says has changed may be no path.
    return false;
  }
}
