import { formatDuration } from "../../../duration.ts";
import type { PropertyMap, PropertyValue } from "../../../values.ts";
import { canonical } from "../diff.ts";
import { flag, mapOrNull, objects, text, texts } from "../plain.ts";
import { isImageId } from "../registry/reference.ts";
import { container } from "../schema/container.ts";
import { type DeviceRequest, formatGpus } from "./gpus.ts";
import { mountOutputs } from "./storage.ts";

const MEBIBYTE = 1024 * 1024;

interface Throttle {
  Path: string;
  Rate: number;
}
interface Endpoint {
  NetworkID?: string;
  Aliases?: string[] | null;
  IPAMConfig?: { IPv4Address?: string; IPv6Address?: string } | null;
  IPAddress?: string;
  IPPrefixLen?: number;
  Gateway?: string;
  GlobalIPv6Address?: string;
  GlobalIPv6PrefixLen?: number;
  IPv6Gateway?: string;
  MacAddress?: string;
}

/** What the engine says of a container, as far as it is read here. */
export interface Inspected {
  Id: string;
  RestartCount: number;
  Name: string;
  Image: string;
  Platform?: string;
  State: {
    Running: boolean;
    Status?: string;
    ExitCode: number;
    Error?: string;
    Health?: { Status: string; Log?: { ExitCode: number; Output: string }[] | null };
  };
  Config: {
    Image: string;
    Env?: string[] | null;
    Volumes?: Record<string, object> | null;
    Labels?: Record<string, string> | null;
    Hostname: string;
    Domainname: string;
    Cmd?: string[] | null;
    Entrypoint?: string[] | null;
    User: string;
    WorkingDir: string;
    Tty: boolean;
    OpenStdin: boolean;
    StopSignal?: string;
    StopTimeout?: number | null;
    Healthcheck?: {
      Test?: string[] | null;
      Interval?: number;
      Timeout?: number;
      StartPeriod?: number;
      StartInterval?: number;
      Retries?: number;
    } | null;
  };
  HostConfig: {
    [key: string]: unknown;
    NetworkMode: string;
    RestartPolicy?: { Name: string; MaximumRetryCount: number };
    LogConfig: { Type: string; Config?: Record<string, string> | null };
    Memory?: number;
    MemoryReservation?: number;
    MemorySwap?: number;
    ShmSize?: number;
    NanoCpus?: number;
    PidMode?: string;
    Binds?: string[] | null;
    VolumesFrom?: string[] | null;
    PortBindings?: Record<string, { HostIp: string; HostPort: string }[] | null> | null;
    ExtraHosts?: string[] | null;
    Ulimits?: { Name: string; Soft: number; Hard: number }[] | null;
    Devices?: { PathOnHost: string; PathInContainer: string; CgroupPermissions: string }[] | null;
    DeviceRequests?: DeviceRequest[] | null;
  };
  NetworkSettings?: {
    Bridge?: string;
    Ports?: Record<string, { HostIp: string; HostPort: string }[] | null> | null;
    Networks?: Record<string, Endpoint> | null;
  };
}

/** A container's outputs as the engine has them now. What only the program knows (envs, labels, uploads …) is not among them. */
export function containerOutputs(seen: Inspected, state: PropertyMap): PropertyMap {
  const { Config: config, HostConfig: host, State: now } = seen;
  const outputs: PropertyMap = {
    name: seen.Name.replace(/^\//, ""),
    image: isImageId(text(state, "image")) ? seen.Image : config.Image,
    bridge: seen.NetworkSettings?.Bridge ?? "",
    command: config.Cmd ?? [],
    entrypoints: config.Entrypoint ?? [],
    hostname: config.Hostname,
    domainname: config.Domainname,
    user: config.User,
    workingDir: config.WorkingDir,
    tty: config.Tty,
    stdinOpen: config.OpenStdin,
    stopSignal: config.StopSignal ?? "",
    stopTimeout: config.StopTimeout ?? 0,
    restart: host.RestartPolicy?.Name || "no",
    maxRetryCount: host.RestartPolicy?.MaximumRetryCount ?? 0,
    rm: host.AutoRemove === true,
    readOnly: host.ReadonlyRootfs === true,
    privileged: host.Privileged === true,
    publishAllPorts: host.PublishAllPorts === true,
    init: host.Init === true,
    runtime: word(host.Runtime),
    platform: seen.Platform ?? "",
    ipcMode: word(host.IpcMode),
    usernsMode: word(host.UsernsMode),
    networkMode: host.NetworkMode,
    logDriver: host.LogConfig.Type,
    // The engine shows the defaults of the driver too.
    logOpts: textsIn(state.logOpts) ? { ...host.LogConfig.Config } : null,
    shmSize: mebibytes(host.ShmSize),
    memory: mebibytes(host.Memory),
    memoryReservation: mebibytes(host.MemoryReservation),
    // Twice the memory is what the engine takes where the program is silent.
    memorySwap: !state.memorySwap && host.MemorySwap === 2 * (host.Memory ?? 0) ? 0 : mebibytes(host.MemorySwap),
    cpuShares: Number(host.CpuShares ?? 0),
    cpuSet: word(host.CpusetCpus),
    dns: listOrNull(host.Dns),
    dnsOpts: listOrNull(host.DnsOptions),
    dnsSearches: listOrNull(host.DnsSearch),
    groupAdds: listOrNull(host.GroupAdd),
    securityOpts: (host.SecurityOpt as string[] | null) ?? [],
    tmpfs: mapOrNull(host.Tmpfs as Record<string, string>),
    sysctls: mapOrNull(host.Sysctls as Record<string, string>),
    storageOpts: mapOrNull(host.StorageOpt as Record<string, string>),
    mounts: mountOutputs(host.Mounts as Parameters<typeof mountOutputs>[0]),
    hosts: (host.ExtraHosts ?? []).map((line) => ({
      host: line.slice(0, line.indexOf(":")),
      ip: line.slice(line.indexOf(":") + 1),
    })),
    deviceReadBps: throttles(host.BlkioDeviceReadBps),
    deviceReadIops: throttles(host.BlkioDeviceReadIOps),
    deviceWriteBps: throttles(host.BlkioDeviceWriteBps),
    deviceWriteIops: throttles(host.BlkioDeviceWriteIOps),
    networkDatas: networkDatas(seen),
    exitCode: now.Running ? null : now.ExitCode,
    // What is stopped and should run differs from the program, whose next update starts it.
    ...(flag(state, "mustRun") && { mustRun: now.Running }),
    ...optional(seen, state),
  };
  return keepWords(outputs, state);
}

/** What is only read where the program says something of it: the engine's own values would look like changes. */
function optional(seen: Inspected, state: PropertyMap): PropertyMap {
  const { Config: config, HostConfig: host } = seen;
  const outputs: PropertyMap = {};
  const [adds, drops] = [host.CapAdd as string[] | null, host.CapDrop as string[] | null];
  if ((adds?.length ?? 0) > 0 || (drops?.length ?? 0) > 0)
    outputs.capabilities = { adds: adds ?? [], drops: drops ?? [] };
  else outputs.capabilities = null;
  if (host.NanoCpus) outputs.cpus = String(host.NanoCpus / 1e9);
  if (objects(state, "ulimits").length > 0) {
    outputs.ulimits = (host.Ulimits ?? []).map(({ Name, Soft, Hard }) => ({ name: Name, soft: Soft, hard: Hard }));
  }
  const devices = objects(state, "devices");
  if (devices.length > 0) {
    outputs.devices = (host.Devices ?? []).map((device) => ({
      hostPath: device.PathOnHost,
      containerPath: devices.some(
        (one) => text(one, "hostPath") === device.PathOnHost && text(one, "containerPath") !== "",
      )
        ? device.PathInContainer
        : "",
      permissions: device.CgroupPermissions,
    }));
  }
  if (text(state, "gpus") !== "") {
    const gpus = formatGpus(host.DeviceRequests);
    if (gpus !== undefined) outputs.gpus = gpus;
  }
  if (text(state, "pidMode") !== "") outputs.pidMode = word(host.PidMode);
  for (const [key, value] of [
    ["cpuPeriod", host.CpuPeriod],
    ["cpuQuota", host.CpuQuota],
  ] as const) {
    if (typeof state[key] === "number") outputs[key] = Number(value ?? 0);
  }
  if (objects(state, "ports").length > 0 && (seen.State.Running || flag(state, "mustRun"))) {
    // A stopped container publishes nothing; that is no reason for a new one.
    outputs.ports = seen.State.Running ? portOutputs(seen, state) : (state.ports ?? []);
  }
  const networks = connected(seen, state);
  if (networks !== undefined) outputs.networksAdvanced = networks;
  const check = config.Healthcheck;
  if (check) {
    outputs.healthcheck = {
      tests: check.Test ?? [],
      interval: formatDuration(check.Interval ?? 0),
      timeout: formatDuration(check.Timeout ?? 0),
      startPeriod: formatDuration(check.StartPeriod ?? 0),
      startInterval: formatDuration(check.StartInterval ?? 0),
      retries: check.Retries ?? 0,
    };
  }
  return outputs;
}

/** Where the engine says the same in other words (NET_ADMIN and CAP_NET_ADMIN, 90s and 1m30s), the program's stay in the state. */
function keepWords(outputs: PropertyMap, state: PropertyMap): PropertyMap {
  const kept = { ...outputs };
  for (const [name, value] of Object.entries(outputs)) {
    const field = container.fields[name];
    const before = state[name] ?? null;
    if (field === undefined || before === null) continue;
    if (canonical(field, before) === canonical(field, value)) kept[name] = before;
  }
  const wanted = texts(state, "securityOpts") ?? [];
  const more = (texts(outputs, "securityOpts") ?? []).filter((option) => !wanted.includes(option));
  // The engine adds label=disable for host namespaces, and takes systempaths away.
  const all = wanted.every(
    (option) => option === "systempaths=unconfined" || texts(outputs, "securityOpts")?.includes(option),
  );
  if (all && more.every((option) => option.startsWith("label="))) kept.securityOpts = wanted;
  return kept;
}

/** In the program's order: the engine has none. */
function portOutputs(seen: Inspected, state: PropertyMap): PropertyValue[] {
  const found = Object.entries(seen.NetworkSettings?.Ports ?? {}).flatMap(([key, bindings]) => {
    const [internal, protocol = "tcp"] = key.split("/");
    return (bindings ?? []).map(({ HostIp, HostPort }) => ({
      internal: Number(internal),
      external: Number(HostPort),
      ip: HostIp,
      protocol,
    }));
  });
  const place = (port: { internal: number; external: number; protocol: string }): number => {
    const index = objects(state, "ports").findIndex(
      (one) =>
        one.internal === port.internal &&
        (one.protocol ?? "tcp") === port.protocol &&
        (typeof one.external !== "number" || one.external === 0 || one.external === port.external),
    );
    return index < 0 ? Number.MAX_SAFE_INTEGER : index;
  };
  return found.sort((a, b) => place(a) - place(b) || a.internal - b.internal);
}

/** The networks of the state without those that the container was taken from; undefined: as the state says. */
function connected(seen: Inspected, state: PropertyMap): PropertyValue[] | undefined {
  const wanted = objects(state, "networksAdvanced");
  const networks = seen.NetworkSettings?.Networks;
  if (wanted.length === 0 || !networks) return undefined;
  const known = new Set(Object.entries(networks).flatMap(([name, { NetworkID }]) => [name, NetworkID ?? name]));
  const left = wanted.filter((network) => {
    const name = text(network, "name");
    // A stopped container has its networks' names, but not always their ids; ids may be shortened.
    return (
      known.has(name) ||
      (/^[0-9a-f]{12,}$/.test(name) && ([...known].some((id) => id.startsWith(name)) || !seen.State.Running))
    );
  });
  return left.length === wanted.length ? undefined : left;
}

function networkDatas(seen: Inspected): PropertyValue[] {
  const networks = Object.entries(seen.NetworkSettings?.Networks ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
  return networks.map(([name, data]) => ({
    networkName: name,
    ipAddress: data.IPAddress ?? "",
    ipPrefixLength: data.IPPrefixLen ?? 0,
    gateway: data.Gateway ?? "",
    globalIpv6Address: data.GlobalIPv6Address ?? "",
    globalIpv6PrefixLength: data.GlobalIPv6PrefixLen ?? 0,
    ipv6Gateway: data.IPv6Gateway ?? "",
    macAddress: data.MacAddress ?? "",
  }));
}

function throttles(value: unknown): PropertyValue[] {
  return ((value as Throttle[] | null | undefined) ?? []).map(({ Path, Rate }) => ({ path: Path, rate: Rate }));
}

function mebibytes(bytes: number | undefined): number {
  return bytes === undefined || bytes <= 0 ? (bytes ?? 0) : Math.floor(bytes / MEBIBYTE);
}

const word = (value: unknown): string => (typeof value === "string" ? value : "");
const listOrNull = (value: unknown): PropertyValue =>
  Array.isArray(value) && value.length > 0 ? value.map(String) : null;
const textsIn = (value: PropertyValue | undefined): boolean =>
  typeof value === "object" && value !== null && Object.keys(value).length > 0;
