import { describe, expect, it } from "vitest";
import { createUrn, isUrn, parseUrn, STACK_TYPE } from "../../../engine/src/urn.ts";

describe("URNs", () => {
  const stack = createUrn("gold", "golden", undefined, STACK_TYPE, "golden-gold");
  const part = createUrn("gold", "golden", stack, "golden:index:Part", "p");

  it("refuses what is no URN, and says how one reads", () => {
    for (const text of ["", "urn:pulumi:", "urn:pulumi:a::b::c", "arn:a::b::c::d"]) {
      expect(() => parseUrn(text)).toThrow(/is not a resource's URN.*urn:pulumi:<stack>/);
      expect(isUrn(text)).toBe(false);
    }
  });

  it("leaves no trace of the root stack, and one of every other parent", () => {
    expect(stack).toBe("urn:pulumi:gold::golden::pulumi:pulumi:Stack::golden-gold");
    expect(part).toBe("urn:pulumi:gold::golden::golden:index:Part::p");
    const command = createUrn("gold", "golden", part, "command:local:Command", "p-local");
    expect(command).toBe("urn:pulumi:gold::golden::golden:index:Part$command:local:Command::p-local");
  });

  it("reads back what it made, names with colons included", () => {
    expect(parseUrn(createUrn("s", "p", part, "a:b:C", "x::y$z"))).toEqual({
      stack: "s",
      project: "p",
      qualifiedType: "golden:index:Part$a:b:C",
      type: "a:b:C",
      name: "x::y$z",
    });
  });
});
