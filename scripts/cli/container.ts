import { setTimeout as sleep } from "node:timers/promises";
import { unwrapMap } from "@atelier/engine/deploy/steps/marking";
import type { EngineLogin } from "../../stacks/docker/login.ts";
import { type Looks, look } from "../../stacks/docker/look.ts";
import { exportState, importState, isOnHost, listResources } from "./engines/state.ts";
import { messageOf, UserError } from "./errors.ts";
import type { Stack } from "./stack.ts";

/** The box of `host.kind: docker`, as the stack's state knows it. */
interface Box extends Pick<Looks, "container" | "fingerprint"> {
  engine: EngineLogin;
}

/** Undefined where none was made: a container of that name is somebody else's then. */
async function boxOf(stack: Stack): Promise<Box | undefined> {
  if (stack.settings.host.kind !== "docker") return undefined;
  const states = await listResources(stack.name);
  if (!states.some((state) => isOnHost(state) || state.type === "docker:index/container:Container")) return undefined;
  const facts = states.find(({ urn }) => urn.endsWith("::docker-facts"));
  return facts && (unwrapMap(facts.inputs) as unknown as Box);
}

const lookAt = ({ engine, container, fingerprint = "" }: Box, { name }: Stack) =>
  look(engine, { container, fingerprint, image: "", volume: "", stack: name });

/** What became of the stack's container: why it is not as it was left, or `runs`; undefined where there is none to ask for. */
export async function containerState(
  stack: Stack,
): Promise<{ container: string; runs: boolean; why?: string } | undefined> {
  const box = await boxOf(stack);
  if (!box) return undefined;
  const { container } = box;
  try {
    const { container: why } = await lookAt(box, stack);
    return why === undefined ? { container, runs: true } : { container, runs: false, why };
  } catch (error) {
    return { container, runs: false, why: messageOf(error) };
  }
}

/**
 * Why the stack's container does not run, after an update that failed: no step can tell who finds nobody there, or somebody else on
 * its port. One that ends again and again runs at times, so it is looked at for as long as Docker itself does before it counts a start
 * as a good one.
 */
export async function containerTrouble(stack: Stack): Promise<string | undefined> {
  const end = Date.now() + 10_000;
  for (;;) {
    const box = await containerState(stack);
    if (box?.runs !== true || Date.now() > end) return box?.why;
    await sleep(500);
  }
}

/**
 * Whether there is surely no running container any more.
 * @throws UserError where the engine can't be asked: that is no proof of it
 */
export async function containerIsGone(stack: Stack): Promise<boolean> {
  const box = await boxOf(stack);
  if (!box) return false;
  const seen = await lookAt(box, stack).catch((error) => {
    throw new UserError(`Nothing was removed: ${messageOf(error)}`);
  });
  return seen.container !== undefined;
}

/**
 * Volumes of the box outlive a `down`; after this the state says that they go with a purge, and that `others` stay, which are deleted by
 * their names and are not this stack's.
 */
export async function settleVolumes(stack: Stack, purge: boolean, others: string[]): Promise<void> {
  const state = await exportState(stack.name, false);
  const { resources = [] } = (state.deployment ?? {}) as {
    resources?: { type: string; id?: string; retainOnDelete?: boolean }[];
  };
  let changed = false;
  for (const volume of resources.filter(({ type }) => type === "docker:index/volume:Volume")) {
    const stays = others.includes(volume.id ?? "") || (volume.retainOnDelete === true && !purge);
    if (stays === (volume.retainOnDelete ?? false)) continue;
    changed = true;
    if (stays) volume.retainOnDelete = true;
    else delete volume.retainOnDelete;
  }
  if (changed) await importState(stack.name, JSON.stringify(state), false);
}
