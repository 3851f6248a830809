import { setTimeout as sleep } from "node:timers/promises";
import { stripVTControlCharacters } from "node:util";
import { InitFailed } from "../../../provider.ts";
import type { PropertyMap } from "../../../values.ts";
import { DockerFailed, isNotFound } from "../client/errors.ts";
import { outputsOf } from "../outputs.ts";
import { flag, number, objects, text } from "../plain.ts";
import { findImage, pullImage } from "../registry/pull.ts";
import type { Call, Found, Handler } from "../resources/resource.ts";
import { container as table } from "../schema/container.ts";
import { containerLogs, waitForEnd } from "./attach.ts";
import { type ImageConfig, importedOutputs } from "./import.ts";
import { containerOutputs, type Inspected } from "./read.ts";
import { createBody, endpoint, updateBody } from "./spec.ts";
import { upload } from "./upload.ts";

const HEALTH_PAUSE_MS = 500;
/** How long an engine may be silent while a container is waited for: a line that dropped, an engine that starts anew. */
const SILENCE_MS = 90_000;
const UNDO_MS = 60_000;
/** How much of a failed health check's own words is told. */
const HEALTH_WORDS = 300;
/** How much of what a container said before it ended is read, and is told of it. */
const READ_LINES = 60;
const LAST_LINES = 8;
const LAST_WORDS = 1000;
/** Where a program was, which Go says after why: a panic's trace is longer than all else. */
const TRACE = /^(goroutine \d+ .*|\s+\S+\.go:\d+.*|[\w./*()[\]-]+\([^ ]*.*\)|exit status \d+)?$/;
/** Ends of a container that is waited for, after which it is given up: Docker's pauses double, so this is half a minute and more. */
const RESTARTS = 8;

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
  "deviceReadBps",
  "deviceReadIops",
  "deviceWriteBps",
  "deviceWriteIops",
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
  if (Object.keys(state).length > 0) return { id: seen.Id, seen: containerOutputs(seen, state) };
  const image = (await findImage(seen.Image, call)) as { Config?: ImageConfig } | undefined;
  return { id: seen.Id, seen: { ...containerOutputs(seen, state), ...importedOutputs(seen, image?.Config ?? {}) } };
}

async function inspect(id: string, call: Call): Promise<Inspected | undefined> {
  try {
    return (await call.engine.ask(`look at the container ${id.slice(0, 12)}`, call, (docker) =>
      docker.getContainer(id).inspect(),
    )) as unknown as Inspected;
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
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

/**
 * Waits until the container is healthy, where the inputs want that. Gives what went wrong; undefined: nothing.
 * @param restarted how often it had been started again before. @default what the first look says
 */
async function health(id: string, inputs: PropertyMap, call: Call, restarted?: number): Promise<string | undefined> {
  if (!flag(inputs, "wait") || !flag(inputs, "start")) return undefined;
  const name = text(inputs, "name");
  const seconds = number(inputs, "waitTimeout") || 60;
  const end = Date.now() + seconds * 1000;
  let before = restarted;
  let code: number | undefined;
  let heard = Date.now();
  for (;;) {
    let seen: Inspected | undefined;
    try {
      seen = await inspect(id, call);
      heard = Date.now();
    } catch (error) {
      const refused = !(error instanceof DockerFailed) || error.status !== undefined || call.signal.aborted;
      if (refused || Date.now() - heard > SILENCE_MS) throw error;
      call.log({
        stream: "info",
        text: `waiting for the Docker engine to answer again: ${error.reason}`,
        ephemeral: true,
      });
      await sleep(HEALTH_PAUSE_MS);
      continue;
    }
    if (seen === undefined) return `the container ${name} is gone while it was waited for to be healthy`;
    const { Running, Status, ExitCode, Health } = seen.State;
    if (Health === undefined) {
      return `the container ${name} has no health check, so "wait" would wait for ever: give it a healthcheck, or take wait from it`;
    }
    if (Health.Status === "healthy") return undefined;
    const restarts = /^(always|unless-stopped|on-failure)$/.test(text(inputs, "restart"));
    // One that will be started again is "restarting" meanwhile.
    const over = restarts ? Status === "exited" || Status === "dead" : !Running;
    before ??= seen.RestartCount;
    const times = seen.RestartCount - before;
    if (over || (times >= RESTARTS && Status === "restarting")) {
      const often = times > 0 ? `, ${times + 1} times,` : "";
      return `the container ${name} ended with exit code ${ExitCode}${often} before it was healthy${await lastWords(id, inputs, call)}`;
    }
    // While it runs again, the engine says 0.
    if (Status === "restarting") code = ExitCode;
    const ended = code === undefined ? "ended" : `ended with exit code ${code}`;
    const again = times > 0 ? `; it ${ended} and was started again ${times} times` : "";
    if (Date.now() > end) {
      const last = Health.Log?.at(-1);
      const said =
        last === undefined
          ? "no check has ended yet"
          : `the last check ended with exit code ${last.ExitCode}${words(last.Output)}`;
      return `the container ${name} is ${Health.Status}, not healthy, after ${seconds} s (waitTimeout): ${said}${again}. docker logs ${name} shows what it says`;
    }
    call.log({
      stream: "info",
      text: `waiting for the container to be healthy (${Health.Status}${again})`,
      ephemeral: true,
    });
    await sleep(HEALTH_PAUSE_MS);
  }
}

/** What a container said last: of no use to who can't reach its engine by hand. */
async function lastWords(id: string, inputs: PropertyMap, call: Call): Promise<string> {
  const shown = `docker logs ${text(inputs, "name")} shows what it said`;
  const logs = await containerLogs(id, inputs, call, READ_LINES).catch(() => "");
  const lines = stripVTControlCharacters(logs).trimEnd().split("\n");
  const isGo = /^goroutine \d+ \[/m.test(logs);
  const telling = lines.filter((line) => !isGo || !TRACE.test(line.trimEnd()));
  const said = telling.slice(-LAST_LINES).join("\n").trim().slice(-LAST_WORDS);
  return said === "" ? `: ${shown}` : `. Its last words (${shown}):\n${said}`;
}

function words(output: string): string {
  const said = output.trim().slice(0, HEALTH_WORDS);
  return said === "" ? "" : `: ${said}`;
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
