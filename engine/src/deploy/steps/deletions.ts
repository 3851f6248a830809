import type { ResourceState } from "../../resource.ts";

/**
 * What is deleted in this run, and what goes along with it because it lies inside (`deletedWith`).
 * What goes along stays in the state until that which takes it along is gone: a delete may fail, and then both are still there.
 */
export class Deletions {
  readonly #planned = new Set<ResourceState>();
  readonly #along = new Map<ResourceState, (() => void)[]>();

  plan(state: ResourceState): void {
    this.#planned.add(state);
  }

  /**
   * The resource whose delete takes this one along; undefined: it needs a delete of its own.
   * @param all everything that there is, old and new: after a replacement several have the URN, and it lies inside one of them
   */
  carrierOf(state: ResourceState, all: Iterable<ResourceState>): ResourceState | undefined {
    if (state.deletedWith === undefined) return undefined;
    const bearers = [...all].filter(({ urn }) => urn === state.deletedWith).sort((a, b) => madeAt(a) - madeAt(b));
    // The youngest of those that were there when it was made.
    const carrier = bearers.findLast((bearer) => madeAt(bearer) <= madeAt(state)) ?? bearers[0];
    const goes = carrier !== undefined && this.#planned.has(carrier) && !carrier.retainOnDelete;
    return goes ? carrier : undefined;
  }

  /** @param leave takes it out of the state; called when its carrier goes */
  goAlong(carrier: ResourceState, leave: () => void): void {
    const others = this.#along.get(carrier);
    if (others === undefined) this.#along.set(carrier, [leave]);
    else others.push(leave);
  }

  /** A resource is gone, and with it what lay inside. */
  gone(state: ResourceState): void {
    for (const leave of this.#along.get(state) ?? []) leave();
    this.#along.delete(state);
  }
}

function madeAt({ created }: ResourceState): number {
  const time = Date.parse(created ?? "");
  return Number.isNaN(time) ? 0 : time;
}
