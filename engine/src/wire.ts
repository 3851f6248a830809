import { decodeArchive, decodeAsset, encodeAsset } from "./assetForm.ts";
import { SIGNATURE_KEY, SIGNATURES, setKey, UNKNOWN, UNKNOWNS } from "./signatures.ts";
import { Archive, Asset, type PropertyMap, type PropertyValue, ResourceReference, Secret, Unknown } from "./values.ts";

/** What the receiver understands. */
export interface WireOptions {
  /** False: secrets travel as plain values. */
  keepSecrets: boolean;
  /** True: a secret in a secret is marked too. The SDK takes one mark away, and would give a program the other for the value. @default false */
  keepInnerSecrets?: boolean;
  /** False: an entry whose value is unknown is left out, and an unknown inside a list becomes null. */
  keepUnknowns: boolean;
  /** True: of an asset or archive only its hash travels. @default false */
  hashesOnly?: boolean;
  /** False: a resource travels as its id, or as its URN where it has none. */
  keepResources: boolean;
}

/**
 * Decodes a message's properties.
 * @param object as google-protobuf's `Struct.toJavaScript()` gives it; undefined: none
 * @throws on a malformed or unknown signature
 */
export function fromWire(object: object | undefined | null): PropertyMap {
  const map: PropertyMap = {};
  for (const [key, value] of Object.entries(object ?? {})) {
    if (value !== undefined) setKey(map, key, decodeValue(value));
  }
  return map;
}

/**
 * Encodes properties for a message.
 * @returns plain objects, ready for google-protobuf's `Struct.fromJavaScript()`
 */
export function toWire(map: PropertyMap, options: WireOptions): Record<string, unknown> {
  const object: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(map)) {
    const encoded = encodeValue(value, options);
    if (encoded !== undefined) setKey(object, key, encoded);
  }
  return object;
}

function decodeValue(value: unknown): PropertyValue {
  if (value === null || value === undefined) return null;
  if (typeof value === "string") return UNKNOWNS.has(value) ? Unknown.value : value;
  if (typeof value === "number" || typeof value === "boolean") return value;
  if (Array.isArray(value)) return value.map(decodeValue);
  if (typeof value !== "object")
    throw new Error(`A property of type ${typeof value} came over the wire; it has no meaning there.`);
  const object = value as Record<string, unknown>;
  return Object.hasOwn(object, SIGNATURE_KEY) ? decodeSigned(object) : fromWire(object);
}

function decodeSigned(object: Record<string, unknown>): PropertyValue {
  const signature = object[SIGNATURE_KEY];
  switch (signature) {
    case SIGNATURES.secret:
      return new Secret(decodeValue(object.value));
    case SIGNATURES.output: {
      const element = Object.hasOwn(object, "value") ? decodeValue(object.value) : Unknown.value;
      return object.secret === true ? new Secret(element) : element;
    }
    case SIGNATURES.resource:
      return decodeReference(object);
    case SIGNATURES.asset:
      return holdsUnknown(object) ? Unknown.value : decodeAsset(object);
    case SIGNATURES.archive:
      return holdsUnknown(object) ? Unknown.value : decodeArchive(object);
    case SIGNATURES.byteString:
      throw new Error("A text that is not valid UTF-8 came over the wire. Pass such bytes as base64.");
    default:
      throw new Error(
        `A property with the signature ${String(signature)} came over the wire; this engine does not know it.`,
      );
  }
}

/** An asset whose text or path is not known yet. */
function holdsUnknown(object: Record<string, unknown>): boolean {
  return Object.values(object).some((value) => typeof value === "string" && UNKNOWNS.has(value));
}

function decodeReference({ urn, id, packageVersion }: Record<string, unknown>): ResourceReference {
  if (typeof urn !== "string" || urn === "") throw new Error("A resource came over the wire without its URN.");
  const version = typeof packageVersion === "string" ? packageVersion : "";
  if (id === undefined || id === null) return new ResourceReference(urn, undefined, version);
  // An empty id is how both sides write "not created yet".
  const unknown = id === "" || (typeof id === "string" && UNKNOWNS.has(id));
  return new ResourceReference(urn, unknown ? Unknown.value : String(id), version);
}

function encodeValue(value: PropertyValue, options: WireOptions): unknown {
  if (value === null || typeof value !== "object") return value;
  if (Array.isArray(value)) return value.map((element) => encodeValue(element, options) ?? null);
  if (value instanceof Unknown) return options.keepUnknowns ? UNKNOWN : undefined;
  if (value instanceof Secret) {
    const element = encodeValue(value.element, {
      ...options,
      keepSecrets: options.keepSecrets && (options.keepInnerSecrets ?? false),
    });
    return options.keepSecrets && element !== undefined
      ? { [SIGNATURE_KEY]: SIGNATURES.secret, value: element }
      : element;
  }
  if (value instanceof Asset) return encodeAsset(options.hashesOnly ? new Asset({ text: "" }, value.hash) : value);
  if (value instanceof Archive) {
    if (!options.hashesOnly) return encodeAsset(value);
    return { [SIGNATURE_KEY]: SIGNATURES.archive, hash: value.hash };
  }
  if (value instanceof ResourceReference) return encodeReference(value, options);
  return toWire(value, options);
}

function encodeReference(value: ResourceReference, options: WireOptions): unknown {
  if (!options.keepResources) {
    if (value.id instanceof Unknown) return options.keepUnknowns ? UNKNOWN : undefined;
    return value.id ?? value.urn;
  }
  const form: Record<string, unknown> = { [SIGNATURE_KEY]: SIGNATURES.resource, urn: value.urn };
  if (value.id !== undefined) form.id = value.id instanceof Unknown ? "" : value.id;
  if (value.packageVersion !== "") form.packageVersion = value.packageVersion;
  return form;
}
