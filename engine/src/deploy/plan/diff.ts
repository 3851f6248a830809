import { diffPaths, equalValues } from "../../compare.ts";
import { ignoreChangesAt } from "../../ignoreChanges.ts";
import { matchesPath } from "../../paths.ts";
import type { CallContext, DiffResult } from "../../provider.ts";
import type { ResourceState } from "../../resource.ts";
import type { PropertyMap } from "../../values.ts";
import type { ProviderCalls } from "../steps/providerCalls.ts";

const NO_DIFF: DiffResult = { changes: "none", replaceKeys: [], changedKeys: [], deleteBeforeReplace: false };

/** A difference that forces a replacement, for a reason that is no property of the resource. */
export function replaceBecause(key: string): DiffResult {
  return { changes: "some", replaceKeys: [key], changedKeys: [], deleteBeforeReplace: false };
}

/** Components have nobody to ask: their inputs decide. */
export function diffComponent(old: PropertyMap, news: PropertyMap): DiffResult {
  if (equalValues(old, news)) return NO_DIFF;
  return { ...NO_DIFF, changes: "some", changedKeys: diffPaths(old, news) };
}

/** The provider's word; where it has none, the inputs are compared, and being secret or not is no difference. */
export async function diffCustom(
  provider: ProviderCalls,
  context: CallContext,
  old: ResourceState,
  news: PropertyMap,
  ignoreChanges: string[],
): Promise<DiffResult> {
  const diff = await provider.diff({
    ...context,
    id: old.id,
    oldInputs: old.inputs,
    oldOutputs: old.outputs,
    news,
    ignoreChanges,
  });
  if (diff.changes !== "unknown") return diff;
  const kept = ignoreChangesAt(ignoreChanges, old.inputs, news).inputs;
  const changed = diffPaths(old.inputs, kept);
  return { ...diff, changes: changed.length > 0 ? "some" : "none", changedKeys: changed };
}

/** Upgrades changes at the paths that the program named to replacements. */
export function applyReplaceOnChanges(diff: DiffResult, paths: string[], initErrors: boolean): DiffResult {
  if (paths.length === 0 || (diff.changes !== "some" && !initErrors)) return diff;
  const keys = new Set(diff.replaceKeys);
  for (const key of diff.changedKeys) {
    if (paths.some((path) => matchesPath(path, key))) keys.add(key);
  }
  const forced = initErrors && paths.some((path) => matchesPath(path, "#initerror"));
  if (forced) keys.add("#initerror");
  return { ...diff, changes: forced ? "some" : diff.changes, replaceKeys: [...keys] };
}
