import { integrityFaults } from "../../../engine/src/integrity.ts";
import type { Snapshot } from "../../../engine/src/resource.ts";

/** A resource as it stands in the file. */
export interface SavedResource {
  urn: string;
  type: string;
  custom: boolean;
  id?: string;
  inputs?: Record<string, unknown>;
  outputs?: Record<string, unknown>;
  parent?: string;
  provider?: string;
  dependencies?: string[];
  propertyDependencies?: Record<string, string[] | null>;
  deletedWith?: string;
  delete?: boolean;
  protect?: boolean;
  external?: boolean;
  retainOnDelete?: boolean;
  pendingReplacement?: boolean;
  initErrors?: string[];
  replaceOnChanges?: string[];
}

export interface SavedState {
  manifest: Snapshot["manifest"];
  resources?: SavedResource[];
  pending_operations?: { type: string; resource: SavedResource }[];
}

export const resourcesOf = (state: SavedState | undefined): SavedResource[] => state?.resources ?? [];
export const operationsOf = (state: SavedState | undefined) => state?.pending_operations ?? [];

/** The entry that a resource was made from; undefined: it is none of ours (a provider, the stack). */
export function uidOf(resource: SavedResource): number | undefined {
  return typeof resource.inputs?.uid === "number" ? resource.inputs.uid : undefined;
}

/** Something that exists outside the state. */
export function isObject(resource: Pick<SavedResource, "type" | "custom" | "external">): boolean {
  return resource.custom && !resource.external && !resource.type.startsWith("pulumi:");
}

/** Present, and not condemned. */
export const isLive = (resource: SavedResource): boolean => !resource.delete && !resource.pendingReplacement;

/** The engine's own integrity check of a state file, its values unread. */
export function faultsOf(state: SavedState): string[] {
  const resources = resourcesOf(state).map((resource) => ({
    ...resource,
    id: resource.id ?? "",
    inputs: {},
    outputs: {},
    dependencies: resource.dependencies ?? [],
    propertyDependencies: Object.fromEntries(
      Object.entries(resource.propertyDependencies ?? {}).map(([key, urns]) => [key, urns ?? []]),
    ),
  }));
  return integrityFaults({
    manifest: state.manifest,
    resources,
    pendingOperations: [],
    metadata: {},
    unknownFields: {},
  });
}

/** Every URN that a resource leans on. */
export function leansOn(resource: SavedResource): Set<string> {
  const urns = new Set(resource.dependencies ?? []);
  for (const list of Object.values(resource.propertyDependencies ?? {})) for (const urn of list ?? []) urns.add(urn);
  if (resource.parent) urns.add(resource.parent);
  if (resource.deletedWith) urns.add(resource.deletedWith);
  if (resource.provider) urns.add(resource.provider.slice(0, resource.provider.lastIndexOf("::")));
  return urns;
}
