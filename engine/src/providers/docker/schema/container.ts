import { parseDuration } from "../../../duration.ts";
import {
  atLeast0,
  bool,
  type Field,
  int,
  labels,
  list,
  map,
  NEW,
  NEW_COMPUTED,
  OUTPUT,
  object,
  oneOf,
  REQUIRED,
  REQUIRED_NEW,
  type ResourceTable,
  set,
  text,
  textSet,
  texts,
} from "./fields.ts";

const duration: NonNullable<Field["valid"]> = {
  what: 'a duration such as "30s" or "1m30s"',
  test: (value) => (parseDuration(String(value)) ?? -1) >= 0,
};
const rates = { path: text(REQUIRED_NEW), rate: int(REQUIRED_NEW) };
/** What the engine knows as CAP_NET_ADMIN, a program may call NET_ADMIN. */
const capability = (value: string) => (value === "ALL" ? value : `CAP_${value.toUpperCase().replace(/^CAP_/, "")}`);

export const container: ResourceTable = {
  // Time limits in nanoseconds and the version of the fields, under the key that Terraform's SDK has for them.
  meta: '{"e2bfb730-ecaa-11e6-8f88-34363bc7c4c0":{"create":1200000000000,"delete":1200000000000,"update":1200000000000},"schema_version":"2"}',
  deleteBeforeReplace: true,
  fields: {
    attach: bool({ default: false }),
    bridge: text(OUTPUT),
    capabilities: object(
      { adds: textSet({ ...NEW, normal: capability }), drops: textSet({ ...NEW, normal: capability }) },
      NEW,
    ),
    cgroupParent: text(NEW),
    cgroupnsMode: text({ ...NEW, valid: oneOf("private", "host") }),
    command: texts(NEW_COMPUTED),
    containerLogs: text(OUTPUT),
    containerReadRefreshTimeoutMilliseconds: int({ default: 15000 }),
    cpuPeriod: int({ valid: atLeast0, stays: true }),
    cpuQuota: int({ valid: atLeast0, stays: true }),
    cpuSet: text({
      stays: true,
      valid: { what: 'CPUs such as "0-2,7"', test: (value) => /^\d+([,-]\d+)*$/.test(String(value)) },
    }),
    cpuShares: int({ valid: atLeast0, stays: true }),
    cpus: text({
      ...NEW,
      normal: (value) => String(Number(value)),
      valid: { what: 'a number such as "1.5"', test: (value) => Number(value) > 0 },
    }),
    destroyGraceSeconds: int({ valid: atLeast0 }),
    deviceReadBps: set(rates, NEW),
    deviceReadIops: set(rates, NEW),
    deviceRequests: set(
      {
        capabilities: textSet(NEW),
        count: int({ ...NEW, default: 0 }),
        deviceIds: textSet(NEW),
        driver: text({ ...NEW, default: "cdi" }),
        options: map(NEW),
      },
      NEW,
    ),
    deviceWriteBps: set(rates, NEW),
    deviceWriteIops: set(rates, NEW),
    devices: set(
      { containerPath: text(NEW), hostPath: text(REQUIRED_NEW), permissions: text({ ...NEW, default: "rwm" }) },
      NEW,
    ),
    dns: textSet(NEW),
    dnsOpts: textSet(NEW),
    dnsSearches: textSet(NEW),
    domainname: text(NEW),
    entrypoints: texts(NEW_COMPUTED),
    envs: textSet(NEW_COMPUTED),
    exitCode: int(OUTPUT),
    gpus: text(NEW),
    groupAdds: textSet(NEW),
    // The official provider lets changes of healthcheck, init and tmpfs pass without doing them; a new container does them.
    healthcheck: object(
      {
        interval: text({ default: "0s", valid: duration, normal: sameDuration }),
        retries: int({ default: 0, valid: atLeast0 }),
        startInterval: text({ default: "0s", valid: duration, normal: sameDuration }),
        startPeriod: text({ default: "0s", valid: duration, normal: sameDuration }),
        tests: texts(),
        timeout: text({ default: "0s", valid: duration, normal: sameDuration }),
      },
      NEW_COMPUTED,
    ),
    hostname: text(NEW_COMPUTED),
    hosts: set({ host: text(REQUIRED_NEW), ip: text(REQUIRED_NEW) }, NEW),
    image: text(REQUIRED_NEW),
    init: bool(NEW_COMPUTED),
    ipcMode: text(NEW_COMPUTED),
    labels: set(labels, NEW_COMPUTED),
    logDriver: text(NEW_COMPUTED),
    logOpts: map(NEW),
    logs: bool({ default: false }),
    maxRetryCount: int(),
    memory: int({ valid: atLeast0, stays: true }),
    memoryReservation: int({ default: 0, valid: atLeast0, stays: true }),
    // Twice the memory where the program is silent.
    memorySwap: int({ computed: true, valid: { what: "-1 or more", test: (value) => Number(value) >= -1 } }),
    mounts: set(
      {
        bindOptions: object({
          propagation: text({ valid: oneOf("private", "rprivate", "shared", "rshared", "slave", "rslave") }),
        }),
        readOnly: bool(),
        source: text(),
        target: text(REQUIRED),
        tmpfsOptions: object({ mode: int(), sizeBytes: int() }, NEW),
        type: text({ required: true, valid: oneOf("bind", "volume", "tmpfs") }),
        volumeOptions: object({
          driverName: text(),
          driverOptions: map(),
          labels: set(labels),
          noCopy: bool(),
          subpath: text(NEW),
        }),
      },
      NEW,
    ),
    mustRun: bool({ default: true }),
    name: text({ ...NEW, autoname: true }),
    networkDatas: list(
      {
        gateway: text(OUTPUT),
        globalIpv6Address: text(OUTPUT),
        globalIpv6PrefixLength: int(OUTPUT),
        ipAddress: text(OUTPUT),
        ipPrefixLength: int(OUTPUT),
        ipv6Gateway: text(OUTPUT),
        macAddress: text(OUTPUT),
        networkName: text(OUTPUT),
      },
      OUTPUT,
    ),
    networkMode: text({ ...NEW, default: "bridge", normal: (mode) => (mode === "default" ? "bridge" : mode) }),
    networksAdvanced: set(
      {
        aliases: textSet(NEW),
        driverOpts: textSet(NEW),
        gwPriority: int({ ...NEW, valid: atLeast0 }),
        ipv4Address: text(NEW),
        ipv6Address: text(NEW),
        linkLocalIps: textSet(NEW),
        macAddress: text(NEW),
        name: text(REQUIRED_NEW),
      },
      NEW,
    ),
    pidMode: text(NEW),
    // "linux" is all that the engine says of linux/amd64.
    platform: text({ ...NEW_COMPUTED, vague: true }),
    ports: list(
      {
        external: int({ ...NEW_COMPUTED, zeroIsSilent: true }),
        internal: int(REQUIRED_NEW),
        ip: text({ ...NEW, default: "0.0.0.0" }),
        protocol: text({ ...NEW, default: "tcp" }),
      },
      NEW,
    ),
    privileged: bool(NEW),
    publishAllPorts: bool(NEW),
    readOnly: bool({ ...NEW, default: false }),
    removeVolumes: bool({ default: true }),
    restart: text({ default: "no", valid: oneOf("no", "on-failure", "always", "unless-stopped") }),
    rm: bool({ ...NEW, default: false }),
    runtime: text(NEW_COMPUTED),
    securityOpts: textSet(NEW_COMPUTED),
    shmSize: int({ ...NEW_COMPUTED, zeroIsSilent: true, valid: atLeast0 }),
    start: bool({ default: true }),
    stdinOpen: bool({ ...NEW, default: false }),
    stopSignal: text(NEW_COMPUTED),
    stopTimeout: int(NEW_COMPUTED),
    storageOpts: map(NEW),
    sysctls: map(NEW),
    tmpfs: map(NEW),
    tty: bool({ ...NEW, default: false }),
    ulimits: set({ hard: int(REQUIRED_NEW), name: text(REQUIRED_NEW), soft: int(REQUIRED_NEW) }, NEW),
    uploads: set(
      {
        content: text(NEW),
        contentBase64: text({
          ...NEW,
          valid: { what: "base64", test: (value) => /^[A-Za-z0-9+/\s]*={0,2}\s*$/.test(String(value)) },
        }),
        executable: bool({ ...NEW, default: false }),
        file: text(REQUIRED_NEW),
        permissions: text({
          ...NEW,
          valid: { what: 'octal such as "0644"', test: (value) => /^0[0-7]{3}$/.test(String(value)) },
        }),
        source: text(NEW),
        sourceHash: text(NEW),
      },
      NEW,
    ),
    user: text(NEW_COMPUTED),
    usernsMode: text(NEW),
    volumes: set(
      {
        containerPath: text(NEW),
        fromContainer: text(NEW),
        hostPath: text(NEW),
        readOnly: bool(NEW),
        selinuxRelabel: text({ ...NEW, valid: oneOf("z", "Z") }),
        volumeName: text(NEW),
      },
      NEW,
    ),
    wait: bool({ default: false }),
    waitTimeout: int({ default: 60, valid: atLeast0 }),
    workingDir: text(NEW_COMPUTED),
  },
};

function sameDuration(value: string): string {
  const nanoseconds = parseDuration(value);
  // As if it were not there.
  return nanoseconds ? String(nanoseconds) : "";
}
