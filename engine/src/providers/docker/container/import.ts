import type { PropertyMap, PropertyValue } from "../../../values.ts";
import { labelList, mapOrNull } from "../plain.ts";
import { formatGpus } from "./gpus.ts";
import type { Inspected } from "./read.ts";

/** An image's own settings, which every container of it has. */
export interface ImageConfig {
  Env?: string[] | null;
  Labels?: Record<string, string> | null;
  Volumes?: Record<string, object> | null;
}

/**
 * What a container that is imported has besides: for one of the state the program knows it better. Files that were uploaded can't
 * be told from the image's; and what the engine fills in where nobody says anything (cgroupnsMode) is left out.
 */
export function importedOutputs(seen: Inspected, image: ImageConfig): PropertyMap {
  const { Config: config, HostConfig: host } = seen;
  const ofImage = Object.entries(config.Labels ?? {}).filter(([key, value]) => image.Labels?.[key] !== value);
  return {
    envs: (config.Env ?? []).filter((line) => !image.Env?.includes(line)).sort(),
    labels: labelList(Object.fromEntries(ofImage)),
    logOpts: mapOrNull(host.LogConfig.Config),
    ports: Object.entries(host.PortBindings ?? {}).flatMap(([key, bindings]) => ports(key, bindings ?? [])),
    volumes: volumes(seen, image),
    ulimits: (host.Ulimits ?? []).map(({ Name, Soft, Hard }) => ({ name: Name, soft: Soft, hard: Hard })),
    devices: (host.Devices ?? []).map((device) => ({
      hostPath: device.PathOnHost,
      containerPath: device.PathInContainer,
      permissions: device.CgroupPermissions,
    })),
    gpus: formatGpus(host.DeviceRequests) || null,
    pidMode: host.PidMode || null,
    networksAdvanced: networks(seen),
  };
}

function ports(key: string, bindings: { HostIp: string; HostPort: string }[]): PropertyValue[] {
  const [internal, protocol = "tcp"] = key.split("/");
  return bindings.map(({ HostIp, HostPort }) => ({
    internal: Number(internal),
    external: Number(HostPort || 0),
    ip: HostIp || "0.0.0.0",
    protocol,
  }));
}

/** Bound ones, those of other containers, and nameless ones that the image does not ask for by itself. */
function volumes({ Config: config, HostConfig: host }: Inspected, image: ImageConfig): PropertyValue[] {
  const bound = (host.Binds ?? []).map(volume);
  const nameless = Object.keys(config.Volumes ?? {}).filter(
    (path) => image.Volumes?.[path] === undefined && !bound.some(({ containerPath }) => containerPath === path),
  );
  const from = (host.VolumesFrom ?? []).map((name) => ({ fromContainer: name }));
  return [...bound, ...nameless.map((containerPath) => ({ containerPath })), ...from];
}

/** `source:path:rw,z` */
function volume(bind: string): PropertyMap {
  const [source = "", path = "", mode = ""] = bind.split(":");
  const words = mode.split(",");
  return {
    ...(source.startsWith("/") ? { hostPath: source } : { volumeName: source }),
    containerPath: path,
    readOnly: words.includes("ro"),
    selinuxRelabel: words.find((word) => word === "z" || word === "Z") ?? "",
  };
}

/** Those besides the one that it was created in. The engine adds the id and the host name to the aliases. */
function networks({ Id: id, Config: config, HostConfig: host, NetworkSettings: settings }: Inspected): PropertyValue[] {
  const joined = Object.entries(settings?.Networks ?? {}).filter(
    ([name]) => name !== host.NetworkMode && name !== "bridge",
  );
  return joined.map(([name, endpoint]) => ({
    name,
    aliases: (endpoint.Aliases ?? []).filter((alias) => alias !== config.Hostname && !id.startsWith(alias)),
    ipv4Address: endpoint.IPAMConfig?.IPv4Address ?? "",
    ipv6Address: endpoint.IPAMConfig?.IPv6Address ?? "",
  }));
}
