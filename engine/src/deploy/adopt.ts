import { equalValues } from "../compare.ts";
import { SecretFilter } from "../masking.ts";
import type { EngineOptions } from "../options.ts";
import type { ResourceState, Snapshot } from "../resource.ts";
import { createUrn } from "../urn.ts";
import { type PropertyMap, Unknown } from "../values.ts";
import { EventSink } from "./eventSink.ts";
import type { MonitorHost } from "./monitor/monitor.ts";
import type { ReadGoal, Sources } from "./monitor/requests.ts";
import { formerUrns } from "./plan/aliases.ts";
import { type Goal, notCovered, Refusal } from "./plan/goal.ts";
import { locateProgram } from "./program/location.ts";
import { ServedProgram } from "./program/servedProgram.ts";
import { Stack } from "./stack.ts";
import { containsUnknown } from "./steps/marking.ts";

/**
 * A deployment in name only: answers the program's registrations from the state, calls no provider, and hands each pair of
 * what stands in the state and what the program wants now to `onMatch`.
 */
export class AdoptionHost implements MonitorHost {
  readonly preview = true;
  readonly partial = false;
  readonly sources: Sources;
  readonly #stack: string;
  readonly #project: string;
  readonly #olds: Map<string, ResourceState>;
  readonly #answers = new Map<string, ResourceState>();
  readonly #aliasOf = new Map<string, string>();
  readonly #onMatch: (old: ResourceState, inputs: PropertyMap) => void;
  error: Error | undefined;

  constructor(options: {
    stack: string;
    project: string;
    snapshot: Snapshot;
    sources: Sources;
    onMatch: (old: ResourceState, inputs: PropertyMap) => void;
  }) {
    this.#stack = options.stack;
    this.#project = options.project;
    this.sources = options.sources;
    this.#onMatch = options.onMatch;
    this.#olds = new Map(
      options.snapshot.resources.filter((state) => !state.delete).map((state) => [state.urn, state]),
    );
  }

  async register(goal: Goal): Promise<ResourceState> {
    const urn = createUrn(this.#stack, this.#project, goal.parent, goal.type, goal.name);
    const context = {
      stack: this.#stack,
      project: this.#project,
      aliasOf: (of: string) => this.#aliasOf.get(of),
    };
    const former = this.#olds.has(urn) ? urn : formerUrns(goal, context).find((alias) => this.#olds.has(alias));
    const old = former === undefined ? undefined : this.#olds.get(former);
    if (old !== undefined) {
      if (old.urn !== urn) this.#aliasOf.set(urn, old.urn);
      this.#onMatch(old, goal.inputs);
    }
    // What the state does not know is unknown to the program too, as in any preview.
    const answer: ResourceState = {
      urn,
      type: goal.type,
      custom: goal.custom,
      id: old?.id ?? "",
      inputs: goal.inputs,
      outputs: old?.outputs ?? goal.inputs,
      dependencies: [],
      propertyDependencies: {},
    };
    this.#answers.set(urn, answer);
    return answer;
  }

  isSkipped(): boolean {
    return false;
  }

  async defaultProvider(pkg: string): Promise<string> {
    return `urn:pulumi:${this.#stack}::${this.#project}::pulumi:providers:${pkg}::default::unused`;
  }

  async registerOutputs(): Promise<void> {}

  async read(goal: ReadGoal): Promise<ResourceState> {
    return this.register({ ...goal, custom: true, aliases: [] } as unknown as Goal);
  }

  async invoke(token: string, args: PropertyMap) {
    if (token !== "pulumi:pulumi:getResource")
      throw notCovered(`The function ${token}, while only settings are taken over,`);
    const state = typeof args.urn === "string" ? this.#answers.get(args.urn) : undefined;
    if (state === undefined)
      throw new Refusal(`The program asks for ${String(args.urn)}, which it has not registered yet.`);
    return { result: { urn: state.urn, id: state.id, provider: "", state: state.outputs }, failures: [] };
  }

  async programDone(): Promise<void> {}

  log(line: Parameters<MonitorHost["log"]>[0]): void {
    if (line.severity === "error") this.error ??= new Error(line.message);
  }

  refuse(error: unknown): void {
    this.error ??= error instanceof Error ? error : new Error(String(error));
  }
}

/** What to take over, and from which resources. */
export interface Adoption {
  /** Types, `*` standing for any text in them: `command:remote:*`. */
  types: string[];
  /** Input properties, whole: `connection`. */
  properties: string[];
  /** Resources that the program has no more take what all others are given alike: they are yet to be deleted. */
  orphans?: boolean;
}

/**
 * The state with the named inputs as the program gives them now, in inputs and outputs.
 * @returns the new state and the URNs that differ from before
 */
export function adopt(
  snapshot: Snapshot,
  wanted: Map<ResourceState, PropertyMap>,
  { types, properties, orphans = false }: Adoption,
): { snapshot: Snapshot; urns: string[] } {
  const patterns = types.map(
    (type) => new RegExp(`^${type.replace(/[.+?^${}()|[\]\\]/g, "\\$&").replaceAll("*", ".*")}$`),
  );
  const isMeant = ({ type }: ResourceState): boolean => patterns.some((pattern) => pattern.test(type));
  const given = [...wanted].filter(([old]) => isMeant(old)).map(([, news]) => news);
  const forOrphans = orphans ? alike(given, properties) : undefined;
  const urns: string[] = [];
  const resources = snapshot.resources.map((old) => {
    const news = wanted.get(old) ?? forOrphans;
    if (news === undefined || !isMeant(old)) return old;
    const state = { ...old, inputs: { ...old.inputs }, outputs: { ...old.outputs } };
    let changed = false;
    for (const property of properties) {
      const value = news[property];
      if (value === undefined || value instanceof Unknown || containsUnknown(value)) continue;
      changed = true;
      state.inputs[property] = value;
      if (Object.hasOwn(old.outputs, property)) state.outputs[property] = value;
    }
    if (!changed) return old;
    urns.push(old.urn);
    return state;
  });
  return { snapshot: { ...snapshot, resources }, urns };
}

/** Of these properties those that have one value in all of the maps. */
function alike(maps: PropertyMap[], properties: string[]): PropertyMap {
  const [first = {}] = maps;
  const same = properties.filter((key) => maps.every((map) => equalValues(map[key] ?? null, first[key] ?? null)));
  return Object.fromEntries(same.flatMap((key) => (first[key] === undefined ? [] : [[key, first[key]]])));
}

/**
 * Runs the program as in a preview and takes some inputs into the state as it gives them now. No provider is called.
 * @returns the URNs of the resources that were changed
 * @throws when the program fails
 */
export async function adoptInputs(options: AdoptOptions, what: Adoption): Promise<string[]> {
  const started = Date.now();
  const events = new EventSink(options.onEvent ?? (() => {}), new SecretFilter(), true);
  const stack = await Stack.open(options, {
    lock: true,
    tell: (message) => events.diagnostic({ severity: "warning", message }),
  });
  try {
    stack.tellSecrets(events.filter);
    const before = await stack.load();
    for (const { inputs, outputs } of before.resources) {
      events.filter.addSecrets(inputs);
      events.filter.addSecrets(outputs);
    }
    const wanted = new Map<ResourceState, PropertyMap>();
    const location = locateProgram(stack.project.dir, stack.project.main);
    const host = new AdoptionHost({
      stack: stack.name,
      project: stack.project.name,
      snapshot: before,
      sources: { programDir: location.dir, rootDir: stack.project.dir },
      onMatch: (old, inputs) => {
        events.filter.addSecrets(inputs);
        wanted.set(old, inputs);
      },
    });
    const session = await ServedProgram.start({ stack, location, options, preview: true, events });
    try {
      session.serve(host);
      const stopped = new Promise<"stopped">((resolve) => {
        options.signal?.addEventListener("abort", () => resolve("stopped"), { once: true });
      });
      const end = await Promise.race([session.program.finished, stopped]);
      if (end === "stopped") throw new Error("Interrupted; the state was left as it was.");
      if (host.error !== undefined) throw host.error;
      if (!end.ok) throw new Error(end.error);
    } finally {
      await session.stop();
    }
    const { snapshot, urns } = adopt(before, wanted, what);
    if (urns.length === 0) return urns;
    await stack.save(snapshot);
    const changes = { update: urns.length };
    await stack.record({
      kind: "update",
      result: "succeeded",
      changes,
      started,
      message: "inputs taken over into the state",
    });
    return urns;
  } catch (error) {
    throw events.masked(error);
  } finally {
    await stack.close();
  }
}

export type AdoptOptions = Omit<EngineOptions, "providers" | "preview" | "message" | "killSignal">;
