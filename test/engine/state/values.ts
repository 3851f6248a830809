import fc from "fast-check";
import { setKey } from "../../../engine/src/signatures.ts";
import {
  Archive,
  Asset,
  type PropertyMap,
  type PropertyValue,
  ResourceReference,
  Secret,
  Unknown,
} from "../../../engine/src/values.ts";

const text = fc.string({ unit: "grapheme", maxLength: 12 });
const name = fc.string({ unit: "grapheme", minLength: 1, maxLength: 8 });
const hash = fc.stringMatching(/^[0-9a-f]{64}$/);
const path = fc.stringMatching(/^[a-z]{1,8}(\/[a-z]{1,8})?$/);

const asset: fc.Arbitrary<Asset> = fc.oneof(
  fc.tuple(text, hash).map(([t, h]) => new Asset({ text: t }, h)),
  fc.tuple(path, hash).map(([p, h]) => new Asset({ path: p }, h)),
);
const archive: fc.Arbitrary<Archive> = fc.oneof(
  fc.tuple(path, hash).map(([p, h]) => new Archive({ path: p }, h)),
  fc.tuple(fc.dictionary(name, asset, { maxKeys: 3 }), hash).map(([assets, h]) => new Archive({ assets }, h)),
);
const reference: fc.Arbitrary<ResourceReference> = fc
  .tuple(path, fc.oneof(fc.constant(undefined), path, fc.constant(Unknown.value)), fc.constantFrom("", "1.2.1"))
  .map(([n, id, version]) => new ResourceReference(`urn:pulumi:s::p::a:b:C::${n}`, id, version));

/** Any property value, to a depth; numbers are those that JSON and protobuf can say. */
export const { value: anyValue } = fc.letrec<{ value: PropertyValue }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, depthSize: "small" },
    fc.oneof(
      fc.constant(null),
      fc.boolean(),
      fc.double(),
      fc.integer(),
      text,
      fc.constant(Unknown.value),
      asset,
      archive,
      reference,
    ) as fc.Arbitrary<PropertyValue>,
    fc.array(tie("value"), { maxLength: 4 }),
    map(tie("value")),
    tie("value").map((element) => new Secret(element)),
  ),
}));

export const anyMap: fc.Arbitrary<PropertyMap> = map(anyValue);

function map(member: fc.Arbitrary<PropertyValue>): fc.Arbitrary<PropertyMap> {
  return fc.array(fc.tuple(name, member), { maxLength: 4 }).map((entries) => {
    const object: PropertyMap = {};
    for (const [key, value] of entries) setKey(object, key, value);
    return object;
  });
}
