import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { InitFailed } from "../../../engine/src/provider.ts";
import { type PropertyMap, Secret } from "../../../engine/src/values.ts";
import { freePort } from "../../../rehearsal/lib/ports.ts";
import { IMAGE as BOX, startDocker, type TestDocker } from "../../helpers/docker.ts";
import { CONTAINER, type Harness, harness, type Made, NETWORK, VOLUME } from "./harness.ts";

const { test: started, missing } = await startDocker();
const it = started as TestDocker;
const dir = mkdtempSync(join(tmpdir(), "docker-container-"));
let engine: Harness;
beforeAll(async () => {
  if (!missing) engine = await harness({ host: it.host }, dir);
});
afterAll(async () => {
  await engine?.provider.close();
  await it?.stop();
  rmSync(dir, { recursive: true, force: true });
});

const NONE = { image: BOX, networkMode: "none" };
const shell = (command: string) => ["/bin/sh", "-c", command];
const inspect = (made: Made) => it.docker.getContainer(made.id).inspect();
const count = async () => (await it.docker.listContainers({ all: true })).length;

async function failure(promise: Promise<unknown>): Promise<Error> {
  return await promise.then(
    () => Promise.reject(new Error("it did not fail")),
    (error: Error) => error,
  );
}

describe.skipIf(missing)(`a container${missing ? ` (skipped: ${missing})` : ""}`, () => {
  test("that can't come to life leaves nothing behind, and says why without its secrets", async () => {
    const port = await freePort();
    const inputs = { image: BOX, name: "first", ports: [{ internal: 80, external: port, ip: "127.0.0.1" }] };
    const first = await engine.create(CONTAINER, inputs);
    const secret = {
      envs: new Secret(["TOKEN=t0ken-of-the-test"]),
      uploads: new Secret([{ file: "/f", content: "c0ntent-of-the-test" }]),
    };
    const cases: [PropertyMap, RegExp][] = [
      [
        { ...NONE, name: "first" },
        /cannot create the container first: .* answered 409: .*already in use.*\. Remove or rename that container, or bring it into the stack/,
      ],
      [
        { ...inputs, name: "second" },
        /cannot start the container second: .*(port is already allocated|address already in use).*publish another one/s,
      ],
      [
        { ...NONE, name: "third", command: ["/no/such/t0ken-of-the-test"] },
        /cannot start the container third: .*no such file or directory/s,
      ],
      [
        { ...NONE, name: "fourth", networksAdvanced: [{ name: "nowhere" }] },
        /cannot (connect|start) the container fourth.* 404: .*network nowhere not found/,
      ],
      [
        { ...NONE, name: "fifth", uploads: [{ file: "/f", source: "none.txt" }] },
        /cannot read the source of the upload of \/f: ENOENT/,
      ],
      [
        { ...NONE, name: "sixth", gpus: "all" },
        /(could not select device driver|failed to discover GPU vendor).*NVIDIA's driver and its container toolkit/s,
      ],
      [
        { ...NONE, image: "127.0.0.1:1/no/image:1" },
        /cannot pull the image 127\.0\.0\.1:1\/no\/image:1 from 127\.0\.0\.1:1: .*refused.*does not reach that registry/,
      ],
    ];
    for (const [wanted, message] of cases) {
      const error = await failure(engine.create(CONTAINER, { ...secret, ...wanted }));
      expect(error.message).toMatch(message);
      expect(error.message).not.toContain("of-the-test");
      expect(await count()).toBe(1);
    }
    await engine.delete(first);
    await engine.delete(first);
    expect(await count()).toBe(0);
  });

  test("that does not get healthy is kept, with the reason; the next update waits for it again", async () => {
    const check = { tests: ["CMD", "/bin/cat", "/healthy"], interval: "500ms", timeout: "5s", retries: 2 };
    const wanted = {
      ...NONE,
      wait: true,
      waitTimeout: 10,
      healthcheck: check,
      envs: new Secret(["WORD=/healthy-not"]),
    };
    const error = (await failure(engine.create(CONTAINER, wanted))) as InitFailed;
    expect(error).toBeInstanceOf(InitFailed);
    expect(error.reasons[0]).toMatch(
      /^the container it-\w{7} is (starting|unhealthy), not healthy, after 10 s \(waitTimeout\): .*can't open.*docker logs it-\w{7}/s,
    );
    const made = {
      type: CONTAINER,
      id: error.id,
      inputs: (await engine.check(CONTAINER, wanted)).inputs,
      outputs: error.outputs,
    };
    made.inputs.name = made.outputs.name ?? null;
    await expect(engine.update(made, wanted)).rejects.toThrow(/not healthy, after 10 s/);
    const exec = await it.docker.getContainer(made.id).exec({ Cmd: shell("echo yes > /healthy") });
    await exec.start({});
    expect((await engine.update(made, { ...wanted, waitTimeout: 60 })).outputs.id).toBe(made.id);
    await engine.delete(made);
    const failing = (inputs: object, context?: object) =>
      failure(engine.create(CONTAINER, { ...wanted, ...inputs }, context)) as Promise<InitFailed>;
    const panic =
      'printf "panic: no database\\n\\ngoroutine 1 [running]:\\nmain.main()\\n\\t/src/main.go:8 +0x1a\\n"; exit 2';
    // Side by side: most of their time is waiting.
    const [late, none, ended, looping, over, crashing, went] = await Promise.all([
      // Long enough to make it, on a slow machine too.
      failing({ waitTimeout: 60 }, { timeout: 15 }),
      failure(engine.create(CONTAINER, { ...NONE, wait: true })) as Promise<InitFailed>,
      failing({ command: shell("exit 4") }),
      failing({ restart: "always", command: shell("exit 4") }),
      // One that Docker gives up is not waited for, nor one that ends again and again for longer than it needs to be sure.
      failing({ waitTimeout: 600, restart: "on-failure", maxRetryCount: 2, command: shell("echo no; exit 5") }),
      failing({ waitTimeout: 600, restart: "unless-stopped", command: shell("echo no; exit 6") }),
      failing({ name: "it-plugin-1", envs: new Secret(["KIND=plugin"]), command: shell(panic) }),
    ]);
    expect(late.reasons[0]).toMatch(/^stopped waiting to look at the container .*the resource's time is over/);
    expect(none.reasons[0]).toContain("has no health check");
    expect(ended.reasons[0]).toContain("ended with exit code 4 before it was healthy");
    expect(looping.reasons[0]).toMatch(
      /not healthy, after 10 s .*; it ended( with exit code 4)? and was started again \d+ times\./s,
    );
    expect(over.reasons[0]).toMatch(
      /^the container it-\w{7} ended with exit code 5, 3 times, before it was healthy\. Its last words \(docker logs it-\w{7} shows what it said\):\n(no\n?){3}$/,
    );
    expect(crashing.reasons[0]).toMatch(/ ended with exit code 6, 9 times, before it was healthy\. .*:\n(no\n?){8}$/s);
    expect(went.reasons[0]).toBe(
      "the container it-plugin-1 ended with exit code 2 before it was healthy. Its last words (docker logs it-plugin-1 shows what it said):\npanic: no database",
    );
    for (const { id, outputs } of [late, none, ended, looping, over, crashing, went])
      await engine.delete({ type: CONTAINER, id, inputs: {}, outputs });
    expect(await count()).toBe(0);
  });

  test("gets every input, shows none of them as changed, and is replaced or updated as each of them wants", async () => {
    const net = await engine.create(NETWORK, {
      ipamConfigs: [{ subnet: "10.252.7.0/24" }],
      options: { "com.docker.network.bridge.enable_icc": "true" },
    });
    const vol = await engine.create(VOLUME, { labels: [{ label: "a", value: "b" }] });
    writeFileSync(join(dir, "upload.txt"), "of a file");
    const wanted: PropertyMap = {
      image: BOX,
      entrypoints: ["/bin/sh"],
      command: ["-c", "trap exit TERM; sleep 1000 & wait"],
      envs: ["B=2", "A=1"],
      user: "0:0",
      workingDir: "/tmp",
      hostname: "box",
      domainname: "local",
      networksAdvanced: [{ name: String(net.outputs.name), aliases: ["web", "site"], ipv4Address: "10.252.7.9" }],
      ports: [
        { internal: 8000, protocol: "udp" },
        { internal: 79, ip: "127.0.0.1" },
      ],
      volumes: [
        { volumeName: vol.id, containerPath: "/data" },
        { hostPath: "/var/tmp", containerPath: "/host", readOnly: true },
        { containerPath: "/anonymous" },
      ],
      mounts: [
        { type: "tmpfs", target: "/t", tmpfsOptions: { sizeBytes: 1 << 20, mode: 0o700 } },
        { type: "volume", target: "/m", source: vol.id, readOnly: true, volumeOptions: { noCopy: true } },
      ],
      tmpfs: { "/scratch": "size=1m" },
      uploads: [
        { file: "/etc/note", content: "hello", executable: true },
        { file: "/etc/raw", contentBase64: "aGk=", permissions: "0600" },
        { file: "/etc/source", source: "upload.txt" },
      ],
      healthcheck: { tests: ["CMD", "true"], interval: "90s", startPeriod: "1m" },
      restart: "on-failure",
      maxRetryCount: 3,
      labels: [{ label: "x", value: "y" }],
      logDriver: "json-file",
      logOpts: { "max-size": "10m" },
      shmSize: 128,
      ulimits: [{ name: "nofile", soft: 1024, hard: 2048 }],
      capabilities: { adds: ["NET_ADMIN"], drops: ["mknod"] },
      securityOpts: ["no-new-privileges"],
      devices: [{ hostPath: "/dev/null", containerPath: "/dev/mine" }],
      sysctls: { "net.ipv4.ip_forward": "1" },
      hosts: [{ host: "h.local", ip: "10.0.0.1" }],
      dns: ["10.0.0.2", "10.0.0.1"],
      dnsOpts: ["ndots:2"],
      dnsSearches: ["x.local"],
      groupAdds: ["7"],
      init: true,
      tty: true,
      stdinOpen: true,
      stopSignal: "SIGINT",
      stopTimeout: 3,
      destroyGraceSeconds: 1,
      ipcMode: "shareable",
      cgroupnsMode: "host",
      memory: 64,
      memoryReservation: 32,
      cpuShares: 512,
      cpus: "0.5",
    };
    const made = await engine.create(CONTAINER, wanted);
    const { Config, HostConfig, NetworkSettings } = await inspect(made);
    expect(Config).toMatchObject({
      Cmd: wanted.command,
      Entrypoint: ["/bin/sh"],
      User: "0:0",
      WorkingDir: "/tmp",
      Hostname: "box",
      Tty: true,
      OpenStdin: true,
      StopTimeout: 3,
    });
    expect(Config.Env).toEqual(expect.arrayContaining(["A=1", "B=2", "FROM_IMAGE=1"]));
    expect(Config.Healthcheck).toMatchObject({ Interval: 90e9, StartPeriod: 60e9 });
    expect(HostConfig).toMatchObject({
      Memory: 64 << 20,
      NanoCpus: 5e8,
      ShmSize: 128 << 20,
      Init: true,
      CapAdd: [expect.stringMatching(/^(CAP_)?NET_ADMIN$/)],
      CapDrop: [expect.stringMatching(/^(CAP_)?mknod$/i)],
      RestartPolicy: { Name: "on-failure", MaximumRetryCount: 3 },
    });
    expect(HostConfig).toMatchObject({
      Dns: ["10.0.0.2", "10.0.0.1"],
      Tmpfs: wanted.tmpfs,
      Sysctls: wanted.sysctls,
      LogConfig: { Config: wanted.logOpts },
      GroupAdd: ["7"],
      ExtraHosts: ["h.local:10.0.0.1"],
    });
    const joined = NetworkSettings.Networks[String(net.outputs.name)];
    expect(joined).toMatchObject({ IPAddress: "10.252.7.9", Aliases: expect.arrayContaining(["web", "site"]) });
    expect(NetworkSettings.Networks.bridge).toBeUndefined();
    const exec = await it.docker.getContainer(made.id).exec({
      Cmd: shell(
        "cat /etc/note /etc/raw /etc/source; stat -c ' %a %n' /etc/note /etc/raw /etc/source; ls -1d /data /host /m /t /scratch /anonymous /dev/mine",
      ),
      AttachStdout: true,
      Tty: true,
    });
    let said = "";
    for await (const chunk of await exec.start({ Tty: true })) said += chunk;
    expect(said.replaceAll("\r", "")).toBe(
      "hellohiof a file 744 /etc/note\n 600 /etc/raw\n 644 /etc/source\n/anonymous\n/data\n/dev/mine\n/host\n/m\n/scratch\n/t\n",
    );

    expect(await engine.diff(made, wanted)).toMatchObject({ changes: "none", changedKeys: [] });
    const read = (await engine.read(made)) as Made;
    expect(await engine.diff(read, wanted)).toMatchObject({ changes: "none", changedKeys: [] });
    expect(read.outputs).toEqual(made.outputs);
    // Imported, by nothing but its id: all is found but the uploads and what is only said when it is made.
    const taken = (await engine.read({ type: CONTAINER, id: made.id, inputs: {}, outputs: {} })) as Made;
    const { changedKeys } = await engine.diff(taken, { ...wanted, name: String(made.outputs.name) });
    expect(changedKeys).toEqual(["cgroupnsMode", "destroyGraceSeconds", "uploads"]);
    const { memory: _, cpuShares: __, healthcheck: ___, ...less } = wanted;
    expect(await engine.diff(made, { ...less, cpuShares: 256, memory: 80 })).toMatchObject({
      changedKeys: ["cpuShares", "memory"],
      replaceKeys: [],
    });
    expect(await engine.diff(made, { ...wanted, waitTimeout: 5, rm: true })).toMatchObject({
      changedKeys: ["rm", "waitTimeout"],
      replaceKeys: ["rm"],
    });
    for (const [key, value] of Object.entries({
      envs: ["A=1", "B=3"],
      healthcheck: { tests: ["CMD", "false"] },
      dns: ["10.0.0.2"],
      labels: [{ label: "x", value: "z" }],
      ports: [{ internal: 8000, protocol: "udp", external: 12 }],
      uploads: [{ file: "/etc/note", content: "hallo" }],
      capabilities: { adds: ["NET_RAW"] },
      networksAdvanced: [{ name: "other" }],
      init: false,
      gpus: "all",
    } as PropertyMap)) {
      const { changes, replaceKeys, deleteBeforeReplace } = await engine.diff(made, { ...wanted, [key]: value });
      expect([
        key,
        changes,
        deleteBeforeReplace,
        replaceKeys.every((path) => path.startsWith(key)) && replaceKeys.length > 0,
      ]).toEqual([key, "some", true, true]);
    }
    const updated = await engine.update(made, { ...less, memory: 200, restart: "always", maxRetryCount: 0 });
    expect((await inspect(updated)).HostConfig).toMatchObject({
      Memory: 200 << 20,
      MemorySwap: 400 << 20,
      RestartPolicy: { Name: "always" },
    });
    for (const thing of [updated, net, vol]) await engine.delete(thing);
    expect(await count()).toBe(0);
  });

  test("that is not started is as it was asked for, also where this machine could not run it", async () => {
    const wanted = {
      ...NONE,
      start: false,
      mustRun: false,
      privileged: true,
      readOnly: true,
      publishAllPorts: true,
      pidMode: "host",
      ipcMode: "host",
      storageOpts: {},
      securityOpts: ["systempaths=unconfined"],
      deviceReadBps: [{ path: "/dev/null", rate: 1024 }],
      deviceRequests: [{ driver: "nvidia", count: 1, capabilities: ["gpu"] }],
      cgroupParent: "/of-the-test",
      cpuSet: "0",
    };
    const made = await engine.create(CONTAINER, wanted);
    const { HostConfig, State } = await inspect(made);
    expect(State.Running).toBe(false);
    expect(HostConfig).toMatchObject({
      Privileged: true,
      ReadonlyRootfs: true,
      PublishAllPorts: true,
      PidMode: "host",
      IpcMode: "host",
      MaskedPaths: [],
      ReadonlyPaths: [],
      BlkioDeviceReadBps: [{ Path: "/dev/null", Rate: 1024 }],
      DeviceRequests: [{ Driver: "nvidia", Count: 1, Capabilities: [["gpu"]] }],
      CgroupParent: "/of-the-test",
      CpusetCpus: "0",
    });
    const read = (await engine.read(made)) as Made;
    expect(read.outputs).toEqual(made.outputs);
    expect(await engine.diff(read, wanted)).toMatchObject({ changedKeys: [] });
    await engine.delete(made);
  });

  test("said in other words than the engine's is no change; what an update can't take away makes a new one", async () => {
    const base = await engine.create(CONTAINER, { ...NONE, name: "base" });
    const wanted: PropertyMap = {
      image: BOX,
      platform: `linux/${process.arch === "x64" ? "amd64" : process.arch}`,
      networkMode: "container:base",
      pidMode: "container:base",
      ipcMode: "private",
      cpus: "0.50",
      shmSize: 0,
      memory: 64,
      memoryReservation: 32,
      cpuShares: 512,
      cpuSet: "0",
    };
    const made = await engine.create(CONTAINER, wanted);
    const ported = await engine.create(CONTAINER, { image: BOX, ports: [{ internal: 80, external: 0 }] });
    for (const [one, inputs] of [
      [made, wanted],
      [ported, { image: BOX, ports: [{ internal: 80, external: 0 }] }],
    ] as const) {
      expect(await engine.diff(one, inputs)).toMatchObject({ changedKeys: [] });
      expect(await engine.diff((await engine.read(one)) as Made, inputs)).toMatchObject({ changedKeys: [] });
    }
    expect(await engine.diff(made, { ...wanted, platform: "linux/s390x" })).toMatchObject({
      replaceKeys: ["platform"],
    });
    for (const key of ["memory", "memoryReservation", "cpuShares", "cpuSet"]) {
      const { [key]: _, ...less } = wanted;
      expect(await engine.diff(made, less)).toMatchObject({ changedKeys: [key], replaceKeys: [key] });
    }
    expect(await engine.diff(made, { ...wanted, cpuShares: 256 })).toMatchObject({ replaceKeys: [] });
    const rates = [{ path: "/dev/null", rate: 1024 }];
    expect(await engine.diff(made, { ...wanted, deviceReadBps: rates })).toMatchObject({
      replaceKeys: ["deviceReadBps"],
    });
    // Another under the same name: what was joined to the first is joined to nothing.
    await engine.delete(base);
    const other = await engine.create(CONTAINER, { ...NONE, name: "base" });
    const read = (await engine.read(made)) as Made;
    expect(await engine.diff(read, wanted)).toMatchObject({ replaceKeys: ["networkMode", "pidMode"] });
    for (const one of [made, ported, other]) await engine.delete(one);
  });

  test("that somebody else made is imported as it is", async () => {
    const net = await it.docker.createNetwork({ Name: "others" });
    const other = await it.docker.createContainer({
      Image: BOX,
      name: "other",
      Env: ["A=1"],
      Labels: { a: "b" },
      HostConfig: {
        NetworkMode: "others",
        Binds: ["somewhere:/data:ro"],
        PortBindings: { "80/tcp": [{ HostIp: "127.0.0.1", HostPort: "" }] },
      },
    });
    const found = (await engine.read({ type: CONTAINER, id: other.id, inputs: {}, outputs: {} })) as Made;
    expect(found.inputs).toMatchObject({ name: "other", image: BOX, networkMode: "others" });
    const wanted: PropertyMap = {
      name: "other",
      image: BOX,
      envs: ["A=1"],
      labels: [{ label: "a", value: "b" }],
      networkMode: "others",
      volumes: [{ volumeName: "somewhere", containerPath: "/data", readOnly: true }],
      ports: [{ internal: 80, ip: "127.0.0.1" }],
    };
    expect(await engine.diff(found, wanted)).toMatchObject({ changedKeys: [] });
    expect(await engine.diff(found, { ...wanted, envs: ["A=2"] })).toMatchObject({ replaceKeys: ["envs"] });
    await engine.delete(found);
    await net.remove();
  });

  test("whose end is waited for tells what it said; rm, removed volumes, and a volume that is there already", async () => {
    const done = await engine.create(CONTAINER, {
      image: BOX,
      networkMode: "host",
      command: shell("echo out; echo err >&2; exit 3"),
      attach: true,
      logs: true,
      mustRun: false,
    });
    expect(done.outputs).toMatchObject({ exitCode: 3, mustRun: false });
    expect(String(done.outputs.containerLogs).split("\n").sort()).toEqual(["", "err", "out"]);
    await engine.delete(done);
    // Started by each update, it has ended before or after it is looked at.
    const brief = { ...NONE, command: shell("echo why >&2; exit 7") };
    const ended = await engine.create(CONTAINER, brief);
    const told = async () => {
      await engine.update(ended, brief);
      return engine.lines.find((line) => line.includes("has ended with exit code 7"));
    };
    await expect
      .poll(told, { timeout: 60_000 })
      .toMatch(/^the container it-\w{7} has ended .* is meant to end has mustRun: false\. Its last words .*:\nwhy/);
    await engine.delete(ended);
    const ephemeral = { ...NONE, command: ["/bin/true"], attach: true, rm: true };
    await expect(engine.create(CONTAINER, ephemeral)).rejects.toThrow(/^rm: removes the container as soon as it ends/);
    const before = ((await it.docker.listVolumes()).Volumes ?? []).length;
    await engine.delete(await engine.create(CONTAINER, { ...NONE, volumes: [{ containerPath: "/anonymous" }] }));
    expect(((await it.docker.listVolumes()).Volumes ?? []).length).toBe(before);
    const kept = await engine.create(VOLUME, { name: "kept" });
    expect((await engine.create(VOLUME, { name: "kept" })).id).toBe("kept");
    expect(engine.lines.at(-1)).toContain("kept is there already");
    await engine.delete(kept);
    expect(await engine.read(kept)).toBeUndefined();
    const asked = engine.provider.invoke?.("docker:index/getNetwork:getNetwork", { name: "none" });
    expect((await asked)?.result).toMatchObject({ name: "none", driver: "null" });
    await expect(engine.provider.invoke?.("docker:index/getNetwork:getNetwork", { name: "nowhere" })).rejects.toThrow(
      /there is no network nowhere at unix:/,
    );
    await expect(engine.provider.invoke?.("docker:index/getLogs:getLogs", { name: "x" })).rejects.toThrow(
      /has no docker:index\/getLogs:getLogs; run with --engine pulumi/,
    );
  });
});
