import type Docker from "dockerode";
import { parseDuration } from "../../../duration.ts";
import type { PropertyMap } from "../../../values.ts";
import { flag, labelsOf, number, object, objects, text, textMap, texts } from "../plain.ts";
import { deviceRequests } from "./gpus.ts";
import { mounts, volumes } from "./storage.ts";

const MEBIBYTE = 1024 * 1024;

/** The body that creates the container of these inputs. @throws naming an input that says nothing sensible */
export function createBody(inputs: PropertyMap): Docker.ContainerCreateOptions {
  const ports = portMaps(inputs);
  const binds = volumes(inputs);
  const platform = text(inputs, "platform");
  const command = texts(inputs, "command");
  if (command?.includes(""))
    throw new Error("the container's command holds an empty text; leave it out, or name what to run");
  const body = {
    name: text(inputs, "name"),
    // "linux" alone is what the engine says of every container, and no wish.
    ...(platform !== "" && { platform }),
    Image: text(inputs, "image"),
    Hostname: text(inputs, "hostname"),
    Domainname: text(inputs, "domainname"),
    Tty: flag(inputs, "tty"),
    OpenStdin: flag(inputs, "stdinOpen"),
    StopSignal: text(inputs, "stopSignal") || undefined,
    StopTimeout: number(inputs, "stopTimeout") || undefined,
    Env: texts(inputs, "envs"),
    Cmd: command,
    Entrypoint: texts(inputs, "entrypoints"),
    User: text(inputs, "user") || undefined,
    WorkingDir: text(inputs, "workingDir") || undefined,
    Labels: labelsOf(inputs),
    ExposedPorts: ports.exposed,
    Volumes: binds.anonymous,
    Healthcheck: healthcheck(inputs),
    HostConfig: {
      ...hostConfig(inputs),
      Mounts: mounts(inputs),
      PortBindings: ports.bindings,
      Binds: binds.binds,
      VolumesFrom: binds.from,
    },
  };
  return body as Docker.ContainerCreateOptions;
}

function hostConfig(inputs: PropertyMap): Docker.HostConfig {
  const capabilities = object(inputs, "capabilities") ?? {};
  const security = securityOptions(inputs);
  const memorySwap = number(inputs, "memorySwap");
  const config = {
    Privileged: flag(inputs, "privileged"),
    PublishAllPorts: flag(inputs, "publishAllPorts"),
    ReadonlyRootfs: flag(inputs, "readOnly"),
    AutoRemove: flag(inputs, "rm"),
    Init: flag(inputs, "init"),
    RestartPolicy: restartPolicy(inputs),
    Runtime: text(inputs, "runtime") || undefined,
    LogConfig: { Type: text(inputs, "logDriver"), Config: textMap(inputs, "logOpts") ?? {} },
    NetworkMode: text(inputs, "networkMode") || "bridge",
    Tmpfs: textMap(inputs, "tmpfs"),
    ExtraHosts: objects(inputs, "hosts").map((host) => `${text(host, "host")}:${text(host, "ip")}`),
    Ulimits: objects(inputs, "ulimits").map((limit) => ({
      Name: text(limit, "name"),
      Soft: number(limit, "soft"),
      Hard: number(limit, "hard"),
    })),
    CapAdd: texts(capabilities, "adds"),
    CapDrop: texts(capabilities, "drops"),
    Devices: objects(inputs, "devices").map((device) => ({
      PathOnHost: text(device, "hostPath"),
      PathInContainer: text(device, "containerPath") || text(device, "hostPath"),
      CgroupPermissions: text(device, "permissions") || "rwm",
    })),
    DeviceRequests: deviceRequests(inputs),
    Dns: texts(inputs, "dns"),
    DnsOptions: texts(inputs, "dnsOpts"),
    DnsSearch: texts(inputs, "dnsSearches"),
    ...security,
    Memory: number(inputs, "memory") * MEBIBYTE,
    MemoryReservation: number(inputs, "memoryReservation") * MEBIBYTE,
    MemorySwap: memorySwap > 0 ? memorySwap * MEBIBYTE : memorySwap,
    ShmSize: number(inputs, "shmSize") * MEBIBYTE || undefined,
    NanoCpus: Math.round(Number(text(inputs, "cpus") || 0) * 1e9),
    // The engine refuses these beside cpus, which has precedence.
    ...(text(inputs, "cpus") === "" && {
      CpuPeriod: number(inputs, "cpuPeriod"),
      CpuQuota: number(inputs, "cpuQuota"),
    }),
    CpuShares: number(inputs, "cpuShares"),
    CpusetCpus: text(inputs, "cpuSet"),
    ...throttles(inputs),
    UsernsMode: text(inputs, "usernsMode"),
    PidMode: text(inputs, "pidMode"),
    IpcMode: text(inputs, "ipcMode"),
    CgroupnsMode: text(inputs, "cgroupnsMode") || undefined,
    CgroupParent: text(inputs, "cgroupParent") || undefined,
    Sysctls: textMap(inputs, "sysctls"),
    GroupAdd: texts(inputs, "groupAdds"),
    StorageOpt: textMap(inputs, "storageOpts"),
  };
  return config as unknown as Docker.HostConfig;
}

/** What `docker update` can change on a container that is there. */
export function updateBody(inputs: PropertyMap): Record<string, unknown> {
  const memory = number(inputs, "memory");
  // The engine's own default for a new container; without it more memory than the old sum would be refused.
  const memorySwap = number(inputs, "memorySwap") || 2 * memory;
  return {
    RestartPolicy: restartPolicy(inputs),
    CpuShares: number(inputs, "cpuShares"),
    CpusetCpus: text(inputs, "cpuSet"),
    ...(text(inputs, "cpus") === "" && {
      CpuPeriod: number(inputs, "cpuPeriod"),
      CpuQuota: number(inputs, "cpuQuota"),
    }),
    Memory: memory * MEBIBYTE,
    MemoryReservation: number(inputs, "memoryReservation") * MEBIBYTE,
    MemorySwap: memorySwap > 0 ? memorySwap * MEBIBYTE : memorySwap,
  };
}

/** The settings of one network that the container joins after it was created. */
export function endpoint(network: PropertyMap): Docker.EndpointSettings {
  const addresses = {
    IPv4Address: text(network, "ipv4Address") || undefined,
    IPv6Address: text(network, "ipv6Address") || undefined,
    LinkLocalIPs: texts(network, "linkLocalIps"),
  };
  const settings = {
    Aliases: texts(network, "aliases"),
    IPAMConfig: Object.values(addresses).some((value) => value !== undefined) ? addresses : undefined,
    MacAddress: text(network, "macAddress") || undefined,
    GwPriority: number(network, "gwPriority") || undefined,
    DriverOpts: pairs(texts(network, "driverOpts")),
  };
  return settings as unknown as Docker.EndpointSettings;
}

function pairs(options: string[] | undefined): Record<string, string> | undefined {
  return (
    options &&
    Object.fromEntries(options.map((option) => [option.split("=")[0], option.slice(option.indexOf("=") + 1)]))
  );
}

function restartPolicy(inputs: PropertyMap): { Name: string; MaximumRetryCount: number } {
  return { Name: text(inputs, "restart") || "no", MaximumRetryCount: number(inputs, "maxRetryCount") };
}

function healthcheck(inputs: PropertyMap): Record<string, unknown> | undefined {
  const check = object(inputs, "healthcheck");
  if (check === undefined) return undefined;
  const nanoseconds = (key: string) => parseDuration(text(check, key) || "0s") ?? 0;
  return {
    Test: texts(check, "tests"),
    Interval: nanoseconds("interval"),
    Timeout: nanoseconds("timeout"),
    StartPeriod: nanoseconds("startPeriod"),
    // Older engines refuse the key, also as 0.
    ...(nanoseconds("startInterval") > 0 && { StartInterval: nanoseconds("startInterval") }),
    Retries: number(check, "retries"),
  };
}

/** `systempaths=unconfined` is a word for the client: the engine wants two empty lists. */
function securityOptions(inputs: PropertyMap): Record<string, string[] | undefined> {
  const options = texts(inputs, "securityOpts");
  const open = options?.includes("systempaths=unconfined") ?? false;
  return {
    SecurityOpt: options?.filter((option) => option !== "systempaths=unconfined"),
    ...(open && { MaskedPaths: [], ReadonlyPaths: [] }),
  };
}

function portMaps(inputs: PropertyMap): {
  exposed?: Record<string, object>;
  bindings?: Record<string, { HostIp: string; HostPort: string }[]>;
} {
  const ports = objects(inputs, "ports");
  if (ports.length === 0) return {};
  const exposed: Record<string, object> = {};
  const bindings: Record<string, { HostIp: string; HostPort: string }[]> = {};
  for (const port of ports) {
    const key = `${number(port, "internal")}/${text(port, "protocol") || "tcp"}`;
    exposed[key] = {};
    bindings[key] = [
      ...(bindings[key] ?? []),
      { HostIp: text(port, "ip"), HostPort: String(number(port, "external")) },
    ];
  }
  return { exposed, bindings };
}

function throttles(inputs: PropertyMap): Record<string, { Path: string; Rate: number }[]> {
  const keys = {
    deviceReadBps: "BlkioDeviceReadBps",
    deviceReadIops: "BlkioDeviceReadIOps",
    deviceWriteBps: "BlkioDeviceWriteBps",
    deviceWriteIops: "BlkioDeviceWriteIOps",
  };
  const given = Object.entries(keys).map(([key, name]) => [name, objects(inputs, key)] as const);
  return Object.fromEntries(
    given
      .filter(([, list]) => list.length > 0)
      .map(([name, list]) => [name, list.map((item) => ({ Path: text(item, "path"), Rate: number(item, "rate") }))]),
  );
}
