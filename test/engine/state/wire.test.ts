import { Struct } from "google-protobuf/google/protobuf/struct_pb.js";
import { describe, expect, it } from "vitest";
import { equalValues } from "../../../engine/src/compare.ts";
import { unwrapSecrets } from "../../../engine/src/deploy/steps/marking.ts";
import { SIGNATURE_KEY, SIGNATURES, UNKNOWN, UNKNOWNS } from "../../../engine/src/signatures.ts";
import {
  Archive,
  Asset,
  isMap,
  type PropertyValue,
  ResourceReference,
  Secret,
  Unknown,
} from "../../../engine/src/values.ts";
import { fromWire, toWire } from "../../../engine/src/wire.ts";
import { fc } from "../../helpers/random.ts";
import { anyMap } from "./values.ts";

const ALL = { keepSecrets: true, keepUnknowns: true, keepResources: true };
const signed = (kind: keyof typeof SIGNATURES, rest: object) => ({ [SIGNATURE_KEY]: SIGNATURES[kind], ...rest });

describe("values on the wire", () => {
  it("refuses signatures and shapes that it does not know", () => {
    expect(() => fromWire({ a: { [SIGNATURE_KEY]: "nonsense" } })).toThrow(/signature nonsense/);
    expect(() => fromWire({ a: signed("resource", {}) })).toThrow(/without its URN/);
    expect(() => fromWire({ a: signed("byteString", { value: "/w==" }) })).toThrow(/base64/);
    expect(() => fromWire({ a: signed("archive", { assets: { x: 1 } }) })).toThrow(
      /"x" is neither an asset nor an archive/,
    );
    expect(() => fromWire({ a: signed("asset", { path: 1 }) })).toThrow(/path of an asset is number/);
  });

  it("decodes every sentinel of an unknown", () => {
    expect(UNKNOWNS.size).toBe(7);
    for (const sentinel of UNKNOWNS) expect(fromWire({ a: [sentinel] })).toEqual({ a: [Unknown.value] });
  });

  it("decodes output values to what they hold", () => {
    expect(
      fromWire({
        known: signed("output", { value: 1, dependencies: ["urn"] }),
        secret: signed("output", { value: { a: "x" }, secret: true }),
        unknown: signed("output", {}),
        both: signed("output", { secret: true }),
      }),
    ).toEqual({ known: 1, secret: new Secret({ a: "x" }), unknown: Unknown.value, both: new Secret(Unknown.value) });
  });

  it("takes an asset whose text is not known yet for an unknown", () => {
    expect(fromWire({ a: signed("asset", { text: UNKNOWN }) }).a).toBe(Unknown.value);
  });

  it("strips secrets for a receiver that does not take them, at any depth", () => {
    const map = { a: new Secret({ b: [new Secret("x")] }), c: new Secret(Unknown.value) };
    expect(toWire(map, { ...ALL, keepSecrets: false })).toEqual({ a: { b: ["x"] }, c: UNKNOWN });
    expect(JSON.stringify(toWire(map, { ...ALL, keepSecrets: false }))).not.toContain(SIGNATURES.secret);
  });

  it("marks a secret once, also where there are others in it: the SDK takes but one mark away", () => {
    const map = { a: new Secret({ b: [new Secret("x")] }), c: [new Secret(new Secret(1))] };
    expect(fromWire(toWire(map, ALL))).toEqual({ a: new Secret({ b: ["x"] }), c: [new Secret(1)] });
    expect(fromWire(toWire(map, { ...ALL, keepInnerSecrets: true }))).toEqual(map);
  });

  it("leaves unknowns out for a receiver that does not take them", () => {
    const map = { a: Unknown.value, b: [1, Unknown.value], c: new Secret(Unknown.value), d: { e: Unknown.value } };
    expect(toWire(map, { ...ALL, keepUnknowns: false })).toEqual({ b: [1, null], d: {} });
  });

  it("sends a resource as its id, its URN or nothing known to a receiver that does not take references", () => {
    const urn = "urn:pulumi:s::p::a:b:C::n";
    const map = {
      custom: new ResourceReference(urn, "id-1"),
      component: new ResourceReference(urn, undefined),
      pending: new ResourceReference(urn, Unknown.value),
    };
    expect(toWire(map, { ...ALL, keepResources: false })).toEqual({ custom: "id-1", component: urn, pending: UNKNOWN });
    expect(toWire(map, ALL).pending).toEqual(signed("resource", { urn, id: "" }));
    expect(fromWire(toWire(map, ALL))).toEqual(map);
  });

  it("writes assets and archives as the SDK reads them", () => {
    const map = { a: new Asset({ path: "x" }, "h"), b: new Archive({ assets: { n: new Asset({ text: "t" }) } }) };
    expect(toWire(map, ALL)).toEqual({
      a: signed("asset", { hash: "h", path: "x" }),
      b: signed("archive", { assets: { n: signed("asset", { text: "t" }) } }),
    });
  });

  it("gives back what went through a real protobuf message, whatever it was", () => {
    fc.assert(
      fc.property(anyMap, (map) => {
        // protobuf's own JavaScript loses this one name.
        fc.pre(!JSON.stringify(map).includes("__proto__"));
        const message = Struct.deserializeBinary(Struct.fromJavaScript(toWire(map, ALL) as never).serializeBinary());
        expect(equalValues(fromWire(message.toJavaScript()), markedOnce(map))).toBe(true);
      }),
      { numRuns: 300 },
    );
  });
});

function markedOnce(value: PropertyValue): PropertyValue {
  if (value instanceof Secret) return new Secret(unwrapSecrets(value.element));
  if (Array.isArray(value)) return value.map(markedOnce);
  if (!isMap(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, element]) => [key, markedOnce(element)]));
}
