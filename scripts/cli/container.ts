import { unwrapMap } from "@atelier/engine/deploy/steps/marking";
import type { EngineLogin } from "../../stacks/docker/login.ts";
import { look } from "../../stacks/docker/look.ts";
import { exportState, importState, listResources } from "./engines/state.ts";
import { messageOf } from "./errors.ts";
import type { Stack } from "./stack.ts";

/** The box of `host.kind: docker`, as the stack's state knows it. */
interface Box {
  engine: EngineLogin;
  container: string;
}

async function boxOf(stack: Stack): Promise<Box | undefined> {
  if (stack.settings.host.kind !== "docker") return undefined;
  const facts = (await listResources(stack.name)).find(({ urn }) => urn.endsWith("::docker-facts"));
  return facts && (unwrapMap(facts.inputs) as unknown as Box);
}

/** What became of the stack's container: why it is not as it was left, or `runs`; undefined where there is none to ask for. */
export async function containerState(
  stack: Stack,
): Promise<{ container: string; runs: boolean; why?: string } | undefined> {
  const box = await boxOf(stack);
  if (!box) return undefined;
  const { container } = box;
  try {
    const { container: why } = await look(box.engine, container, "");
    return why === undefined ? { container, runs: true } : { container, runs: false, why };
  } catch (error) {
    return { container, runs: false, why: messageOf(error) };
  }
}

/** Whether there is surely no running container any more: an engine that can't be asked is no proof of that. */
export async function containerIsGone(stack: Stack): Promise<boolean> {
  const box = await boxOf(stack);
  if (!box) return false;
  return (await look(box.engine, box.container, "")).container !== undefined;
}

/** Volumes outlive a `down`; from here on the state says that these go. */
export async function releaseVolumes(stack: Stack): Promise<void> {
  const state = await exportState(stack.name, false);
  const { resources = [] } = (state.deployment ?? {}) as { resources?: { type: string; retainOnDelete?: boolean }[] };
  const kept = resources.filter(({ type, retainOnDelete }) => type === "docker:index/volume:Volume" && retainOnDelete);
  if (kept.length === 0) return;
  for (const volume of kept) delete volume.retainOnDelete;
  await importState(stack.name, JSON.stringify(state), false);
}
