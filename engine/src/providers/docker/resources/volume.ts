import { setTimeout as sleep } from "node:timers/promises";
import { DockerFailed, isNotFound } from "../client/errors.ts";
import { labelList, labelsOf, mapOrNull, text, textMap } from "../plain.ts";
import { BUSY_PAUSE_MS, BUSY_SECONDS } from "./network.ts";
import type { Call, Found, Handler } from "./resource.ts";

interface Inspected {
  Name: string;
  Driver: string;
  Mountpoint: string;
  Labels?: Record<string, string> | null;
  Options?: Record<string, string> | null;
}

/** `docker volume`. Its id is its name. */
export const volume: Handler = {
  async create(inputs, call) {
    const name = text(inputs, "name");
    if ((await read(name, call)) !== undefined) {
      // As the official provider: one that an earlier stack kept (retainOnDelete) is found again with its content.
      call.log({ stream: "info", text: `the volume ${name} is there already, and is used with what is in it` });
    }
    await call.engine.ask(`create the volume ${name}`, call, (docker) =>
      docker.createVolume({
        Name: name,
        Labels: labelsOf(inputs),
        Driver: text(inputs, "driver") || undefined,
        DriverOpts: textMap(inputs, "driverOpts"),
      }),
    );
    const found = await read(name, call);
    if (found === undefined)
      throw new Error(`the volume ${name} was created and is gone again: something on the host removed it`);
    return found;
  },

  async delete(id, _outputs, call) {
    for (
      const end = Date.now() + BUSY_SECONDS * 1000;
      ;
      await sleep(BUSY_PAUSE_MS, undefined, { signal: call.signal })
    ) {
      try {
        await call.engine.ask(`remove the volume ${id}`, call, (docker) =>
          docker.getVolume(id).remove({ force: true }),
        );
        return;
      } catch (error) {
        if (isNotFound(error)) return;
        const busy = error instanceof DockerFailed && /volume is in use/.test(error.reason);
        if (!busy || Date.now() > end) throw error;
      }
    }
  },

  read: (id, _outputs, call) => read(id, call),
};

async function read(name: string, call: Call): Promise<Found | undefined> {
  let volume: Inspected;
  try {
    volume = await call.engine.ask(
      `look at the volume ${name}`,
      call,
      (docker) => docker.getVolume(name).inspect() as Promise<Inspected>,
    );
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
  return {
    id: volume.Name,
    seen: {
      name: volume.Name,
      labels: labelList(volume.Labels),
      driver: volume.Driver,
      driverOpts: mapOrNull(volume.Options),
      mountpoint: volume.Mountpoint,
    },
  };
}
