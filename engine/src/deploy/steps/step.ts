import type { OpType } from "../../events.ts";
import type { ResourceState } from "../../resource.ts";

/** One thing to do to one resource. Steps are values: the planner makes them, the executor runs them. */
export interface Step {
  op: StepOp;
  urn: string;
  type: string;
  /** Absent: nothing was there. */
  old?: ResourceState;
  /** Absent: nothing will be. */
  new?: ResourceState;
  /** Property paths that force a replacement. */
  keys?: string[];
  /** Property paths that differ. */
  diffs?: string[];
  ignoreChanges?: string[];
  /** delete-replaced before its create: the old one stays in the state, as pendingReplacement. */
  keepPending?: boolean;
  /** create-replacement before its delete: the old one gets its mark when the create has worked. */
  condemnOld?: boolean;
  /** same: the run is not about it, and it stays exactly as it was. */
  kept?: boolean;
  /** same: it is not among the targets and will not exist; the program is told so. */
  skipped?: boolean;
  /** Nothing that anybody needs to see. */
  silent?: boolean;
  /** read, at the beginning of an update or by an import: what to read. */
  importId?: string;
  /** import: looks at what was read before the state has it. @throws Refusal to leave it where it is */
  accept?: (found: ResourceState) => Promise<void>;
}

/** A step that leaves a resource behind. */
export type SettledStep = Step & { new: ResourceState };

export type StepOp = Extract<
  OpType,
  | "same"
  | "create"
  | "update"
  | "delete"
  | "replace"
  | "create-replacement"
  | "delete-replaced"
  | "read"
  | "read-replacement"
  | "refresh"
  | "discard"
  | "discard-replaced"
  | "remove-pending-replace"
  | "import"
  | "import-replacement"
>;

const PARTS_OF_REPLACEMENTS = new Set<OpType>([
  "create-replacement",
  "delete-replaced",
  "discard-replaced",
  "read-replacement",
  "import-replacement",
]);

/** False for a part of a replacement: its marker stands for the whole. */
export function isLogical(op: OpType): boolean {
  return !PARTS_OF_REPLACEMENTS.has(op);
}

/** A step of a resource that will be `state` and was `old`. */
export function stepOf(op: Step["op"], state: ResourceState | undefined, old?: ResourceState): Step {
  const about = (state ?? old) as ResourceState;
  return { op, urn: about.urn, type: about.type, old, new: state };
}
