import { type EncodeOptions, emptySnapshot, encodeCheckpoint as encodeBytes } from "../../../engine/src/checkpoint.ts";
import type { ResourceState, Snapshot } from "../../../engine/src/resource.ts";
import { createUrn } from "../../../engine/src/urn.ts";

export const PROVIDER = createUrn("s", "p", undefined, "pulumi:providers:command", "default_1_2_1");
export const PROVIDER_ID = "11111111-2222-4333-8444-555555555555";

/** A custom resource of type `a:b:C`, unless said otherwise. */
export function resource(name: string, members: Partial<ResourceState> = {}): ResourceState {
  const type = members.type ?? "a:b:C";
  return {
    urn: createUrn("s", "p", undefined, type, name),
    type,
    custom: true,
    id: `${name}-id`,
    inputs: {},
    outputs: {},
    dependencies: [],
    propertyDependencies: {},
    ...members,
  };
}

export function component(name: string, members: Partial<ResourceState> = {}): ResourceState {
  return resource(name, { type: "x:y:Component", custom: false, id: "", ...members });
}

export function provider(): ResourceState {
  return resource("default_1_2_1", { urn: PROVIDER, type: "pulumi:providers:command", id: PROVIDER_ID });
}

export function snapshotOf(...resources: ResourceState[]): Snapshot {
  return { ...emptySnapshot(), resources };
}

/** A state's file as text. */
export const encodeCheckpoint = (snapshot: Snapshot, options: EncodeOptions): string =>
  Buffer.from(encodeBytes(snapshot, options)).toString();
