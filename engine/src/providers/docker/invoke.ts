import type { CheckFailure } from "../../provider.ts";
import type { PropertyMap } from "../../values.ts";
import { isNotFound } from "./client/errors.ts";
import { flag, text } from "./plain.ts";
import { registryDigest } from "./registry/digest.ts";
import { digestOf, findImage } from "./registry/pull.ts";
import type { Call } from "./resources/resource.ts";

type Answer = (args: PropertyMap, call: Call) => Promise<PropertyMap>;

const functions: Readonly<Record<string, { args: readonly string[]; run: Answer }>> = {
  "docker:index/getNetwork:getNetwork": { args: ["name"], run: getNetwork },
  "docker:index/getRemoteImage:getRemoteImage": { args: ["name"], run: getRemoteImage },
  "docker:index/getRegistryImage:getRegistryImage": { args: ["name", "insecureSkipVerify"], run: getRegistryImage },
};

export function isFunction(token: string): boolean {
  return Object.hasOwn(functions, token);
}

/** Answers one of the package's functions: a network, an image that is here, an image in its registry. */
export async function invoke(
  token: string,
  args: PropertyMap,
  call: Call,
): Promise<{ result: PropertyMap; failures: CheckFailure[] }> {
  const known = functions[token];
  if (known === undefined) throw new Error(`there is no function ${token}`);
  const failures: CheckFailure[] = [];
  for (const key of Object.keys(args)) {
    if (!known.args.includes(key))
      failures.push({ property: key, reason: `unknown property; accepted are ${known.args.join(", ")}` });
  }
  if (text(args, "name") === "") failures.push({ property: "name", reason: "missing, but required" });
  if (failures.length > 0) return { result: {}, failures };
  return { result: await known.run(args, call), failures };
}

interface Network {
  Id: string;
  Name: string;
  Scope: string;
  Driver: string;
  Internal: boolean;
  Options?: Record<string, string> | null;
  IPAM?: {
    Config?:
      | { Subnet?: string; Gateway?: string; IPRange?: string; AuxiliaryAddresses?: Record<string, string> }[]
      | null;
  };
  Containers?: Record<
    string,
    { Name: string; EndpointID: string; MacAddress: string; IPv4Address: string; IPv6Address: string }
  > | null;
}

async function getNetwork(args: PropertyMap, call: Call): Promise<PropertyMap> {
  const name = text(args, "name");
  let found: Network;
  try {
    found = await call.engine.ask(
      `look at the network ${name}`,
      call,
      (docker) => docker.getNetwork(name).inspect() as Promise<Network>,
    );
  } catch (error) {
    if (isNotFound(error))
      throw new Error(`there is no network ${name} at ${call.engine.host}: create it, or correct its name`);
    throw error;
  }
  return {
    id: found.Id,
    name: found.Name,
    scope: found.Scope,
    driver: found.Driver,
    internal: found.Internal,
    options: { ...found.Options },
    ipamConfigs: (found.IPAM?.Config ?? []).map((config) => ({
      subnet: config.Subnet ?? "",
      gateway: config.Gateway ?? "",
      ipRange: config.IPRange ?? "",
      auxAddress: { ...config.AuxiliaryAddresses },
    })),
    containers: Object.entries(found.Containers ?? {})
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([id, one]) => ({
        containerId: id,
        name: one.Name,
        endpointId: one.EndpointID,
        macAddress: one.MacAddress,
        ipv4Address: one.IPv4Address,
        ipv6Address: one.IPv6Address,
      })),
  };
}

async function getRemoteImage(args: PropertyMap, call: Call): Promise<PropertyMap> {
  const name = text(args, "name");
  const image = await findImage(name, call);
  if (image === undefined) {
    throw new Error(
      `the Docker engine at ${call.engine.host} has no image ${name}: getRemoteImage only looks at what is there; docker.RemoteImage pulls`,
    );
  }
  return { id: image.Id, name, repoDigest: digestOf(name, image) };
}

async function getRegistryImage(args: PropertyMap, call: Call): Promise<PropertyMap> {
  const name = text(args, "name");
  const digest = await registryDigest(name, {
    logins: call.engine.logins,
    insecure: flag(args, "insecureSkipVerify"),
    signal: call.signal,
  });
  return { id: digest, name, sha256Digest: digest, insecureSkipVerify: flag(args, "insecureSkipVerify") };
}
