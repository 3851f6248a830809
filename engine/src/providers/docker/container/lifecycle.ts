import { setTimeout as sleep } from "node:timers/promises";
import { InitFailed } from "../../../provider.ts";
import type { PropertyMap } from "../../../values.ts";
import { DockerFailed, isNotFound } from "../client/errors.ts";
import { outputsOf } from "../outputs.ts";
import { flag, number, objects, text } from "../plain.ts";
import { findImage, pullImage } from "../registry/pull.ts";
import type { Call, Found, Handler } from "../resources/resource.ts";
import { container as table } from "../schema/container.ts";
import { containerLogs, waitForEnd } from "./attach.ts";
import { health, inspect, warnOfEnd } from "./health.ts";
import { type ImageConfig, importedOutputs } from "./import.ts";
import { containerOutputs } from "./read.ts";
import { createBody, endpoint, updateBody } from "./spec.ts";
import { upload } from "./upload.ts";

const UNDO_MS = 60_000;

/** What `docker update` can do; every other change of a field makes a new container, or is only noted. */
const UPDATABLE = [
  "restart",
  "maxRetryCount",
  "cpuShares",
  "cpuSet",
  "cpuPeriod",
  "cpuQuota",
  "memory",
  "memoryReservation",
  "memorySwap",
];

/** `docker container`: created, joined to its networks, filled, started, and waited for as the inputs say. */
export const container: Handler = {
  async create(inputs, call) {
    const name = text(inputs, "name");
    const image = text(inputs, "image");
    if ((await findImage(image, call)) === undefined) await pullImage(image, text(inputs, "platform"), call);
    const body = createBody(inputs);
    const { id } = await call.engine.ask(`create the container ${name}`, call, (docker) =>
      docker.createContainer(body),
    );
    let logs: string | undefined;
    try {
      await connect(id, inputs, call);
      await upload(id, inputs, call);
      if (flag(inputs, "start")) await start(id, name, call);
      if (flag(inputs, "attach")) {
        await waitForEnd(id, name, call);
        if (flag(inputs, "logs")) logs = await containerLogs(id, inputs, call);
      }
    } catch (error) {
      throw await undo(id, inputs, call, error);
    }
    const outputs = outputsOf(table, id, inputs, {});
    let found: Found | undefined;
    let failed: string | undefined;
    try {
      failed = await health(id, inputs, call, 0);
      found = await read(id, outputs, call);
    } catch (error) {
      // It runs by now: whatever happens, the state must know it.
      throw new InitFailed(id, outputs, [(error as Error).message]);
    }
    if (found === undefined) {
      const why = flag(inputs, "rm") ? ": it ended, and rm removes one that ends" : "";
      throw new Error(`the container ${name} was started and is gone again${why}`);
    }
    if (logs !== undefined) found.seen.containerLogs = logs;
    if (failed !== undefined) throw new InitFailed(id, outputsOf(table, id, inputs, found.seen), [failed]);
    await warnOfEnd(id, inputs, call).catch(() => {});
    return found;
  },

  async update(id, news, outputs, call) {
    const name = text(news, "name");
    const changed = UPDATABLE.some((key) => JSON.stringify(news[key] ?? null) !== JSON.stringify(outputs[key] ?? null));
    if (changed) {
      await call.engine.ask(`update the container ${name}`, call, (docker) =>
        docker.getContainer(id).update(updateBody(news)),
      );
    }
    if (flag(news, "mustRun") && flag(news, "start") && !(await inspect(id, call))?.State.Running)
      await start(id, name, call);
    const failed = await health(id, news, call);
    if (failed !== undefined) {
      const found = await read(id, outputsOf(table, id, news, {}), call);
      throw new InitFailed(id, outputsOf(table, id, news, found?.seen ?? {}), [failed]);
    }
    await warnOfEnd(id, news, call).catch(() => {});
  },

  async delete(id, outputs, call) {
    const name = text(outputs, "name") || id;
    const handle = call.engine.docker.getContainer(id);
    const grace = number(outputs, "destroyGraceSeconds");
    if (!flag(outputs, "attach") && grace > 0) {
      await gone(call.engine.ask(`stop the container ${name}`, call, () => handle.stop({ t: grace }), grace + 60));
    }
    await gone(
      call.engine.ask(`remove the container ${name}`, call, () =>
        handle.remove({ v: outputs.removeVolumes !== false, force: true }),
      ),
    );
    // Another who removes it (rm) may still be at it: its ports and networks are free only afterwards.
    for (let tries = 0; tries < 100 && (await inspect(id, call)) !== undefined; tries++)
      await sleep(100, undefined, { signal: call.signal });
  },

  read,
};

async function read(id: string, state: PropertyMap, call: Call): Promise<Found | undefined> {
  const seen = await inspect(id, call);
  if (seen === undefined) return undefined;
  if (Object.keys(state).length > 0)
    return { id: seen.Id, seen: await namedAgain(containerOutputs(seen, state), state, call) };
  const image = (await findImage(seen.Image, call)) as { Config?: ImageConfig } | undefined;
  return { id: seen.Id, seen: { ...containerOutputs(seen, state), ...importedOutputs(seen, image?.Config ?? {}) } };
}

/** Of `container:<name>` the engine keeps the id alone: the name stays as long as it is the same container's. */
async function namedAgain(outputs: PropertyMap, state: PropertyMap, call: Call): Promise<PropertyMap> {
  const kept = { ...outputs };
  for (const key of ["networkMode", "ipcMode", "pidMode"]) {
    const [wanted, id] = [text(state, key), text(outputs, key)].map((mode) => /^container:(.+)/.exec(mode)?.[1]);
    if (wanted === undefined || id === undefined || wanted === id) continue;
    if ((await inspect(wanted, call))?.Id === id) kept[key] = text(state, key);
  }
  return kept;
}

async function start(id: string, name: string, call: Call): Promise<void> {
  await call.engine.ask(`start the container ${name}`, call, (docker) => docker.getContainer(id).start());
}

async function connect(id: string, inputs: PropertyMap, call: Call): Promise<void> {
  const networks = objects(inputs, "networksAdvanced");
  if (networks.length === 0) return;
  const name = text(inputs, "name");
  const { engine } = call;
  try {
    await engine.ask(`take the container ${name} from the network bridge`, call, (docker) =>
      docker.getNetwork("bridge").disconnect({ Container: id }),
    );
  } catch (error) {
    // An engine may have no such network, and the container may have been created elsewhere.
    const harmless =
      error instanceof DockerFailed && (error.status === 404 || /is not connected to/.test(error.reason));
    if (!harmless) throw error;
  }
  for (const network of networks) {
    const of = text(network, "name");
    await engine.ask(`connect the container ${name} to the network ${of}`, call, (docker) =>
      docker.getNetwork(of).connect({ Container: id, EndpointConfig: endpoint(network) }),
    );
  }
}

/** A container that did not come to life leaves nothing behind: the next run makes it again from the start. */
async function undo(id: string, inputs: PropertyMap, call: Call, cause: unknown): Promise<unknown> {
  // Its own time: the caller's may be what has ended.
  const caller = { signal: AbortSignal.timeout(UNDO_MS) };
  try {
    await call.engine.ask(`remove the container ${text(inputs, "name")} again`, caller, (docker) =>
      docker.getContainer(id).remove({ force: true, v: true }),
    );
    return cause;
  } catch (error) {
    if (isNotFound(error)) return cause;
    return new InitFailed(id, outputsOf(table, id, inputs, {}), [(cause as Error).message, (error as Error).message]);
  }
}

async function gone(answer: Promise<unknown>): Promise<void> {
  try {
    await answer;
  } catch (error) {
    const harmless =
      error instanceof DockerFailed &&
      (error.status === 404 || error.status === 304 || /already in progress/.test(error.reason));
    if (!harmless) throw error;
  }
}
