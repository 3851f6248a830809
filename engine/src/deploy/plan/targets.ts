import { didYouMean } from "../../nearUrns.ts";
import type { ResourceState } from "../../resource.ts";
import { parseUrn, STACK_TYPE } from "../../urn.ts";
import { dependenciesOf } from "./graph.ts";
import { isProviderType } from "./references.ts";

/** Which resources a run is about; every list holds URNs or patterns of URNs. */
export interface TargetOptions {
  /** Only these are made, changed, refreshed or deleted. @default all */
  targets?: string[];
  /** What leans on a target is one too. @default false */
  targetDependents?: boolean;
  /** All but these. @default none */
  excludes?: string[];
  /** What leans on an excluded resource is left alone too. @default false */
  excludeDependents?: boolean;
  /** Made anew, whether they have changed or not. @default none */
  replace?: string[];
}

/** URNs, or patterns of them: `*` stands for any text without a colon, `**` for any text. */
export class UrnPatterns {
  readonly literals: Set<string>;
  readonly #globs: RegExp[];

  constructor(texts: string[] = []) {
    this.literals = new Set(texts.filter((text) => !text.includes("*")));
    this.#globs = texts.filter((text) => text.includes("*")).map(globOf);
  }

  get empty(): boolean {
    return this.literals.size === 0 && this.#globs.length === 0;
  }

  matches(urn: string): boolean {
    return this.literals.has(urn) || this.#globs.some((glob) => glob.test(urn));
  }
}

function globOf(text: string): RegExp {
  const exactly = (part: string): string => part.replace(/[\\^$.+?()[\]{}|]/g, "\\$&");
  const segments = text.split("**").map((segment) => segment.split("*").map(exactly).join("[^:]*"));
  return new RegExp(`^${segments.join(".*")}$`);
}

/** Decides which resources a run touches. Providers and the stack itself are always among them. */
export class Targeting {
  readonly #targets: UrnPatterns;
  readonly #excludes: UrnPatterns;
  readonly #replace: UrnPatterns;
  readonly #targetDependents: boolean;
  readonly #excludeDependents: boolean;
  /** Targets, and with `targetDependents` what leans on them, met so far. */
  readonly #implied = new Set<string>();

  /** @throws when targets and excludes are both given: it could not be told which is meant */
  constructor(options: TargetOptions = {}) {
    this.#targets = new UrnPatterns(options.targets);
    this.#excludes = new UrnPatterns(options.excludes);
    this.#replace = new UrnPatterns(options.replace);
    this.#targetDependents = options.targetDependents ?? false;
    this.#excludeDependents = options.excludeDependents ?? false;
    if (!this.#targets.empty && !this.#excludes.empty) {
      throw new Error("Targets and excludes cannot be combined. Name the resources to touch, or those to leave alone.");
    }
  }

  /** False: the run is about everything. */
  get constrained(): boolean {
    return !this.#targets.empty || !this.#excludes.empty;
  }

  /** True: the run is about all but some. */
  get excluding(): boolean {
    return !this.#excludes.empty;
  }

  /** True when the resource is named as one to be made anew. */
  replaces(urn: string): boolean {
    return this.#replace.matches(urn);
  }

  /** True when the run may do something to the resource. To be asked in dependency order: a dependent follows what it leans on. */
  includes(state: ResourceState): boolean {
    if (!this.constrained || isAlwaysIncluded(state)) return true;
    const leans = (): boolean => [...dependenciesOf(state, true)].some((urn) => this.#implied.has(urn));
    if (!this.#targets.empty) {
      const included = this.#targets.matches(state.urn) || (this.#targetDependents && leans());
      if (included) this.#implied.add(state.urn);
      return included;
    }
    const excluded = this.#excludes.matches(state.urn) || (this.#excludeDependents && leans());
    if (excluded) this.#implied.add(state.urn);
    return !excluded;
  }

  /** True when the resource may go although another was named: it is a target itself, or dependents follow. */
  mayGoAlong(urn: string): boolean {
    return this.#targets.empty || this.#targetDependents || this.#targets.matches(urn);
  }

  /**
   * Which of the resources a run may delete: the targets with all that leans on them, which can't outlive them; or all but the
   * excluded with all that those lean on.
   * @param resources in topological order
   */
  deletable(resources: ResourceState[]): Set<ResourceState> {
    if (!this.constrained) return new Set(resources);
    if (!this.#targets.empty) {
      const urns = new Set<string>();
      return new Set(
        resources.filter((state) => {
          const goes =
            this.#targets.matches(state.urn) || [...dependenciesOf(state, true)].some((urn) => urns.has(urn));
          if (goes) urns.add(state.urn);
          return goes;
        }),
      );
    }
    const kept = new Set<string>();
    const dependents = new Set<string>();
    for (const state of resources) {
      const leans = [...dependenciesOf(state, true)].some((urn) => dependents.has(urn));
      if (!this.#excludes.matches(state.urn) && !(this.#excludeDependents && leans)) continue;
      dependents.add(state.urn);
      kept.add(state.urn);
    }
    for (const state of [...resources].reverse()) {
      if (kept.has(state.urn)) for (const urn of dependenciesOf(state, true)) kept.add(urn);
    }
    return new Set(resources.filter((state) => !kept.has(state.urn)));
  }

  /** Of the resources to refresh, those that the run is about; in topological order. */
  refreshed(resources: ResourceState[]): Set<ResourceState> {
    return new Set(resources.filter((state) => this.includes(state)));
  }

  /** The URNs that were named and are nowhere: mistyped, most likely. */
  missing(known: (urn: string) => boolean): string[] {
    return [this.#targets, this.#excludes].flatMap((patterns) => [...patterns.literals]).filter((urn) => !known(urn));
  }

  /** Of the URNs to be made anew, those that are not there. */
  irreplaceable(known: (urn: string) => boolean): string[] {
    return [...this.#replace.literals].filter((urn) => !known(urn));
  }
}

function isAlwaysIncluded({ type, urn }: ResourceState): boolean {
  return isProviderType(type) || (type === STACK_TYPE && parseUrn(urn).qualifiedType === STACK_TYPE);
}

/** What to say of URNs that name nothing. */
export function missingMessage(urns: string[], known: Iterable<string>): string {
  const all = [...known];
  const hints = urns.map((urn) => didYouMean(urn, all)).join("");
  return (
    `${urns.join(", ")}: there is no such resource, in the state or in the program.${hints} ` +
    "The stack's URNs are those of `stack export`; a pattern may hold * (any text without a colon) and ** (any text)."
  );
}
