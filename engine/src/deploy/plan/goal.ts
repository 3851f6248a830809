import type { ResourceState } from "../../resource.ts";
import type { PropertyMap } from "../../values.ts";

/** What one registration asks for, after inheritance from its parent. */
export interface Goal {
  type: string;
  name: string;
  custom: boolean;
  inputs: PropertyMap;
  parent: string | undefined;
  /** `<provider urn>::<id>`; "" for components and providers. */
  provider: string;
  dependencies: string[];
  propertyDependencies: Record<string, string[]>;
  /** Undefined: not said, which is not the same as false. */
  protect: boolean | undefined;
  retainOnDelete: boolean | undefined;
  deleteBeforeReplace: boolean | undefined;
  deletedWith: string | undefined;
  /** The id of a thing that is there already, to be taken over; "" for none. */
  importId: string;
  ignoreChanges: string[];
  hideDiff: string[];
  replaceOnChanges: string[];
  additionalSecretOutputs: string[];
  aliases: AliasSpec[];
  /** Seconds. */
  customTimeouts: ResourceState["customTimeouts"];
  sourcePosition: string | undefined;
}

/** A goal of which nothing is said but what it is. */
export function bareGoal(type: string, name: string, custom: boolean, inputs: PropertyMap = {}): Goal {
  return {
    type,
    name,
    custom,
    inputs,
    parent: undefined,
    provider: "",
    dependencies: [],
    propertyDependencies: {},
    protect: undefined,
    retainOnDelete: undefined,
    deleteBeforeReplace: undefined,
    deletedWith: undefined,
    importId: "",
    ignoreChanges: [],
    hideDiff: [],
    replaceOnChanges: [],
    additionalSecretOutputs: [],
    aliases: [],
    customTimeouts: undefined,
    sourcePosition: undefined,
  };
}

/** A URN, or the parts in which the former name differed. */
export interface AliasSpec {
  urn?: string;
  name?: string;
  type?: string;
  stack?: string;
  project?: string;
  parentUrn?: string;
  noParent?: boolean;
}

/** A mistake of the program's or of its user: its message is shown without a stack. */
export class Refusal extends Error {
  readonly urn: string | undefined;
  constructor(message: string, urn?: string) {
    super(message);
    this.name = "Refusal";
    this.urn = urn;
  }
}

/** What isn't covered here, with the way out. */
export function notCovered(what: string, urn?: string): Refusal {
  return new Refusal(
    `${what} is not covered by the embedded engine. Run this stack with the official CLI: --engine pulumi.`,
    urn,
  );
}

const UNIT_SECONDS: Record<string, number> = { h: 3600, m: 60, s: 1, ms: 1e-3, us: 1e-6, µs: 1e-6, ns: 1e-9 };

/**
 * Seconds of a duration such as `2m`, `1h30m`, `500ms`.
 * @throws Refusal when it is no duration
 */
export function parseDuration(text: string): number {
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(h|ms|us|µs|ns|m|s)/g)];
  if (parts.length === 0 || parts.map((part) => part[0]).join("") !== text) {
    throw new Refusal(`customTimeouts: "${text}" is no duration. Write it as 90s, 10m or 1h30m.`);
  }
  return parts.reduce((sum, part) => sum + Number(part[1]) * UNIT_SECONDS[part[2] as string]!, 0);
}
