import { randomBytes } from "node:crypto";
import { ignoreChangesAt } from "../../compare.ts";
import type { CallContext, CheckResult, DiffResult } from "../../provider.ts";
import { checkProviderInputs, providerOutputs } from "../../providers/registry.ts";
import type { ResourceState } from "../../resource.ts";
import { createUrn, parseUrn } from "../../urn.ts";
import type { PropertyMap } from "../../values.ts";
import type { ReadGoal } from "../monitor/requests.ts";
import type { ProviderCalls } from "../steps/providerCalls.ts";
import type { Step } from "../steps/step.ts";
import { formerUrns } from "./aliases.ts";
import { dependentsToReplace } from "./dependents.ts";
import { applyReplaceOnChanges, diffComponent, diffCustom, replaceBecause } from "./diff.ts";
import { type Goal, Refusal } from "./goal.ts";
import { isProviderType, packageOf } from "./references.ts";

/** What the planner needs of the deployment. */
export interface PlannerHost {
  readonly stack: string;
  readonly project: string;
  readonly preview: boolean;
  /** The old state, in topological order. */
  readonly resources: ResourceState[];
  /** The old state's live resources by URN. */
  readonly olds: Map<string, ResourceState>;
  /** A provider by its reference; one of the old state is loaded from there. */
  provider(reference: string): Promise<ProviderCalls>;
  context(urn: string): CallContext;
  /** Shows an error that is to fail the deployment, and lets a preview go on. */
  fail(error: Refusal): void;
  tell(severity: "info" | "warning", message: string, urn: string): void;
  rename(from: string, to: string): void;
}

/**
 * Decides what to do with each registration. One at a time: what one plan finds out (a replacement's dependents, a used
 * alias) the next must know.
 */
export class Planner {
  readonly #host: PlannerHost;
  /** Every URN met in this run. */
  readonly #met = new Set<string>();
  /** URNs that need no deleting: something was decided for them. */
  readonly #handled = new Set<string>();
  readonly #replaced = new Set<string>();
  /** URNs deleted because something that they depend on is replaced. */
  readonly #deleted = new Set<string>();
  readonly #aliasOf = new Map<string, string>();
  readonly #aliased = new Map<string, string>();
  readonly #deletedStates = new Set<ResourceState>();

  constructor(host: PlannerHost) {
    this.#host = host;
  }

  /** The steps for one registration; the last one with a new state answers it. */
  async plan(goal: Goal): Promise<Step[]> {
    const urn = this.#newUrn(goal);
    const old = this.#findOld(urn, goal);
    const recreating = this.#deleted.has(urn);
    const state = this.#newState(urn, goal, old);
    const fresh = old === undefined || recreating || old.external === true;

    if (old !== undefined) {
      const { inputs, failed } = ignoreChangesAt(goal.ignoreChanges, old.inputs, goal.inputs);
      if (failed.length > 0) {
        this.#host.tell(
          "info",
          `ignoreChanges: nothing to put back at ${failed.join(", ")}, which was added or removed.`,
          urn,
        );
      }
      state.inputs = inputs;
    }
    const seed = randomBytes(32);
    state.inputs = await this.#check(state, fresh ? undefined : old?.inputs, fresh ? goal.inputs : state.inputs, seed);

    if (old === undefined) {
      this.#handled.add(urn);
      return [step("create", state)];
    }
    if (recreating) {
      this.#deleted.delete(urn);
      this.#handled.add(urn);
      this.#replaced.add(urn);
      return [step("replace", state, old), step("create-replacement", state, old)];
    }
    if (old.external) {
      this.#handled.add(urn);
      return [{ ...step("create-replacement", state, old), condemnOld: true }, step("replace", state, old)];
    }
    return this.#planChange(goal, old, state, seed);
  }

  /** The steps for a resource that the program only reads. */
  planRead(goal: ReadGoal): Step[] {
    const urn = this.#newUrn(goal);
    const old = this.#findOld(urn, { ...goal, aliases: [] });
    if (goal.id === "" && !this.#host.preview) throw new Refusal(`Reading ${urn} needs the resource's id.`, urn);
    this.#handled.add(urn);
    const state: ResourceState = {
      urn,
      type: goal.type,
      custom: true,
      id: goal.id,
      inputs: goal.inputs,
      outputs: {},
      parent: goal.parent,
      provider: goal.provider,
      dependencies: goal.dependencies,
      propertyDependencies: {},
      external: true,
      additionalSecretOutputs: goal.additionalSecretOutputs,
      sourcePosition: goal.sourcePosition,
    };
    if (old !== undefined && !old.external && old.id !== goal.id) {
      this.#replaced.add(urn);
      return [{ ...step("read-replacement", state, old), condemnOld: true }, step("replace", state, old)];
    }
    return [step("read", state, old)];
  }

  /** What is left of the old state when the program has registered all: to be deleted, or only to be forgotten. */
  leftovers(): { condemned: ResourceState[]; forgotten: ResourceState[] } {
    const condemned: ResourceState[] = [];
    const forgotten: ResourceState[] = [];
    for (const old of this.#host.resources) {
      if (old.delete) {
        if (!this.#deletedStates.has(old)) condemned.push(old);
      } else if (!this.#handled.has(old.urn) && !this.#aliased.has(old.urn)) {
        if (old.pendingReplacement) forgotten.push(old);
        else condemned.push(old);
      }
    }
    return { condemned, forgotten };
  }

  /** The URNs whose resources this run has left as they were or made new: nothing of them can be a dependent any more. */
  get settled(): Set<string> {
    return new Set([...this.#handled, ...this.#deleted, ...this.#replaced]);
  }

  #newUrn(goal: { type: string; name: string; parent: string | undefined }): string {
    if (goal.parent !== undefined && !this.#met.has(goal.parent)) {
      throw new Refusal(
        `${goal.type} "${goal.name}" names the parent ${goal.parent}, which is not registered in this run.`,
      );
    }
    const urn = createUrn(this.#host.stack, this.#host.project, goal.parent, goal.type, goal.name);
    if (this.#met.has(urn)) {
      throw new Refusal(`Two resources have the URN ${urn}. Give one of them another name.`, urn);
    }
    this.#met.add(urn);
    return urn;
  }

  #findOld(urn: string, goal: Pick<Goal, "name" | "type" | "parent" | "aliases">): ResourceState | undefined {
    const claimed = this.#aliased.get(urn);
    if (claimed !== undefined) {
      throw new Refusal(`${urn} is registered, and is an alias of ${claimed} too. Remove one of the two.`, urn);
    }
    const own = this.#host.olds.get(urn);
    if (own !== undefined) return own;
    const { stack, project } = this.#host;
    for (const alias of formerUrns(goal, { stack, project, aliasOf: (of) => this.#aliasOf.get(of) })) {
      const old = this.#host.olds.get(alias);
      if (old === undefined || alias === urn) continue;
      const other = this.#met.has(alias) ? alias : this.#aliased.get(alias);
      if (other !== undefined) {
        throw new Refusal(
          `${urn} has the alias ${alias}, which is the same resource as ${other}. Only one can have it.`,
          urn,
        );
      }
      this.#aliased.set(alias, urn);
      this.#aliasOf.set(urn, alias);
      this.#host.rename(alias, urn);
      return old;
    }
    return undefined;
  }

  #newState(urn: string, goal: Goal, old: ResourceState | undefined): ResourceState {
    const alias = this.#aliasOf.get(urn);
    return {
      urn,
      type: goal.type,
      custom: goal.custom,
      id: "",
      inputs: goal.inputs,
      outputs: {},
      parent: goal.parent,
      provider: goal.provider || undefined,
      dependencies: goal.dependencies,
      propertyDependencies: goal.propertyDependencies,
      protect: goal.protect,
      retainOnDelete: goal.retainOnDelete,
      deletedWith: goal.deletedWith,
      additionalSecretOutputs: goal.additionalSecretOutputs,
      aliases: alias === undefined ? undefined : [alias],
      ignoreChanges: goal.ignoreChanges,
      replaceOnChanges: goal.replaceOnChanges,
      ...(goal.customTimeouts && { customTimeouts: goal.customTimeouts }),
      sourcePosition: goal.sourcePosition,
      created: old?.created,
      modified: old?.modified,
    };
  }

  /** The inputs as the provider wants them. @throws Refusal naming every failed check */
  async #check(
    state: ResourceState,
    olds: PropertyMap | undefined,
    news: PropertyMap,
    randomSeed: Uint8Array,
  ): Promise<PropertyMap> {
    if (!state.custom) return news;
    if (isProviderType(state.type)) return checkProviderInputs(packageOf(state.type), news, olds);
    const provider = await this.#host.provider(state.provider ?? "");
    const result: CheckResult = await provider.check({ ...this.#host.context(state.urn), olds, news, randomSeed });
    if (result.failures.length > 0) {
      const lines = result.failures.map(({ property, reason }) =>
        property === "" ? reason : `${property}: ${reason}`,
      );
      throw new Refusal(
        `${state.type} "${parseUrn(state.urn).name}" is not valid:\n  ${lines.join("\n  ")}`,
        state.urn,
      );
    }
    return result.inputs;
  }

  async #planChange(goal: Goal, old: ResourceState, state: ResourceState, seed: Uint8Array): Promise<Step[]> {
    const { urn } = state;
    this.#handled.add(urn);
    const broken = (old.initErrors?.length ?? 0) > 0;
    const diff = applyReplaceOnChanges(await this.#diff(goal, old, state), goal.replaceOnChanges, broken);
    const replace = old.pendingReplacement === true || (diff.changes === "some" && diff.replaceKeys.length > 0);
    if (!replace) {
      if (diff.changes !== "some" && !broken) return [step("same", state, old)];
      return [{ ...step("update", state, old), diffs: diff.changedKeys, ignoreChanges: goal.ignoreChanges }];
    }
    if (old.protect && state.protect) {
      const error = new Refusal(
        `${urn} is protected, and this change would replace it. To let it happen, take the option "protect" from the ` +
          `resource in the program; or undo the change of ${diff.replaceKeys.join(", ") || "its inputs"}.`,
        urn,
      );
      // A preview goes on, so that all that is in the way is seen at once.
      if (!this.#host.preview) throw error;
      this.#host.fail(error);
    }
    this.#replaced.add(urn);
    // What was carried over from the old resource (its name above all) is not the new one's.
    state.inputs = await this.#check(state, undefined, goal.inputs, seed);
    const details = { keys: diff.replaceKeys, diffs: diff.changedKeys };
    const marker: Step = { ...step("replace", state, old), ...details };
    const create: Step = { ...step("create-replacement", state, old), ...details };
    if (!(goal.deleteBeforeReplace ?? diff.deleteBeforeReplace) && !old.pendingReplacement) {
      return [{ ...create, condemnOld: true }, marker];
    }
    const deletes = await this.#deleteDependents(old);
    if (!old.pendingReplacement) deletes.push({ ...step("delete-replaced", undefined, old), keepPending: true });
    return [...deletes, marker, create];
  }

  async #diff(goal: Goal, old: ResourceState, state: ResourceState): Promise<DiffResult> {
    if (state.deletedWith !== undefined && this.#replaced.has(state.deletedWith)) return replaceBecause("deletedWith");
    if (!state.custom) return diffComponent(old.inputs, state.inputs);
    if (isProviderType(state.type)) {
      return diffComponent(old.outputs, providerOutputs(state.inputs));
    }
    // Another provider of the same package manages the same things; a version that was bumped is no reason to replace.
    if ((old.provider ?? "") === "") return replaceBecause("provider");
    const provider = await this.#host.provider(state.provider ?? "");
    return diffCustom(provider, this.#host.context(state.urn), old, state.inputs, goal.ignoreChanges);
  }

  /** Deletes, in reverse order, of what would be replaced when `old` is: it can't outlive what it depends on. */
  async #deleteDependents(old: ResourceState): Promise<Step[]> {
    const dependents = await dependentsToReplace(old, this.settled, this.#host);
    const steps: Step[] = [];
    for (const { state, keys } of dependents.reverse()) {
      // One that an earlier, interrupted run has deleted is there only to be made again.
      if (this.#deletedStates.has(state) || state.pendingReplacement) continue;
      if (state.protect) {
        throw new Refusal(
          `${state.urn} is protected, and replacing ${old.urn} would delete it. Take the option "protect" from it in the program first.`,
          state.urn,
        );
      }
      this.#deletedStates.add(state);
      if (!state.delete) this.#deleted.add(state.urn);
      steps.push({ ...step("delete-replaced", undefined, state), keys, keepPending: state.delete !== true });
    }
    return steps;
  }
}

function step(op: Step["op"], state: ResourceState | undefined, old?: ResourceState): Step {
  const about = (state ?? old) as ResourceState;
  return { op, urn: about.urn, type: about.type, old, new: state };
}
