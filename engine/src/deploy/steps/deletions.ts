import type { ResourceState } from "../../resource.ts";
import { dependenciesOf, namesIn } from "../plan/graph.ts";
import type { Step } from "./step.ts";

/**
 * What is deleted in this run, and what goes along with it because it lies inside (`deletedWith`).
 * What goes along stays in the state until that which takes it along is gone: a delete may fail, and then both are still there.
 */
export class Deletions {
  readonly #planned = new Set<ResourceState>();
  readonly #gone = new Set<ResourceState>();
  readonly #running = new Map<ResourceState, Promise<unknown>>();
  readonly #along = new Map<ResourceState, Passenger[]>();

  condemn(state: ResourceState): void {
    this.#planned.add(state);
  }

  /** @param run ends when the steps are done, or given up */
  plan(steps: Step[], run: Promise<unknown>): void {
    const over = run.catch(() => {});
    for (const { op, old } of steps) {
      if (op !== "delete-replaced" || old === undefined) continue;
      this.condemn(old);
      this.#running.set(old, over);
    }
  }

  /**
   * Resolves when the deletes of chains planned before are over that these steps must not run beside: of what they make anew,
   * and of what leans on what they delete.
   * @param resources the old state
   */
  async before(steps: Step[], resources: ResourceState[]): Promise<void> {
    const own = new Set(steps.map(({ old }) => old));
    const deletes = steps.filter(({ op }) => op === "delete-replaced");
    const namesOf = namesIn(deletes.length > 0 ? resources : []);
    const deleted = new Set(deletes.flatMap(({ urn, old }) => (old === undefined ? [urn] : namesOf(old))));
    const first = [...this.#running].filter(([state]) => {
      return own.has(state) || (deleted.size > 0 && [...dependenciesOf(state, true)].some((urn) => deleted.has(urn)));
    });
    await Promise.all(first.map(([, over]) => over));
  }

  /**
   * The resource whose delete takes this one along; undefined: it needs a delete of its own.
   * @param all everything that there is, old and new: after a replacement several have the URN, and it lies inside one of them
   */
  carrierOf(state: ResourceState, all: Iterable<ResourceState>): ResourceState | undefined {
    const { deletedWith } = state;
    if (deletedWith === undefined) return undefined;
    const there = [...all];
    const namesOf = namesIn(there);
    const bearers = there.filter((one) => namesOf(one).includes(deletedWith)).sort((a, b) => madeAt(a) - madeAt(b));
    // The youngest of those that were there when it was made.
    const carrier = bearers.findLast((bearer) => madeAt(bearer) <= madeAt(state)) ?? bearers[0];
    const goes = carrier !== undefined && this.#planned.has(carrier) && !carrier.retainOnDelete;
    return goes ? carrier : undefined;
  }

  /** What a provider must stay for, in the state: something that it may still have to delete. */
  carrierOfUsers(provider: ResourceState): ResourceState | undefined {
    const reference = `${provider.urn}::${provider.id}`;
    for (const [carrier, passengers] of this.#along) {
      const used = passengers.some(({ state }) => state.provider === reference);
      if (used && !this.#goesWith(carrier, provider)) return carrier;
    }
    return undefined;
  }

  /** True when the one goes with the other, itself or through what it goes along with: the other can't wait for it. */
  #goesWith(state: ResourceState, other: ResourceState): boolean {
    if (state === other) return true;
    return [...this.#along].some(
      ([carrier, passengers]) => passengers.some((one) => one.state === state) && this.#goesWith(carrier, other),
    );
  }

  /** @param leave takes it out of the state; called when its carrier goes, at once if that has gone before */
  goAlong(carrier: ResourceState, state: ResourceState, leave: () => void): void {
    const others = this.#along.get(carrier);
    if (this.#gone.has(carrier)) leave();
    else if (others === undefined) this.#along.set(carrier, [{ state, leave }]);
    else others.push({ state, leave });
  }

  /**
   * A resource is gone, and with it what lay inside.
   * @param left it has left the state too, so that nothing in there may lean on it
   */
  gone(state: ResourceState, left: boolean): void {
    this.#gone.add(state);
    const passengers = this.#along.get(state) ?? [];
    this.#along.delete(state);
    for (const { leave } of passengers) leave();
    if (!left) return;
    for (const [carrier, others] of this.#along) for (const other of others) letGo(other.state, state, carrier);
  }
}

/** What waits in the state for its carrier to go. */
interface Passenger {
  state: ResourceState;
  leave: () => void;
}

function letGo(state: ResourceState, gone: ResourceState, carrier: ResourceState): void {
  const stays = (urn: string): boolean => urn !== gone.urn;
  state.dependencies = state.dependencies.filter(stays);
  state.propertyDependencies = Object.fromEntries(
    Object.entries(state.propertyDependencies).map(([key, urns]) => [key, urns.filter(stays)]),
  );
  if (state.parent === gone.urn) state.parent = gone.parent;
  // It bore the name of what was to replace its carrier.
  if (state.deletedWith === gone.urn) state.deletedWith = carrier.urn;
}

function madeAt({ created }: ResourceState): number {
  const time = Date.parse(created ?? "");
  return Number.isNaN(time) ? 0 : time;
}
