import { unwrapMap } from "@atelier/engine/deploy/steps/marking";
import type { Engine } from "@atelier/engine/providers/docker/client/engine";
import { DockerFailed } from "@atelier/engine/providers/docker/client/errors";
import { fingerprintLabel, fingerprintOf } from "../../stacks/docker/fingerprint.ts";
import { type EngineLogin, engineLogin } from "../../stacks/docker/login.ts";
import { openEngine } from "../docker/engine.ts";
import { listResources, underLock } from "./engines/state.ts";
import { UserError } from "./errors.ts";
import type { Stack } from "./stack.ts";

type States = Awaited<ReturnType<typeof listResources>>;

/** A Docker engine, and what this stack's things bear there. */
interface Place {
  engine: EngineLogin;
  fingerprint: string;
}

/** Which engines are not asked any more: that of the box, and that of Dify's containers. */
export interface Gone {
  box: boolean;
  dify: boolean;
}

/** The engines of a stack that knows its fingerprint there. */
function placesOf({ name, settings }: Stack, states: States, gone: Gone): Place[] {
  const text = (resource: string, output: string) => {
    const found = states.find(({ urn }) => urn.endsWith(`::${resource}`));
    return found && String(unwrapMap(found.outputs)[output]);
  };
  const mistakes: string[] = [];
  const key = settings.host.kind === "docker" && !gone.box ? text("box-host-key", "publicKey") : undefined;
  const password = settings.dify && !settings.dify.url && !gone.dify ? text("dify-db-password", "value") : undefined;
  const places = [
    ...(key !== undefined && settings.host.kind === "docker"
      ? [{ engine: engineLogin(settings.host.docker, "atelier:host.docker.certPath", mistakes), secret: key }]
      : []),
    ...(password !== undefined && settings.dify
      ? [{ engine: engineLogin(settings.dify.docker, "atelier:dify.docker.certPath", mistakes), secret: password }]
      : []),
  ];
  if (mistakes.length > 0) throw new UserError(`The settings of stack \`${name}\`: ${mistakes.join("; ")}`, 2);
  return places.map(({ engine, secret }) => ({ engine, fingerprint: fingerprintOf(secret) }));
}

/**
 * Removes what this stack has on its Docker engines and its state does not know: containers and networks whose making was cut off
 * (kill -9, a crash), and those that `down --host-gone` left. Their names are wanted again. What bears another fingerprint stays.
 */
export async function removeLeftovers(
  stack: Stack,
  { say, signal, gone = neither }: { say: (line: string) => void; signal: AbortSignal; gone?: Gone },
): Promise<void> {
  const { host, dify } = stack.settings;
  if (host.kind !== "docker" && !dify) return;
  // Under the lock: what another update has just made may not be in the state yet.
  await underLock(stack.name, async (states) => {
    const known = new Set(states.map(({ id }) => id));
    for (const place of placesOf(stack, states, gone)) await removeUnknown(place, known, say, signal);
  });
}

const neither: Gone = { box: false, dify: false };

/**
 * Why nobody is there any more where Dify's containers were; undefined where an engine answers, were it by a refusal, or none was asked for
 * them.
 */
export async function whyNoDifyEngine(stack: Stack, signal: AbortSignal): Promise<string | undefined> {
  const places = placesOf(stack, await listResources(stack.name), { ...neither, box: true });
  for (const place of places) {
    const engine = openEngine(place.engine);
    try {
      await engine.ask("reach Dify's containers", { signal }, (docker) => docker.ping());
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof DockerFailed && error.status === undefined && silence.test(error.reason))
        return `no Docker engine answers at ${engine.host} (${error.reason})`;
      throw error instanceof DockerFailed ? new UserError(`Nothing was removed: ${error.message}`) : error;
    } finally {
      engine.close();
    }
  }
  return undefined;
}

const silence =
  /ECONNREFUSED|ECONNRESET|ENOENT|EHOSTUNREACH|EHOSTDOWN|ENETUNREACH|ETIMEDOUT|ENOTFOUND|EAI_AGAIN|no answer within|connection (refused|timed out|closed)|operation timed out|no route to host|could not resolve/i;

/** Asks an engine, and says in its own words why that is not to be had. */
async function onEngine<T>({ engine: login }: Place, use: (engine: Engine) => Promise<T>): Promise<T> {
  const engine = openEngine(login);
  try {
    return await use(engine);
  } catch (error) {
    throw error instanceof DockerFailed ? new UserError(error.message) : error;
  } finally {
    engine.close();
  }
}

async function removeUnknown(
  place: Place,
  known: Set<string>,
  say: (line: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const caller = { signal };
  const filters = { label: [`${fingerprintLabel}=${place.fingerprint}`] };
  const why = "which this stack's state does not know: left by an update that was cut off, or by --host-gone";
  await onEngine(place, async (engine) => {
    const boxes = await engine.ask("list the containers", caller, (docker) =>
      docker.listContainers({ all: true, filters }),
    );
    for (const { Id, Names } of boxes.filter((box) => !known.has(box.Id))) {
      const name = Names[0]?.slice(1) ?? Id.slice(0, 12);
      await engine.ask(`remove the container ${name}`, caller, (docker) =>
        docker.getContainer(Id).remove({ force: true, v: true }),
      );
      say(`Removed the container ${name}, ${why}.`);
    }
    const nets = await engine.ask("list the networks", caller, (docker) => docker.listNetworks({ filters }));
    for (const { Id, Name } of nets.filter((net) => !known.has(net.Id))) {
      await engine.ask(`remove the network ${Name}`, caller, (docker) => docker.getNetwork(Id).remove());
      say(`Removed the network ${Name}, ${why}.`);
    }
  });
}

/**
 * The names of the state's volumes that this stack did not make: another copy of it did, after they were removed by hand, or, where
 * the settings name one, anybody. They are deleted by their names, so nothing else would keep them.
 */
export async function volumesOfOthers(stack: Stack, signal: AbortSignal, gone: Gone): Promise<string[]> {
  const states = await listResources(stack.name);
  const ours = states.filter(({ type }) => type === "docker:index/volume:Volume").map(({ id }) => id);
  if (ours.length === 0) return [];
  const { host } = stack.settings;
  const named = host.kind === "docker" ? host.volume : undefined;
  const found = new Set<string>();
  const places = placesOf(stack, states, gone);
  const mine = places.map(({ fingerprint }) => fingerprint);
  for (const place of places)
    await onEngine(place, async (engine) => {
      const { Volumes } = await engine.ask("list the volumes", { signal }, (docker) => docker.listVolumes());
      for (const { Name, Labels } of (Volumes ?? []).filter((one) => ours.includes(one.Name))) {
        const whose = (Labels as Record<string, string> | null)?.[fingerprintLabel];
        if (whose === undefined ? Name === named : !mine.includes(whose)) found.add(Name);
      }
    });
  return [...found];
}
