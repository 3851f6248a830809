import { describe, expect, it } from "vitest";
import { BrokenState, integrityFaults, verifyIntegrity } from "../../../engine/src/checkpoint.ts";
import type { Snapshot } from "../../../engine/src/resource.ts";
import { component, PROVIDER, PROVIDER_ID, provider, resource, snapshotOf } from "./states.ts";

const a = resource("a");
const reference = `${PROVIDER}::${PROVIDER_ID}`;

describe("a state's integrity", () => {
  const broken: [string, Snapshot, RegExp][] = [
    [
      "a manifest that was tampered with",
      { ...snapshotOf(), manifest: { time: "", magic: "x", version: "v3" } },
      /magic does not fit its version "v3"/,
    ],
    ["a version without its magic", { ...snapshotOf(), manifest: { time: "", magic: "", version: "v3" } }, /magic/],
    ["no URN", snapshotOf(resource("a", { urn: "" })), /index 0 has no URN/],
    ["no type", snapshotOf(resource("a", { urn: "urn:x", type: "" })), /urn:x has no type/],
    ["a component with an id", snapshotOf(component("a", { id: "1" })), /is a component but has the id "1"/],
    ["a provider without an id", snapshotOf({ ...provider(), id: "" }), /has no id, so nothing can refer to it/],
    ["a missing parent", snapshotOf(resource("b", { parent: a.urn })), /its parent .*::a does not exist/],
    ["a parent that comes after", snapshotOf(resource("b", { parent: a.urn }), a), /its parent .*::a comes after it/],
    ["its own parent", snapshotOf(resource("a", { parent: a.urn })), /its parent .*::a comes after it/],
    [
      "a missing dependency",
      snapshotOf(resource("b", { dependencies: [a.urn] })),
      /its dependency .*::a does not exist/,
    ],
    [
      "a late dependency",
      snapshotOf(resource("b", { dependencies: [a.urn] }), a),
      /its dependency .*::a comes after it/,
    ],
    [
      "a missing property dependency",
      snapshotOf(resource("b", { propertyDependencies: { key: [a.urn] } })),
      /its dependency \(of its property key\) .*::a does not exist/,
    ],
    [
      "a missing deletedWith",
      snapshotOf(resource("b", { deletedWith: a.urn })),
      /its deletedWith .*::a does not exist/,
    ],
    [
      "a missing replaceWith",
      snapshotOf(resource("b", { unknownFields: { replaceWith: [a.urn] } })),
      /its replaceWith .*::a does not exist/,
    ],
    [
      "a missing provider",
      snapshotOf(resource("b", { provider: reference })),
      /its provider .* does not come before it/,
    ],
    ["a late provider", snapshotOf(resource("b", { provider: reference }), provider()), /does not come before it/],
    [
      "a provider of another id",
      snapshotOf(provider(), resource("b", { provider: `${PROVIDER}::other` })),
      /its provider .*::other does not come before it/,
    ],
    ["a malformed provider", snapshotOf(resource("b", { provider: "nonsense" })), /"nonsense" is malformed/],
    ["the same URN twice", snapshotOf(a, { ...a }), /::a exists twice, and is not marked for deletion/],
  ];
  for (const [name, snapshot, fault] of broken) {
    it(`finds ${name}`, () => {
      const faults = integrityFaults(snapshot);
      expect(faults).toHaveLength(1);
      expect(faults[0]).toMatch(fault);
      expect(() => verifyIntegrity(snapshot)).toThrow(BrokenState);
    });
  }

  it("lists all faults at once, and says what to do", () => {
    const snapshot = snapshotOf(resource("b", { parent: a.urn, dependencies: ["urn:x"] }), component("c", { id: "1" }));
    expect(integrityFaults(snapshot)).toHaveLength(3);
    expect(() => verifyIntegrity(snapshot)).toThrow(/parent[\s\S]*dependency[\s\S]*component[\s\S]*Restore the backup/);
  });

  it("allows what is sound", () => {
    const condemned = { ...a, delete: true, id: "older" };
    const gone = resource("g", { provider: `${PROVIDER}::gone`, pendingReplacement: true });
    const parent = component("parent");
    const child = resource("child", {
      parent: parent.urn,
      provider: reference,
      dependencies: [a.urn],
      propertyDependencies: { x: [a.urn], y: [] },
      deletedWith: a.urn,
    });
    expect(
      integrityFaults(snapshotOf(provider(), parent, a, condemned, { ...condemned, id: "oldest" }, child, gone)),
    ).toEqual([]);
  });
});
