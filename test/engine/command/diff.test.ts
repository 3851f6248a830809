import { describe, expect, it } from "vitest";
import { diffInputs } from "../../../engine/src/providers/command/diff.ts";
import { Asset, Secret, Unknown } from "../../../engine/src/values.ts";

describe("diffInputs", () => {
  it.each([
    ["a changed text", { create: "a" }, { create: "b" }, ["create"]],
    ["a new and a missing one", { create: "a" }, { update: "b" }, ["create", "update"]],
    [
      "a variable",
      { environment: { A: "1", "b.c": "1" } },
      { environment: { A: "2", "b.c": "2" } },
      ['environment["b.c"]', "environment.A"],
    ],
    ["a trigger's item", { triggers: [1, 2] }, { triggers: [1, 3, 4] }, ["triggers[1]", "triggers[2]"]],
    ["an unknown", { create: "a" }, { create: Unknown.value }, ["create"]],
    [
      "a secret's content, as a whole",
      { connection: new Secret({ port: 1 }) },
      { connection: new Secret({ port: 2 }) },
      ["connection"],
    ],
    ["secretness", { stdin: "a" }, { stdin: new Secret("a") }, ["stdin"]],
    [
      "a file's content",
      { source: new Asset({ path: "a" }, "1") },
      { source: new Asset({ path: "a" }, "2") },
      ["source"],
    ],
  ])("sees %s", (_what, olds, news, changed) => {
    expect(diffInputs(olds, news)).toMatchObject({ changes: "some", changedKeys: changed.sort(), replaceKeys: [] });
  });

  it.each([
    ["order of keys", { a: { b: 1, c: 2 } }, { a: { c: 2, b: 1 } }],
    ["null and absence", { create: null }, {}],
    ["a file that moved", { source: new Asset({ path: "a" }, "1") }, { source: new Asset({ path: "b" }, "1") }],
    ["equal secrets", { c: new Secret({ k: new Secret("x") }) }, { c: new Secret({ k: new Secret("x") }) }],
  ])("does not see %s", (_what, olds, news) => {
    expect(diffInputs(olds, news)).toMatchObject({ changes: "none", changedKeys: [] });
  });

  it("replaces by triggers that appear or vanish as a whole; their items are the SDK's business", () => {
    expect(diffInputs({}, { triggers: [1] }).replaceKeys).toEqual(["triggers"]);
    expect(diffInputs({ triggers: [1] }, {}).replaceKeys).toEqual(["triggers"]);
    expect(diffInputs({ triggers: [1] }, { triggers: [2] }).replaceKeys).toEqual([]);
  });
});
