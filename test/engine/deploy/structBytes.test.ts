import { expect, test } from "vitest";
import { resourcePb, structPb } from "../../../engine/src/deploy/monitor/rpc.ts";
import { appendStruct } from "../../../engine/src/deploy/monitor/structBytes.ts";
import { fc } from "../../helpers/random.ts";

const read = (bytes: Buffer) => resourcePb.RegisterResourceResponse.deserializeBinary(bytes);
const head = new resourcePb.RegisterResourceResponse().setUrn("urn:pulumi:s::p::t::n").setId("grüße");

test("what is no property value is refused", () => {
  expect(() => appendStruct(new Uint8Array(), 3, { bad: 1n })).toThrowError(/bigint/);
});

test("any properties are read by google-protobuf as they were, the message's other fields too", () => {
  const key = fc.string({ unit: "grapheme" }).filter((text) => text !== "__proto__");
  const value = fc.jsonValue();
  fc.assert(
    fc.property(fc.dictionary(key, value), (object) => {
      const ours = read(appendStruct(head.serializeBinary(), 3, object));
      expect(ours.getUrn()).toBe("urn:pulumi:s::p::t::n");
      expect(ours.getId()).toBe("grüße");
      expect(ours.getObject()?.toJavaScript()).toEqual(structPb.Struct.fromJavaScript(object as never).toJavaScript());
    }),
  );
});

test("long texts and deep values", () => {
  const object = {
    ascii: "x".repeat(300_000),
    wide: "模".repeat(100_000),
    deep: [[[{ a: [null, -0, 1.5e300, true, false, ""] }]]],
  };
  expect(
    read(appendStruct(head.serializeBinary(), 3, object))
      .getObject()
      ?.toJavaScript(),
  ).toEqual(object);
});
