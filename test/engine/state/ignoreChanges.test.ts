import { describe, expect, it } from "vitest";
import { ignoreChangesAt } from "../../../engine/src/ignoreChanges.ts";
import { type PropertyMap, Secret } from "../../../engine/src/values.ts";

describe("ignoreChanges", () => {
  const put = (paths: string[], old: PropertyMap, news: PropertyMap) => ignoreChangesAt(paths, old, news);

  it("names the paths that cannot be put back", () => {
    expect(put(["list[2]"], { list: [1, 2, 3] }, { list: [1, 2] }).failed).toEqual(["list[2]"]);
    expect(put(["list[*]"], { list: [1, 2, 3] }, { list: [1, 2] }).failed).toEqual(["list[*]"]);
    expect(put(["a.b"], { a: { b: 1 } }, { a: 5 }).failed).toEqual(["a.b"]);
    expect(put(["a.b.c"], { a: { b: { c: 1 } } }, { a: {} }).failed).toEqual(["a.b.c"]);
    expect(put(["a..b", "a"], { a: 1 }, { a: 2 })).toEqual({ inputs: { a: 1 }, failed: ["a..b"] });
  });

  it("puts old values back, takes new ones away, and leaves the rest", () => {
    const old = { a: 1, o: { x: 1, y: 2 }, l: [1, 2] };
    const news = { a: 2, o: { x: 9, y: 9, z: 9 }, l: [9, 9], n: 1 };
    expect(put(["a", "o.x", "l[0]", "n"], old, news)).toEqual({
      inputs: { a: 1, o: { x: 1, y: 9, z: 9 }, l: [1, 9] },
      failed: [],
    });
    expect(put(["o.*", "l[*]"], old, news).inputs).toEqual({ a: 2, o: { x: 1, y: 2 }, l: [1, 2], n: 1 });
    expect(put(["*"], old, news).inputs).toEqual(old);
    expect(put(["nowhere.at[3].all"], old, news)).toEqual({ inputs: news, failed: [] });
    expect(news.o.x).toBe(9);
  });

  it("puts back what is on both sides, as the official engine does, where the other places can't be", () => {
    const old = { l: [{ a: 1 }, { a: 2 }], m: { x: { a: 1 }, y: { a: 1 } }, n: [1, 2, 3] };
    expect(put(["l[*].a"], old, { ...old, l: [{ a: 7 }] })).toEqual({
      inputs: { ...old, l: [{ a: 1 }] },
      failed: ["l[*].a"],
    });
    expect(put(["n[*]"], old, { ...old, n: [7, 8] })).toEqual({ inputs: { ...old, n: [1, 2] }, failed: ["n[*]"] });
    expect(put(["m.*.a"], old, { ...old, m: { x: { a: 7 } } }).inputs.m).toEqual({ x: { a: 1 } });
    // Only what was there has anything to put back.
    expect(put(["m.*.a"], old, { ...old, m: { ...old.m, z: { a: 7 } } })).toEqual({
      inputs: { ...old, m: { ...old.m, z: { a: 7 } } },
      failed: [],
    });
    // Past the first element that does not fit nothing is put back.
    expect(put(["l[*].b.c"], { l: [{ b: { c: 1 } }, { b: { c: 1 } }] }, { l: [{}, { b: { c: 7 } }] }).inputs).toEqual({
      l: [{}, { b: { c: 7 } }],
    });
  });

  it("never makes a secret plain", () => {
    expect(put(["o.x"], { o: new Secret({ x: 1 }) }, { o: { x: 2 } }).inputs).toEqual({ o: { x: new Secret(1) } });
    expect(put(["o.x"], { o: { x: 1 } }, { o: new Secret({ x: 2 }) }).inputs).toEqual({ o: new Secret({ x: 1 }) });
    expect(put(["o"], { o: new Secret(1) }, { o: 2 }).inputs).toEqual({ o: new Secret(1) });
  });
});
