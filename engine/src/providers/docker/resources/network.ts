import { setTimeout as sleep } from "node:timers/promises";
import type { PropertyMap } from "../../../values.ts";
import { DockerFailed, isNotFound } from "../client/errors.ts";
import { flag, labelList, labelsOf, mapOrNull, objects, text, textMap } from "../plain.ts";
import type { Call, Found, Handler } from "./resource.ts";

/** How long containers that are going may still hold a network or a volume. */
export const BUSY_SECONDS = 30;
export const BUSY_PAUSE_MS = 250;

interface Inspected {
  Id: string;
  Name: string;
  Scope: string;
  Driver: string;
  EnableIPv6: boolean;
  Internal: boolean;
  Attachable: boolean;
  Ingress: boolean;
  IPAM?: { Driver?: string; Options?: Record<string, string> | null; Config?: IpamConfig[] | null };
  Options?: Record<string, string> | null;
  Labels?: Record<string, string> | null;
}
interface IpamConfig {
  Subnet?: string;
  IPRange?: string;
  Gateway?: string;
  AuxiliaryAddresses?: Record<string, string>;
}

/** `docker network`. */
export const network: Handler = {
  async create(inputs, call) {
    const name = text(inputs, "name");
    const configs = objects(inputs, "ipamConfigs");
    const made = await call.engine.ask(`create the network ${name}`, call, (docker) =>
      docker.createNetwork({
        Name: name,
        CheckDuplicate: true,
        Labels: labelsOf(inputs),
        Driver: text(inputs, "driver") || undefined,
        Options: textMap(inputs, "options"),
        Internal: flag(inputs, "internal"),
        Attachable: flag(inputs, "attachable"),
        Ingress: flag(inputs, "ingress"),
        EnableIPv6: flag(inputs, "ipv6"),
        IPAM: {
          Driver: text(inputs, "ipamDriver") || "default",
          Options: textMap(inputs, "ipamOptions"),
          Config: configs.length === 0 ? undefined : configs.map(ipamConfig),
        },
      }),
    );
    const found = await read(made.id, call);
    if (found === undefined)
      throw new Error(`the network ${name} was created and is gone again: something on the host removed it`);
    return found;
  },

  async delete(id, outputs, call) {
    const what = `remove the network ${text(outputs, "name") || id}`;
    for (
      const end = Date.now() + BUSY_SECONDS * 1000;
      ;
      await sleep(BUSY_PAUSE_MS, undefined, { signal: call.signal })
    ) {
      try {
        await call.engine.ask(what, call, (docker) => docker.getNetwork(id).remove());
        return;
      } catch (error) {
        if (isNotFound(error)) return;
        const busy = error instanceof DockerFailed && /has active endpoints/.test(error.reason);
        if (!busy || Date.now() > end) throw error;
      }
    }
  },

  read: (id, _outputs, call) => read(id, call),
};

async function read(id: string, call: Call): Promise<Found | undefined> {
  let net: Inspected;
  try {
    net = await call.engine.ask(
      `look at the network ${id}`,
      call,
      (docker) => docker.getNetwork(id).inspect() as Promise<Inspected>,
    );
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
  return {
    id: net.Id,
    seen: {
      name: net.Name,
      labels: labelList(net.Labels),
      driver: net.Driver,
      internal: net.Internal,
      attachable: net.Attachable,
      ingress: net.Ingress,
      ipv6: net.EnableIPv6,
      ipamDriver: net.IPAM?.Driver ?? "default",
      ipamOptions: mapOrNull(net.IPAM?.Options),
      options: { ...net.Options },
      scope: net.Scope,
      ipamConfigs: (net.IPAM?.Config ?? []).map((config) => ({
        subnet: config.Subnet ?? "",
        ipRange: config.IPRange ?? "",
        gateway: config.Gateway ?? "",
        auxAddress: { ...config.AuxiliaryAddresses },
      })),
    },
  };
}

function ipamConfig(config: PropertyMap): Record<string, string> {
  const entries = {
    Subnet: text(config, "subnet"),
    IPRange: text(config, "ipRange"),
    Gateway: text(config, "gateway"),
  };
  const given = Object.fromEntries(Object.entries(entries).filter(([, value]) => value !== ""));
  const aux = textMap(config, "auxAddress");
  // The client's types know texts only; the engine takes a map here.
  return aux === undefined ? given : { ...given, AuxiliaryAddresses: aux as unknown as string };
}
