import type { CheckResult } from "../../provider.ts";
import { checkProviderInputs } from "../../providers/registry.ts";
import type { ResourceState } from "../../resource.ts";
import { parseUrn } from "../../urn.ts";
import type { PropertyMap } from "../../values.ts";
import { Refusal } from "./goal.ts";
import type { PlannerHost } from "./planner.ts";
import { isProviderType, packageOf } from "./references.ts";

/** The inputs as the provider wants them. @throws Refusal naming every failed check */
export async function checkInputs(
  host: Pick<PlannerHost, "provider" | "context">,
  state: ResourceState,
  olds: PropertyMap | undefined,
  news: PropertyMap,
  randomSeed: Uint8Array,
): Promise<PropertyMap> {
  if (!state.custom) return news;
  if (isProviderType(state.type)) return checkProviderInputs(packageOf(state.type), news, olds);
  const provider = await host.provider(state.provider ?? "");
  const result: CheckResult = await provider.check({ ...host.context(state.urn), olds, news, randomSeed });
  if (result.failures.length > 0) {
    const lines = result.failures.map(({ property, reason }) => (property === "" ? reason : `${property}: ${reason}`));
    throw new Refusal(`${state.type} "${parseUrn(state.urn).name}" is not valid:\n  ${lines.join("\n  ")}`, state.urn);
  }
  return result.inputs;
}
