import type { Struct } from "google-protobuf/google/protobuf/struct_pb.js";
import type { PropertyMap } from "../../values.ts";
import { fromWire, toWire } from "../../wire.ts";
import { structPb } from "./rpc.ts";

/** The properties of a message; an absent struct has none. */
export function fromStruct(struct: Struct | undefined): PropertyMap {
  return fromWire(struct?.toJavaScript());
}

/** @param receiver what it understands; without `secrets` they travel as plain values */
export function toStruct(
  map: PropertyMap,
  receiver: { secrets: boolean; resources: boolean; hashesOnly?: boolean } = { secrets: false, resources: false },
): Struct {
  const { secrets, resources, hashesOnly } = receiver;
  const object = toWire(map, { keepSecrets: secrets, keepResources: resources, keepUnknowns: true, hashesOnly });
  return structPb.Struct.fromJavaScript(object as Parameters<typeof structPb.Struct.fromJavaScript>[0]);
}
