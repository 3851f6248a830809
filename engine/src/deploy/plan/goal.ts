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
