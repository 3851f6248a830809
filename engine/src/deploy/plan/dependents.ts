import type { ResourceState } from "../../resource.ts";
import { type PropertyMap, Unknown } from "../../values.ts";
import { applyReplaceOnChanges, diffCustom } from "./diff.ts";
import { dependentsOf, namesIn } from "./graph.ts";
import type { PlannerHost } from "./planner.ts";
import { isProviderType, parseReference } from "./references.ts";

export interface Dependent {
  state: ResourceState;
  keys: string[];
}

/**
 * The resources that would be replaced when `root` is, in their order: those of a replaced provider, those deleted with a
 * replaced resource, and those whose provider says so when what they take from a replaced one is not known.
 * @param settled URNs that were decided already
 */
export async function dependentsToReplace(
  root: ResourceState,
  settled: Set<string>,
  host: Pick<PlannerHost, "resources" | "provider" | "context">,
): Promise<Dependent[]> {
  const replaced = new Set([root.urn]);
  const namesOf = namesIn(host.resources);
  const found: Dependent[] = [];
  for (const state of dependentsOf(host.resources, root, settled)) {
    const keys = await replaceKeys(state, replaced, host);
    if (keys === undefined) continue;
    for (const name of namesOf(state)) replaced.add(name);
    found.push({ state, keys });
  }
  return found;
}

/** Undefined: it can stay. */
async function replaceKeys(
  state: ResourceState,
  replaced: Set<string>,
  host: Pick<PlannerHost, "provider" | "context">,
): Promise<string[] | undefined> {
  if (!state.custom || state.external) return undefined;
  if (state.provider && replaced.has(parseReference(state.provider).urn)) return ["provider"];
  if (state.deletedWith && replaced.has(state.deletedWith)) return ["deletedWith"];
  let touched = false;
  const inputs: PropertyMap = {};
  for (const [key, value] of Object.entries(state.inputs)) {
    const unknown = state.propertyDependencies[key]?.some((urn) => replaced.has(urn)) ?? false;
    touched ||= unknown;
    inputs[key] = unknown ? Unknown.value : value;
  }
  if (!touched || isProviderType(state.type) || !state.provider) return undefined;
  const provider = await host.provider(state.provider);
  const diff = applyReplaceOnChanges(
    await diffCustom(provider, host.context(state.urn), state, inputs, state.ignoreChanges ?? []),
    state.replaceOnChanges ?? [],
    false,
  );
  return diff.replaceKeys.length > 0 ? diff.replaceKeys : undefined;
}
