import type { OpType } from "@atelier/engine/events";

/** What a person is told of an operation; a replacement is one change, whichever of its parts is running. */
interface Operation {
  sign: "+" | "~" | "-" | "±" | "=" | "?";
  /** In a plan. */
  verb: string;
  /** When done. */
  done: string;
  /** What a plan counts it as; undefined: a part of another. */
  counts: "create" | "update" | "replace" | "delete" | "unchanged" | "read" | undefined;
}

export const operations: Record<OpType, Operation> = {
  same: { sign: "=", verb: "keep", done: "unchanged", counts: "unchanged" },
  create: { sign: "+", verb: "create", done: "created", counts: "create" },
  update: { sign: "~", verb: "update", done: "updated", counts: "update" },
  delete: { sign: "-", verb: "delete", done: "deleted", counts: "delete" },
  replace: { sign: "±", verb: "replace", done: "replaced", counts: undefined },
  "create-replacement": { sign: "±", verb: "replace", done: "replaced", counts: "replace" },
  "delete-replaced": { sign: "-", verb: "delete the old", done: "old one deleted", counts: undefined },
  read: { sign: "?", verb: "read", done: "read", counts: "read" },
  "read-replacement": { sign: "?", verb: "read", done: "read", counts: "read" },
  refresh: { sign: "?", verb: "refresh", done: "refreshed", counts: "read" },
  discard: { sign: "-", verb: "forget", done: "forgotten", counts: "delete" },
  "discard-replaced": { sign: "-", verb: "forget the old", done: "old one forgotten", counts: undefined },
  "remove-pending-replace": { sign: "-", verb: "forget the old", done: "old one forgotten", counts: undefined },
  import: { sign: "+", verb: "import", done: "imported", counts: "create" },
  "import-replacement": { sign: "±", verb: "import", done: "imported", counts: "replace" },
};

export const changing = (op: OpType): boolean => !["unchanged", "read"].includes(operations[op].counts ?? "");
