import { describe, expect, it } from "vitest";
import { diffPaths, equalValues } from "../../../engine/src/compare.ts";
import { formatPath, getPath, matchesPath, parsePath, setPath } from "../../../engine/src/paths.ts";
import { Archive, Asset, type PropertyMap, ResourceReference, Secret, Unknown } from "../../../engine/src/values.ts";
import { fc } from "../../helpers/random.ts";
import { anyMap } from "./values.ts";

describe("property paths", () => {
  it("refuses what is no path", () => {
    for (const text of [".a", "a.", "a..b", "a[", "a[x]", 'a["x]', "a[1"]) {
      expect(() => parsePath(text), text).toThrow(`"${text}" is not a property path`);
    }
  });

  it("reads names, indices, quoted names and wildcards", () => {
    expect(parsePath("root.nested.array[0].double[1]")).toEqual(["root", "nested", "array", 0, "double", 1]);
    expect(parsePath('["root key with a ."][100]')).toEqual(["root key with a .", 100]);
    expect(parsePath('root["key with \\"escaped\\" quotes"]')).toEqual(["root", 'key with "escaped" quotes']);
    expect(parsePath("triggers[*]")).toEqual(["triggers", "*"]);
    expect(parsePath("foo-bar.*")).toEqual(["foo-bar", "*"]);
  });

  it("writes paths as Pulumi does, and reads them back", () => {
    expect(formatPath(["a", "b", 0, "x.y", 'q"q', "ok_1"])).toBe('a.b[0]["x.y"]["q\\"q"].ok_1');
    const key = fc.oneof(
      fc.nat(),
      fc.string({ minLength: 1 }).filter((name) => !name.includes("\\")),
    );
    fc.assert(
      fc.property(fc.array(key, { minLength: 1 }), (path) => void expect(parsePath(formatPath(path))).toEqual(path)),
    );
  });

  it("matches what lies in a path, with wildcards for names and indices", () => {
    expect(matchesPath("foo.*.baz", "foo.bar.baz.bam")).toBe(true);
    expect(matchesPath("triggers[*]", "triggers[3]")).toBe(true);
    expect(matchesPath('foo["bar"][1]', "foo.bar[1].baz")).toBe(true);
    expect(matchesPath("*", "anything.at.all")).toBe(true);
    expect(matchesPath("triggers[*]", "triggers")).toBe(false);
    expect(matchesPath("a[1]", "a[2]")).toBe(false);
    expect(matchesPath("a.b", "a")).toBe(false);
  });

  it("reads through secrets, and sets through them without unveiling them", () => {
    const map: PropertyMap = { a: new Secret({ b: [1, { c: 2 }] }) };
    expect(getPath(map, "a.b[1].c")).toBe(2);
    expect(getPath(map, "a.b[9].c")).toBeUndefined();
    expect(getPath(map, "a.toString")).toBeUndefined();
    expect(setPath(map, "a.b[1].c", 3)).toEqual({ a: new Secret({ b: [1, { c: 3 }] }) });
    expect(setPath(map, "x.y[1]", true)).toEqual({ ...map, x: { y: [null, true] } });
    expect(setPath(map, "a.b[1]", undefined)).toEqual({ a: new Secret({ b: [1] }) });
    expect(() => setPath(map, "a.b.c", 1)).toThrow(/Cannot set a\.b\.c/);
    expect(getPath(map, "a.b[1].c")).toBe(2);
  });
});

describe("equality", () => {
  const urn = "urn:pulumi:s::p::a:b:C::n";

  it("tells a secret from the same plain value unless told to ignore it", () => {
    expect(equalValues(new Secret("x"), "x")).toBe(false);
    expect(equalValues(new Secret("x"), new Secret("y"))).toBe(false);
    expect(equalValues({ a: [new Secret("x")] }, { a: ["x"] }, { ignoreSecretness: true })).toBe(true);
  });

  it("takes an absent key for null, as Pulumi does", () => {
    expect(equalValues({ a: null }, {})).toBe(true);
    expect(equalValues({ a: 0 }, {})).toBe(false);
    expect(equalValues({ toString: 1 }, {})).toBe(false);
  });

  it("compares assets by their hash, and references by their resource", () => {
    expect(equalValues(new Asset({ path: "a" }, "h"), new Asset({ text: "t" }, "h"))).toBe(true);
    expect(equalValues(new Asset({ path: "a" }, "h"), new Asset({ path: "a" }, "i"))).toBe(false);
    expect(equalValues(new Asset({ path: "a" }), new Archive({ path: "a" }))).toBe(false);
    expect(equalValues(new ResourceReference(urn, "1", "1.0"), new ResourceReference(urn, "1", "2.0"))).toBe(true);
    expect(equalValues(new ResourceReference(urn, "1"), new ResourceReference(urn, undefined))).toBe(false);
    expect(equalValues(Unknown.value, "x")).toBe(false);
    expect(equalValues([1], { 0: 1 })).toBe(false);
    expect(equalValues(Number.NaN, Number.NaN)).toBe(true);
  });

  it("has no difference from itself, and is told of every one", () => {
    fc.assert(
      fc.property(anyMap, anyMap, (a, b) => {
        expect(equalValues(a, a)).toBe(true);
        expect(diffPaths(a, a)).toEqual([]);
        expect(diffPaths(a, b).length === 0).toBe(equalValues(a, b, { ignoreSecretness: true }));
        expect(diffPaths(a, b, {}).length === 0).toBe(equalValues(a, b));
      }),
      { numRuns: 300 },
    );
  });
});

describe("differences", () => {
  it("names leaves, in Pulumi's syntax", () => {
    const old = { same: 1, list: [1, 2, 3], o: { "a.b": 1, gone: true }, kind: "text", s: new Secret({ k: 1 }) };
    const news = {
      same: 1,
      list: [1, 9],
      o: { "a.b": 2, added: [] },
      kind: ["list"],
      s: new Secret({ k: 2 }),
      extra: {},
    };
    const paths = ["extra", "kind", "list[1]", "list[2]", 'o["a.b"]', "o.added", "o.gone", "s.k"];
    expect(diffPaths(old, news)).toEqual(paths);
  });
});
