import { equalValues } from "../../compare.ts";
import type { ResourceState } from "../../resource.ts";

/** False: nothing that matters differs, and the file may stay as it is. */
export function mustWrite(old: ResourceState, state: ResourceState): boolean {
  const same = (a: unknown, b: unknown): boolean => JSON.stringify(a ?? null) === JSON.stringify(b ?? null);
  const sorted = (urns: string[]): string[] => [...urns].sort();
  return !(
    old.urn === state.urn &&
    old.type === state.type &&
    old.custom === state.custom &&
    same(old.customTimeouts, state.customTimeouts) &&
    (old.retainOnDelete ?? false) === (state.retainOnDelete ?? false) &&
    (old.protect ?? false) === (state.protect ?? false) &&
    (old.provider ?? "") === (state.provider ?? "") &&
    (old.parent ?? "") === (state.parent ?? "") &&
    (old.deletedWith ?? "") === (state.deletedWith ?? "") &&
    same(sorted(old.dependencies), sorted(state.dependencies)) &&
    equalValues(old.inputs, state.inputs) &&
    equalValues(old.outputs, state.outputs)
  );
}
