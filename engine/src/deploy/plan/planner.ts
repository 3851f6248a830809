import { randomBytes } from "node:crypto";
import { ignoreChangesAt } from "../../ignoreChanges.ts";
import type { CallContext, DiffResult } from "../../provider.ts";
import { providerOutputs } from "../../providers/registry.ts";
import type { ResourceState } from "../../resource.ts";
import type { PropertyMap } from "../../values.ts";
import type { ReadGoal } from "../monitor/requests.ts";
import { containsUnknown } from "../steps/marking.ts";
import type { ProviderCalls } from "../steps/providerCalls.ts";
import { type Step, stepOf } from "../steps/step.ts";
import { checkInputs } from "./check.ts";
import { dependentsToReplace } from "./dependents.ts";
import { applyReplaceOnChanges, diffComponent, diffCustom, replaceBecause } from "./diff.ts";
import { type Goal, Refusal } from "./goal.ts";
import { Names } from "./names.ts";
import { isImport, newState, readState } from "./newState.ts";
import { neededBy, stillNeeded, unknownInUpdate, unreachable } from "./reach.ts";
import { isProviderType } from "./references.ts";
import type { Targeting } from "./targets.ts";

/** What the planner needs of the deployment. */
export interface PlannerHost {
  readonly stack: string;
  readonly project: string;
  readonly preview: boolean;
  /** The old state, in topological order. */
  readonly resources: ResourceState[];
  /** The old state's live resources by URN. */
  readonly olds: Map<string, ResourceState>;
  readonly targeting: Targeting;
  /** A provider by its reference; one of the old state is loaded from there. */
  provider(reference: string): Promise<ProviderCalls>;
  context(urn: string): CallContext;
  /** Shows an error that is to fail the deployment, and lets a preview go on. */
  fail(error: Refusal): void;
  tell(severity: "info" | "warning", message: string, urn: string): void;
  rename(from: string, to: string): void;
  /** Runs steps that the rest of the plan hangs on. @throws Stopped when one of them failed */
  perform(steps: Step[]): Promise<void>;
}

/**
 * Decides what to do with each registration. One at a time: what one plan finds out (a replacement's dependents, a used
 * alias) the next must know.
 */
export class Planner {
  readonly #host: PlannerHost;
  readonly #names: Names;
  /** URNs that are not among the targets, and will not exist. */
  readonly #skipped = new Set<string>();
  /** Old states that stay exactly as they are, by URN. */
  readonly #kept = new Map<string, ResourceState>();
  /** URNs that need no deleting: something was decided for them. */
  readonly #handled = new Set<string>();
  readonly #replaced = new Set<string>();
  /** URNs deleted because something that they depend on is replaced. */
  readonly #deleted = new Set<string>();
  readonly #deletedStates = new Set<ResourceState>();

  constructor(host: PlannerHost) {
    this.#host = host;
    this.#names = new Names(host);
  }

  /** The steps for one registration; the last one with a new state answers it. */
  async plan(goal: Goal): Promise<Step[]> {
    const urn = this.#names.give(goal);
    const old = this.#names.findOld(urn, goal);
    const state = newState(urn, goal, old, this.#aliases(urn, old));
    const recreating = this.#deleted.has(urn);
    if (!this.#host.targeting.includes(state) && !recreating) return this.#leaveAlone(state, old);
    this.#requireReachable(state);
    if (old !== undefined && old.urn !== urn) this.#host.rename(old.urn, urn);
    const seed = randomBytes(32);
    if (isImport(goal, old)) return this.#planImport(goal, old, state, recreating, seed);

    const fresh = old === undefined || recreating || old.external === true || this.#host.targeting.replaces(urn);
    state.inputs = await checkInputs(
      this.#host,
      state,
      fresh ? undefined : old.inputs,
      fresh ? goal.inputs : this.#ignoring(goal, old, urn),
      seed,
    );
    if (old === undefined) {
      this.#handled.add(urn);
      return [stepOf("create", state)];
    }
    if (recreating) {
      this.#deleted.delete(urn);
      this.#handled.add(urn);
      this.#replaced.add(urn);
      return [stepOf("replace", state, old), stepOf("create-replacement", state, old)];
    }
    if (old.external) {
      this.#handled.add(urn);
      return [{ ...stepOf("create-replacement", state, old), condemnOld: true }, stepOf("replace", state, old)];
    }
    return this.#planChange(goal, old, state, seed);
  }

  /** The steps for a resource that the program only reads. */
  planRead(goal: ReadGoal): Step[] {
    const urn = this.#names.give(goal);
    const old = this.#names.findOld(urn, { ...goal, aliases: [] });
    if (goal.id === "" && !this.#host.preview) throw new Refusal(`Reading ${urn} needs the resource's id.`, urn);
    this.#handled.add(urn);
    const state = readState(urn, goal);
    this.#requireReachable(state);
    if (old !== undefined && !old.external && old.id !== goal.id) {
      this.#replaced.add(urn);
      return [{ ...stepOf("read-replacement", state, old), condemnOld: true }, stepOf("replace", state, old)];
    }
    return [stepOf("read", state, old)];
  }

  /** What is left of the old state when the program has registered all: to be deleted, or only to be forgotten. */
  leftovers(): { condemned: ResourceState[]; forgotten: ResourceState[] } {
    const condemned: ResourceState[] = [];
    const forgotten: ResourceState[] = [];
    const deletable = this.#host.targeting.deletable(this.#host.resources);
    const kept = [...this.#kept.values()];
    const needed = neededBy(kept, this.#host.olds);
    for (const old of this.#host.resources) {
      // What this run has replaced goes, also where only its dependence on a target brought it in; but not while an excluded one uses it.
      const replaced = old.delete && this.#replaced.has(old.urn) && !this.#host.targeting.excluding;
      if (!deletable.has(old) && !replaced) continue;
      if (old.delete) {
        // A provider that was made anew goes when nothing is left of the one before.
        const inUse = kept.some(({ provider }) => provider === `${old.urn}::${old.id}`);
        if (!this.#deletedStates.has(old) && !inUse) condemned.push(old);
      } else if (!this.#handled.has(old.urn) && !this.#names.isAliased(old.urn)) {
        const bearer = needed.get(old.urn);
        if (bearer !== undefined) this.#host.tell("warning", stillNeeded(old, bearer), old.urn);
        else if (old.pendingReplacement) forgotten.push(old);
        else condemned.push(old);
      }
    }
    return { condemned, forgotten };
  }

  /** The URNs whose resources this run has left as they were or made new: nothing of them can be a dependent any more. */
  get settled(): Set<string> {
    return new Set([...this.#handled, ...this.#deleted, ...this.#replaced]);
  }

  /** True when the URN was registered in this run. */
  knows(urn: string): boolean {
    return this.#names.has(urn);
  }

  /** The URN under which it was found now, and those that what it has replaced, and is still to be deleted, has. */
  #aliases(urn: string, old: ResourceState | undefined): string[] {
    const known = (old?.aliases ?? []).filter((alias) =>
      this.#host.resources.some((state) => state.delete && state.urn === alias),
    );
    const alias = this.#names.aliasOf(urn);
    return [...new Set(alias === undefined ? known : [alias, ...known])];
  }

  /** A resource that the run is not about: as it was where it exists, and otherwise not there for this time. */
  #leaveAlone(state: ResourceState, old: ResourceState | undefined): Step[] {
    this.#handled.add(state.urn);
    if (old === undefined) {
      this.#skipped.add(state.urn);
      return [{ ...stepOf("same", state), skipped: true, silent: true }];
    }
    this.#handled.add(old.urn);
    this.#names.keep(old.urn);
    this.#kept.set(old.urn, old);
    return [{ ...stepOf("same", { ...old }, old), kept: true }];
  }

  /** @throws Refusal when the resource leans on one that will not exist, or that leans on it in the state */
  #requireReachable(state: ResourceState): void {
    if (!this.#host.targeting.constrained) return;
    const error = unreachable(state, this.#skipped, this.#kept, this.#host.olds);
    if (error !== undefined) this.#refuse(error);
    if (!this.#host.preview && containsUnknown(state.inputs)) throw unknownInUpdate(state);
  }

  /** The program's inputs, with the old ones where it wants them ignored. */
  #ignoring(goal: Goal, old: ResourceState, urn: string): PropertyMap {
    const { inputs, failed } = ignoreChangesAt(goal.ignoreChanges, old.inputs, goal.inputs);
    if (failed.length > 0) {
      this.#host.tell(
        "info",
        `ignoreChanges: nothing to put back at ${failed.join(", ")}, which was added or removed.`,
        urn,
      );
    }
    return inputs;
  }

  /** Reads what is there already into the state, at once; what the program wants of it differently is a change like any other. */
  async #planImport(
    goal: Goal,
    old: ResourceState | undefined,
    wanted: ResourceState,
    recreating: boolean,
    seed: Uint8Array,
  ): Promise<Step[]> {
    const { urn } = wanted;
    // One that an earlier run has deleted is not there to be deleted again.
    const replacing = old !== undefined && !recreating && !old.pendingReplacement;
    const state: ResourceState = { ...wanted };
    const differs = (keys: string[]) =>
      new Refusal(
        `${urn}: what is there under the id "${goal.importId}" differs from the program in ${[...new Set(keys)].join(", ")}, which can't ` +
          "be changed in place: importing it would replace it. Say in the program what is there.",
        urn,
      );
    const accept = async (found: ResourceState): Promise<void> => {
      wanted.inputs = await checkInputs(this.#host, wanted, found.inputs, this.#ignoring(goal, found, urn), seed);
      const { changes, replaceKeys } = applyReplaceOnChanges(
        await this.#diff(goal, found, wanted),
        goal.replaceOnChanges,
        (found.initErrors?.length ?? 0) > 0,
      );
      // In the state, the next update would take it for one of ours and replace it. A preview goes on, and says so below.
      if (changes === "some" && replaceKeys.length > 0 && !this.#host.preview) throw differs(replaceKeys);
    };
    const op = replacing ? "import-replacement" : "import";
    const read: Step = { ...stepOf(op, state, old), importId: goal.importId, accept };
    await this.#host.perform(replacing ? [{ ...read, condemnOld: true }, stepOf("replace", state, old)] : [read]);
    this.#handled.add(urn);
    if (replacing) this.#replaced.add(urn);
    if (recreating) this.#deleted.delete(urn);
    wanted.created = state.created;
    wanted.modified = state.modified;
    const [next, ...more] = await this.#planChange(goal, state, wanted, seed);
    if (next?.op === "update") return [next];
    if (next?.op !== "same") this.#refuse(differs([next, ...more].flatMap((one) => one?.keys ?? [])));
    return [{ ...stepOf("same", state, state), kept: true, silent: true }];
  }

  /** A preview goes on, so that all that is in the way is seen at once. */
  #refuse(error: Refusal): void {
    if (!this.#host.preview) throw error;
    this.#host.fail(error);
  }

  async #planChange(goal: Goal, old: ResourceState, state: ResourceState, seed: Uint8Array): Promise<Step[]> {
    const { urn } = state;
    this.#handled.add(urn);
    const broken = (old.initErrors?.length ?? 0) > 0;
    // A component's inputs are no paths of anything that could be replaced, to the official engine neither.
    const paths = goal.custom ? goal.replaceOnChanges : [];
    const diff = applyReplaceOnChanges(await this.#diff(goal, old, state), paths, broken);
    const replace = old.pendingReplacement === true || (diff.changes === "some" && diff.replaceKeys.length > 0);
    if (!replace) {
      if (diff.changes !== "some" && !broken) return [stepOf("same", state, old)];
      return [{ ...stepOf("update", state, old), diffs: diff.changedKeys, ignoreChanges: goal.ignoreChanges }];
    }
    if (old.protect && state.protect) {
      const named = this.#host.targeting.replaces(urn);
      const error = new Refusal(
        `${urn} is protected, and ${named ? "--replace" : "this change"} would replace it. To let it happen, take the option "protect" ` +
          `from the resource in the program; or ${named ? "don't name it" : `undo the change of ${diff.replaceKeys.join(", ") || "its inputs"}`}.`,
        urn,
      );
      this.#refuse(error);
    }
    this.#replaced.add(urn);
    // What was carried over from the old resource (its name above all) is not the new one's.
    if (!this.#host.targeting.replaces(urn))
      state.inputs = await checkInputs(this.#host, state, undefined, goal.inputs, seed);
    const details = { keys: diff.replaceKeys, diffs: diff.changedKeys };
    const marker: Step = { ...stepOf("replace", state, old), ...details };
    const create: Step = { ...stepOf("create-replacement", state, old), ...details };
    if (!(goal.deleteBeforeReplace ?? diff.deleteBeforeReplace) && !old.pendingReplacement) {
      return [{ ...create, condemnOld: true }, marker];
    }
    const deletes = await this.#deleteDependents(old);
    if (!old.pendingReplacement) deletes.push({ ...stepOf("delete-replaced", undefined, old), keepPending: true });
    return [...deletes, marker, create];
  }

  async #diff(goal: Goal, old: ResourceState, state: ResourceState): Promise<DiffResult> {
    if (this.#host.targeting.replaces(state.urn)) return replaceBecause("id");
    if (state.deletedWith !== undefined && this.#replaced.has(state.deletedWith)) return replaceBecause("deletedWith");
    // The one has a provider that must delete it, the other none.
    if (old.custom !== state.custom) return replaceBecause("provider");
    if (!state.custom) return diffComponent(old.inputs, state.inputs);
    if (isProviderType(state.type)) {
      return diffComponent(old.outputs, providerOutputs(state.inputs));
    }
    // Another provider of the same package manages the same things; a version that was bumped is no reason to replace.
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
      if (!this.#host.targeting.includes(state) || !this.#host.targeting.mayGoAlong(state.urn)) {
        this.#refuse(
          new Refusal(
            `${state.urn} must be replaced together with ${old.urn}, and is not among the targets. Add it to them, or let dependents follow (--target-dependents).`,
            state.urn,
          ),
        );
      }
      this.#deletedStates.add(state);
      if (!state.delete) this.#deleted.add(state.urn);
      steps.push({ ...stepOf("delete-replaced", undefined, state), keys, keepPending: state.delete !== true });
    }
    return steps;
  }
}
