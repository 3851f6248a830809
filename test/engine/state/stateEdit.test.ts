import { describe, expect, it } from "vitest";
import { integrityFaults } from "../../../engine/src/checkpoint.ts";
import type { ResourceState } from "../../../engine/src/resource.ts";
import { removeResources } from "../../../engine/src/stateEdit.ts";
import { fc } from "../../helpers/random.ts";
import { component, PROVIDER, PROVIDER_ID, provider, resource, snapshotOf } from "./states.ts";

const named = (resources: ResourceState[]) => resources.map(({ urn }) => urn.slice(urn.lastIndexOf(":") + 1));

describe("dropping resources", () => {
  const root = component("root");
  const host = component("host", { parent: root.urn });
  const step = resource("step", { parent: host.urn, provider: `${PROVIDER}::${PROVIDER_ID}` });
  const after = resource("after", { parent: root.urn, dependencies: [step.urn] });
  const proof = resource("proof", { parent: root.urn, propertyDependencies: { url: [after.urn] } });
  const aside = resource("aside", { parent: root.urn });
  const condemned = { ...aside, id: "older", delete: true };
  const snapshot = {
    ...snapshotOf(provider(), root, host, step, after, proof, aside, condemned),
    pendingOperations: [
      { type: "creating" as const, resource: resource("late", { dependencies: [proof.urn] }) },
      { type: "updating" as const, resource: aside },
    ],
  };

  it("drops all that leans on them, and leaves the rest as it was", () => {
    const { snapshot: left, removed } = removeResources(snapshot, ({ urn }) => urn === host.urn);
    expect(named(removed)).toEqual(["host", "step", "after", "proof"]);
    expect(named(left.resources)).toEqual(["default_1_2_1", "root", "aside", "aside"]);
    expect(left.resources[2]).toBe(aside);
    expect(left.pendingOperations.map(({ type }) => type)).toEqual(["updating"]);
    expect(integrityFaults(left)).toEqual([]);
    expect(snapshot.resources).toHaveLength(8);
  });

  it("drops what a dropped provider served", () => {
    const { removed } = removeResources(snapshot, ({ type }) => type.startsWith("pulumi:providers:"));
    expect(named(removed)).toEqual(["default_1_2_1", "step", "after", "proof"]);
  });

  it("drops one of two of the same URN", () => {
    const { removed, snapshot: left } = removeResources(snapshot, (state) => state.delete === true);
    expect(removed).toEqual([condemned]);
    expect(integrityFaults(left)).toEqual([]);
  });

  it("leaves a sound state sound, whatever is dropped", () => {
    const links = fc.array(fc.array(fc.nat(9), { maxLength: 3 }), { minLength: 1, maxLength: 10 });
    fc.assert(
      fc.property(links, fc.array(fc.nat(9)), (edges, dropped) => {
        const resources: ResourceState[] = [];
        for (const [i, to] of edges.entries()) {
          const earlier = to.filter((j) => j < i).map((j) => resources[j]!.urn);
          resources.push(
            resource(`r${i}`, { parent: earlier[0], dependencies: earlier.slice(1, 2), deletedWith: earlier[2] }),
          );
        }
        const { snapshot: left, removed } = removeResources(snapshotOf(...resources), (state) =>
          dropped.some((i) => state.urn.endsWith(`::r${i}`)),
        );
        expect(integrityFaults(left)).toEqual([]);
        expect(left.resources.length + removed.length).toBe(resources.length);
      }),
    );
  });
});
