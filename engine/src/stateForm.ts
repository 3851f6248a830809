import { decodeArchive, decodeAsset, encodeAsset } from "./assetForm.ts";
import { compareBytes, encodePlain, encodeSorted, omit } from "./json.ts";
import type { ResourceState } from "./resource.ts";
import type { PassphraseSecrets } from "./secrets.ts";
import { SIGNATURE_KEY, SIGNATURES, setKey, UNKNOWN } from "./signatures.ts";
import { Archive, Asset, type PropertyMap, type PropertyValue, ResourceReference, Secret, Unknown } from "./values.ts";

type Json = Record<string, unknown>;

/** The fields of a resource in the order in which Pulumi writes them; those that this engine has no use for stand here for their place. */
const FIELDS = [
  ..."urn custom delete id type inputs outputs parent protect taint external dependencies initErrors provider".split(
    " ",
  ),
  ..."propertyDependencies pendingReplacement additionalSecretOutputs aliases customTimeouts importID".split(" "),
  ..."retainOnDelete deletedWith replaceWith created modified sourcePosition stackTrace ignoreChanges hideDiff".split(
    " ",
  ),
  ..."replaceOnChanges replacementTrigger refreshBeforeUpdate viewOf resourceHooks extensionRef snippetID".split(" "),
];
const PLACE = new Map(FIELDS.map((field, place) => [field, place]));

/** The fields that are members of ResourceState; all others are carried through as they were read. */
const OWN_FIELDS = new Set(
  (
    "urn custom delete id type inputs outputs parent protect external dependencies initErrors provider propertyDependencies " +
    "pendingReplacement additionalSecretOutputs aliases customTimeouts importID retainOnDelete deletedWith created modified " +
    "sourcePosition ignoreChanges hideDiff replaceOnChanges"
  ).split(" "),
);

/**
 * A resource from the checkpoint's JSON.
 * @param secrets undefined: the file names no secrets provider, and may hold no encrypted value
 * @throws when a field is missing or a value malformed; the message names the resource
 */
export function decodeResource(
  form: Json | null | undefined,
  secrets: PassphraseSecrets | undefined,
  index: number,
): ResourceState {
  if (typeof form !== "object" || form === null) throw new Error(`What stands at index ${index} is no resource.`);
  const urn = form.urn;
  if (typeof urn !== "string" || urn === "") throw new Error(`The resource at index ${index} has no URN.`);
  if (typeof form.type !== "string" || form.type === "") throw new Error(`The resource ${urn} has no type.`);
  const known: Json = {};
  for (const key of OWN_FIELDS) if (form[key] !== undefined && form[key] !== null) known[key] = form[key];
  const unknownFields = omit(form, OWN_FIELDS);
  try {
    return {
      ...(known as Partial<ResourceState>),
      urn,
      type: form.type,
      custom: form.custom === true,
      id: typeof form.id === "string" ? form.id : "",
      inputs: decodeMap(form.inputs as Json | undefined, secrets, `${urn}#inputs`),
      outputs: decodeMap(form.outputs as Json | undefined, secrets, `${urn}#outputs`),
      dependencies: (form.dependencies as string[] | undefined) ?? [],
      propertyDependencies: listsOf(form.propertyDependencies as Record<string, string[] | null> | undefined),
      ...(Object.keys(unknownFields).length > 0 ? { unknownFields } : {}),
    };
  } catch (error) {
    throw new Error(`The resource ${urn} cannot be read: ${(error as Error).message}`, { cause: error });
  }
}

/** Official CLIs of early 2024 and before write null for a property that depends on nothing. */
function listsOf(map: Record<string, string[] | null> | null | undefined): Record<string, string[]> {
  const lists: Record<string, string[]> = {};
  for (const [key, urns] of Object.entries(map ?? {})) setKey(lists, key, urns ?? []);
  return lists;
}

interface Encoded {
  json: Uint8Array;
  secrets: PassphraseSecrets | undefined;
  /** The members as they were: another value in any of them means another JSON. */
  members: ResourceState;
}

const encoded = new WeakMap<ResourceState, Encoded>();

/**
 * The checkpoint's JSON of a resource, in UTF-8. Remembered by the object: a member may be given another value, but what a member
 * holds (its lists, its maps) must not be changed in place.
 */
export function encodeResource(state: ResourceState, secrets: PassphraseSecrets | undefined): Uint8Array {
  const before = encoded.get(state);
  if (before !== undefined && before.secrets === secrets && sameMembers(before.members, state)) return before.json;
  const json = Buffer.from(writeResource(state, secrets));
  encoded.set(state, { json, secrets, members: { ...state } });
  return json;
}

function sameMembers(a: ResourceState, b: ResourceState): boolean {
  for (const key in b) if (a[key as keyof ResourceState] !== b[key as keyof ResourceState]) return false;
  for (const key in a) if (!Object.hasOwn(b, key)) return false;
  return true;
}

function writeResource(state: ResourceState, secrets: PassphraseSecrets | undefined): string {
  const { unknownFields, ...members } = state;
  const fields = new Map<string, string>();
  for (const [key, value] of Object.entries(unknownFields ?? {})) fields.set(key, encodePlain(value));
  for (const [key, value] of Object.entries(members)) {
    if (key === "inputs" || key === "outputs") {
      if (Object.keys(value as PropertyMap).length > 0) {
        fields.set(key, writeValue(value as PropertyMap, secrets, `${state.urn}#${key}`));
      }
    } else if (key === "customTimeouts") {
      const timeouts = Object.entries(value as Record<string, number>).filter(([, seconds]) => seconds);
      if (timeouts.length > 0) fields.set(key, encodePlain(Object.fromEntries(timeouts)));
    } else if (key === "custom" || !isEmpty(value)) {
      fields.set(key, encodeSorted(value));
    }
  }
  const order = (key: string) => PLACE.get(key) ?? FIELDS.length;
  const members_ = [...fields].sort(([a], [b]) => order(a) - order(b));
  return `{${members_.map(([key, json]) => `${JSON.stringify(key)}:${json}`).join(",")}}`;
}

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null || value === false || value === "") return true;
  return typeof value === "object" && Object.keys(value).length === 0;
}

function decodeMap(form: Json | undefined, secrets: PassphraseSecrets | undefined, path: string): PropertyMap {
  const map: PropertyMap = {};
  for (const [key, value] of Object.entries(form ?? {}))
    setKey(map, key, decodeValue(value, secrets, `${path}.${key}`));
  return map;
}

/** `path` undefined: inside a secret, where nested secrets are marked but not encrypted again. */
function decodeValue(value: unknown, secrets: PassphraseSecrets | undefined, path: string | undefined): PropertyValue {
  if (value === UNKNOWN) return Unknown.value;
  if (value === null || typeof value !== "object") return value as PropertyValue;
  if (Array.isArray(value)) return value.map((element, i) => decodeValue(element, secrets, path && `${path}[${i}]`));
  const form = value as Json;
  switch (form[SIGNATURE_KEY]) {
    case undefined: {
      const map: PropertyMap = {};
      for (const [key, element] of Object.entries(form))
        setKey(map, key, decodeValue(element, secrets, path && `${path}.${key}`));
      return map;
    }
    case SIGNATURES.secret:
      return decodeSecret(form, secrets, path);
    case SIGNATURES.asset:
      return decodeAsset(form);
    case SIGNATURES.archive:
      return decodeArchive(form);
    case SIGNATURES.resource:
      return decodeReference(form);
    case SIGNATURES.float:
      return decodeFloat(form);
    default:
      throw new Error(
        `it holds a value of a kind (signature ${String(form[SIGNATURE_KEY])}) that this engine does not know`,
      );
  }
}

function decodeSecret(form: Json, secrets: PassphraseSecrets | undefined, path: string | undefined): Secret {
  const { ciphertext, plaintext } = form;
  if (typeof plaintext === "string" && ciphertext === undefined) {
    return new Secret(decodeValue(JSON.parse(plaintext), secrets, undefined));
  }
  if (typeof ciphertext !== "string" || plaintext !== undefined) {
    throw new Error("a secret needs exactly one of ciphertext and plaintext");
  }
  if (path === undefined) return new Secret(decodeValue(JSON.parse(ciphertext), secrets, undefined));
  if (secrets === undefined) throw new Error("it holds an encrypted value, but the file names no secrets provider");
  const secret = new Secret(decodeValue(JSON.parse(secrets.decryptValue(ciphertext)), secrets, undefined));
  secrets.remember(writeValue(secret.element, secrets, undefined), ciphertext, { secret, path });
  return secret;
}

function decodeReference({ urn, id, packageVersion }: Json): ResourceReference {
  if (typeof urn !== "string") throw new Error("a resource reference has no URN");
  const version = typeof packageVersion === "string" ? packageVersion : "";
  // Some releases of Pulumi wrote the id as {"V": …}.
  const text = typeof id === "object" && id !== null ? ((id as { V?: unknown }).V ?? undefined) : id;
  if (text === undefined) return new ResourceReference(urn, undefined, version);
  return new ResourceReference(urn, typeof text === "string" && text !== "" ? text : Unknown.value, version);
}

function decodeFloat({ value }: Json): number {
  if (typeof value !== "string" || !/^[0-9a-f]{16}$/i.test(value)) throw new Error("a number's bits are malformed");
  return Buffer.from(value, "hex").readDoubleBE();
}

/** The checkpoint's JSON of a value, keys sorted. `path` undefined: inside a secret. */
function writeValue(value: PropertyValue, secrets: PassphraseSecrets | undefined, path: string | undefined): string {
  if (value === null || typeof value === "string" || typeof value === "boolean") return encodeSorted(value);
  if (typeof value === "number") return Number.isFinite(value) ? encodeSorted(value) : writeFloat(value);
  if (Array.isArray(value)) {
    return `[${value.map((element, i) => writeValue(element, secrets, path && `${path}[${i}]`)).join(",")}]`;
  }
  if (value instanceof Unknown) return JSON.stringify(UNKNOWN);
  if (value instanceof Secret) return writeSecret(value, secrets, path);
  if (value instanceof Asset || value instanceof Archive) return encodeSorted(encodeAsset(value));
  if (value instanceof ResourceReference) {
    const id = value.id === undefined ? {} : { id: value.id instanceof Unknown ? "" : value.id };
    const { urn, packageVersion } = value;
    return encodeSorted({ [SIGNATURE_KEY]: SIGNATURES.resource, urn, packageVersion, ...id });
  }
  const members = Object.keys(value)
    .sort(compareBytes)
    .map((key) => `${encodeSorted(key)}:${writeValue(value[key]!, secrets, path && `${path}.${key}`)}`);
  return `{${members.join(",")}}`;
}

function writeSecret(secret: Secret, secrets: PassphraseSecrets | undefined, path: string | undefined): string {
  const plaintext = writeValue(secret.element, secrets, undefined);
  let ciphertext = plaintext;
  if (path !== undefined) {
    if (secrets === undefined)
      throw new Error(`${path} is secret, but the stack has no passphrase to encrypt it with.`);
    ciphertext = secrets.encryptValue(plaintext, { secret, path });
  }
  return encodeSorted({ [SIGNATURE_KEY]: SIGNATURES.secret, ciphertext });
}

/** NaN has many forms: this is the one in which the SDK sends it, and the official CLI keeps it. */
const NAN_BITS = "7fffffffffffffff";

function writeFloat(value: number): string {
  const bits = Buffer.alloc(8);
  bits.writeDoubleBE(value);
  return encodeSorted({
    [SIGNATURE_KEY]: SIGNATURES.float,
    value: Number.isNaN(value) ? NAN_BITS : bits.toString("hex"),
  });
}
