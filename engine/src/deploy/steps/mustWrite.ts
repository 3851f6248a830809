import { equalValues } from "../../compare.ts";
import type { ResourceState } from "../../resource.ts";

/** False: nothing that matters differs, and the file may stay as it is. */
export function mustWrite(old: ResourceState, state: ResourceState): boolean {
  const same = (a: unknown, b: unknown): boolean => JSON.stringify(a ?? null) === JSON.stringify(b ?? null);
  const sorted = (urns: string[]): string[] => [...urns].sort();
  const listed = (names: unknown[] | undefined): unknown[] => names ?? [];
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
    same(byProperty(old), byProperty(state)) &&
    same(listed(old.additionalSecretOutputs), listed(state.additionalSecretOutputs)) &&
    same(listed(old.ignoreChanges), listed(state.ignoreChanges)) &&
    same(listed(old.replaceOnChanges), listed(state.replaceOnChanges)) &&
    same(listed(old.hideDiff), listed(state.hideDiff)) &&
    same(listed(old.aliases), listed(state.aliases)) &&
    (old.importID ?? "") === (state.importID ?? "") &&
    equalValues(old.inputs, state.inputs) &&
    equalValues(old.outputs, state.outputs)
  );
}

function byProperty({ propertyDependencies }: ResourceState): [string, string[]][] {
  return Object.entries(propertyDependencies)
    .filter(([, urns]) => urns.length > 0)
    .map(([key, urns]): [string, string[]] => [key, [...urns].sort()])
    .sort(([a], [b]) => (a < b ? -1 : 1));
}
