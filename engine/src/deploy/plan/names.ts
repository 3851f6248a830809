import type { ResourceState } from "../../resource.ts";
import { createUrn } from "../../urn.ts";
import { formerUrns } from "./aliases.ts";
import { type Goal, Refusal } from "./goal.ts";

/** What a run's names are made from, and found in. */
export interface NamesHost {
  readonly stack: string;
  readonly project: string;
  /** The old state's live resources by URN. */
  readonly olds: Map<string, ResourceState>;
}

/** The URNs of one run: each given once, and each old resource found under its own or a former one. */
export class Names {
  readonly #host: NamesHost;
  /** Every URN met in this run. */
  readonly #met = new Set<string>();
  readonly #aliasOf = new Map<string, string>();
  readonly #aliased = new Map<string, string>();

  constructor(host: NamesHost) {
    this.#host = host;
  }

  /** @throws Refusal when the parent is not there yet, or the URN is taken */
  give(goal: { type: string; name: string; parent: string | undefined }): string {
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

  /** A resource that keeps its old URN although it is registered under another: its children name that one. */
  keep(urn: string): void {
    this.#met.add(urn);
  }

  has(urn: string): boolean {
    return this.#met.has(urn);
  }

  /**
   * The old resource that the URN stands for: its own first, then those that it is said to have had.
   * @throws Refusal when two resources claim the same
   */
  findOld(
    urn: string,
    goal: Pick<Goal, "name" | "type" | "parent"> & { aliases: Goal["aliases"] },
  ): ResourceState | undefined {
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
      return old;
    }
    return undefined;
  }

  /** The old URN under which the resource was found, if that was not its own. */
  aliasOf(urn: string): string | undefined {
    return this.#aliasOf.get(urn);
  }

  /** True when the old URN has been claimed as an alias. */
  isAliased(urn: string): boolean {
    return this.#aliased.has(urn);
  }
}
