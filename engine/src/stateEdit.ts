import { dependenciesOf } from "./deploy/plan/graph.ts";
import { mapValues } from "./deploy/steps/marking.ts";
import { didYouMean } from "./nearUrns.ts";
import type { PendingOperation, ResourceState, Snapshot } from "./resource.ts";
import { parseUrn, STACK_TYPE } from "./urn.ts";
import { type PropertyMap, ResourceReference } from "./values.ts";

export interface Removal {
  snapshot: Snapshot;
  /** What is no longer in it, in the old order. */
  removed: ResourceState[];
}

/**
 * Drops resources from the state without touching what they stand for, and with them everything that leans on them:
 * children, dependents, resources of a dropped provider. Pending operations on them go too.
 * @returns a new snapshot, as sound as the old one was
 */
export function removeResources(snapshot: Snapshot, predicate: (state: ResourceState) => boolean): Removal {
  const kept: ResourceState[] = [];
  const removed: ResourceState[] = [];
  const urns = new Set<string>();
  const providers = new Set<string>();
  const stands = (state: ResourceState) =>
    namedBy(state).every((urn) => urns.has(urn)) &&
    (!state.provider || state.pendingReplacement === true || providers.has(state.provider));
  // In topological order, so that what is dropped is known before anything that leans on it is met.
  for (const state of snapshot.resources) {
    if (predicate(state) || !stands(state)) {
      removed.push(state);
      continue;
    }
    kept.push(state);
    urns.add(state.urn);
    providers.add(`${state.urn}::${state.id}`);
  }
  const pendingOperations = snapshot.pendingOperations.filter(
    ({ resource }) => !predicate(resource) && stands(resource),
  );
  return { snapshot: { ...snapshot, resources: kept, pendingOperations }, removed };
}

/** What may be said of a removal. */
export interface RemovalRules {
  /** Protected resources go too. @default false */
  force?: boolean;
  /** What leans on the resources goes with them. @default false */
  targetDependents?: boolean;
}

/**
 * Drops the named resources, and nothing that is not agreed to.
 * @throws with all that is in the way: URNs that name none or several, dependents, protected ones
 */
export function removeNamed(snapshot: Snapshot, urns: string[], rules: RemovalRules = {}): Removal {
  const named = urns.flatMap((urn) => select(snapshot, urn));
  const removal = removeResources(snapshot, (state) => named.includes(state));
  const faults: string[] = [];
  const along = removal.removed.filter((state) => !named.includes(state));
  if (along.length > 0 && !rules.targetDependents) {
    const list = along.map(({ urn }) => urn).join("\n  ");
    faults.push(`What leans on them would have to go too (--target-dependents agrees to that):\n  ${list}`);
  }
  const shielded = removal.removed.filter((state) => state.protect);
  if (shielded.length > 0 && !rules.force) {
    const list = shielded.map(({ urn }) => urn).join("\n  ");
    faults.push(`Protected, and taken out only by --force, or after \`state unprotect\`:\n  ${list}`);
  }
  if (faults.length > 0) throw new Error(`Nothing was taken out of the state.\n${faults.join("\n")}`);
  return removal;
}

/**
 * The snapshot with the named resources protected or not; without names, all.
 * @returns also the URNs whose protection was another before
 */
export function setProtection(
  snapshot: Snapshot,
  urns: string[] | undefined,
  protect: boolean,
): { snapshot: Snapshot; changed: string[] } {
  const named = urns?.flatMap((urn) => select(snapshot, urn));
  const changed: string[] = [];
  const resources = snapshot.resources.map((state) => {
    const meant = named === undefined ? !state.delete : named.includes(state);
    if (!meant || (state.protect ?? false) === protect) return state;
    changed.push(state.urn);
    return { ...state, protect: protect || undefined };
  });
  return { snapshot: { ...snapshot, resources }, changed };
}

/** The snapshot of a stack that has another name now: in every URN, also inside of values. Other stacks' URNs stay. */
export function renameStack(snapshot: Snapshot, project: string, from: string, to: string): Snapshot {
  const prefix = `urn:pulumi:${from}::${project}::`;
  const rename = (urn: string): string => {
    if (!urn.startsWith(prefix)) return urn;
    const { qualifiedType } = parseUrn(urn);
    // The stack's own resource is named after it.
    if (qualifiedType === STACK_TYPE) return `urn:pulumi:${to}::${project}::${STACK_TYPE}::${project}-${to}`;
    return `urn:pulumi:${to}::${project}::${urn.slice(prefix.length)}`;
  };
  const inside = (map: PropertyMap): PropertyMap =>
    mapValues(map, (value) =>
      value instanceof ResourceReference
        ? new ResourceReference(rename(value.urn), value.id, value.packageVersion)
        : value,
    ) as PropertyMap;
  const change = (state: ResourceState): ResourceState => ({
    ...renameReferences(state, rename),
    urn: rename(state.urn),
    ...(state.aliases && { aliases: state.aliases.map(rename) }),
    inputs: inside(state.inputs),
    outputs: inside(state.outputs),
  });
  const operation = ({ type, resource }: PendingOperation): PendingOperation => ({ type, resource: change(resource) });
  return {
    ...snapshot,
    resources: snapshot.resources.map(change),
    pendingOperations: snapshot.pendingOperations.map(operation),
  };
}

/** A state with each URN that it names, but not its own, put through a function; the same one where that changes none. */
export function renameReferences(state: ResourceState, rename: (urn: string) => string): ResourceState {
  if ([...dependenciesOf(state, true)].every((urn) => rename(urn) === urn)) return state;
  const at = state.provider?.lastIndexOf("::") ?? -1;
  const changed: ResourceState = {
    ...state,
    dependencies: state.dependencies.map(rename),
    propertyDependencies: Object.fromEntries(
      Object.entries(state.propertyDependencies).map(([key, urns]) => [key, urns.map(rename)]),
    ),
  };
  if (state.parent !== undefined) changed.parent = rename(state.parent);
  if (state.deletedWith !== undefined) changed.deletedWith = rename(state.deletedWith);
  if (state.provider !== undefined && at > 0) {
    changed.provider = rename(state.provider.slice(0, at)) + state.provider.slice(at);
  }
  return changed;
}

/** @throws when the URN names none, or several */
function select(snapshot: Snapshot, urn: string): ResourceState[] {
  const found = snapshot.resources.filter((state) => state.urn === urn);
  if (found.length === 1) return found;
  if (found.length === 0) {
    const hint = didYouMean(
      urn,
      snapshot.resources.map((state) => state.urn),
    );
    throw new Error(`There is no resource ${urn} in the state.${hint} Its URNs are those of \`stack export\`.`);
  }
  const ids = found.map(({ id, delete: condemned }) => `"${id}"${condemned ? " (to be deleted)" : ""}`).join(", ");
  throw new Error(
    `${urn} stands ${found.length} times in the state (${ids}): run up, which deletes the replaced ones.`,
  );
}

/** Every URN that a resource cannot be without. */
function namedBy(state: ResourceState): string[] {
  const named = [...state.dependencies, ...Object.values(state.propertyDependencies).flat()];
  if (state.parent) named.push(state.parent);
  if (state.deletedWith) named.push(state.deletedWith);
  const replaceWith = state.unknownFields?.replaceWith;
  return Array.isArray(replaceWith) ? [...named, ...replaceWith.map(String)] : named;
}
