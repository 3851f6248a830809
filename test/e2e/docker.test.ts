import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { freePort } from "../../rehearsal/lib/ports.ts";
import { startDocker, type TestDocker } from "../helpers/docker.ts";
import { importRootFs, noRootFs } from "../helpers/rootfs.ts";
import { noSshd, type Sshd, startSshd } from "../helpers/sshd.ts";
import { until } from "../helpers/until.ts";
import { Project, plain } from "./project.ts";

const base = "local/base:1";
const ready = "local/webui:1";
const noCli = spawnSync("docker", ["--version"]).error && "no docker command line on this machine";
const cards = [
  { name: "Tesla K80", memoryMb: 11441, computeCapability: "3.7" },
  { name: "NVIDIA GeForce RTX 4090", memoryMb: 24564, computeCapability: "8.9" },
];
const { test: made, missing } = await startDocker({ cards });
const skip = missing ?? noSshd ?? noRootFs();
if (skip !== undefined) await made?.stop();

describe.skipIf(skip)(skip ?? "a container as the host, on a real Docker engine", () => {
  const engine = made as TestDocker;
  let project: Project;
  let sshd: Sshd;
  let sshPort: number;

  // The stand-in upstreams are on this machine's loopback: the container has its network.
  const settings = (host: object = {}, webui: object = {}) =>
    project.settings({
      host: {
        kind: "docker",
        docker: { host: engine.host },
        ...{ ...plain, gpu: "required", gpus: [1], base, network: "host", sshPort },
        ...host,
      },
      webui,
    });
  const atelier = async (args: string[], env: Record<string, string> = {}) => {
    const answer = await project.atelier(args, { env });
    expect(answer.exitCode, answer.all).toBe(0);
    return answer.all;
  };
  const readState = () => readFileSync(join(project.home, "state/.pulumi/stacks/atelier/t.json"), "utf8");
  const box = () => engine.docker.getContainer("atelier-t");
  const volumes = async () => (await engine.docker.listVolumes()).Volumes.map(({ Name }) => Name);
  const webuiStatus = async (): Promise<number> => {
    let status = 0;
    await until("it answers", async () => {
      const answer = await fetch(`http://127.0.0.1:${project.port}/sdapi/v1/options`).catch(() => undefined);
      status = answer?.status ?? 0;
      return status !== 0;
    });
    return status;
  };

  beforeAll(async () => {
    await importRootFs(engine.docker, base);
    sshd = await startSshd();
    sshPort = await freePort();
    project = new Project();
    await settings();
  });
  afterAll(async () => {
    await project?.remove();
    await sshd?.stop();
    await engine.stop();
  });

  it("is planned without a container; then made, made ready and proved, its keys in no place that others read", async () => {
    const plan = await atelier(["preview"]);
    for (const name of ["box", "volume", "image", "box-host-key"])
      expect(plan).toMatch(new RegExp(`\\+ ${name} +create`));
    expect(await engine.docker.listContainers({ all: true })).toEqual([]);

    await atelier(["up", "--skip-preview"]);
    const report = project.report();
    expect(report.checks.every(({ ok }) => ok)).toBe(true);
    expect(report.images.map(({ kind }) => kind).sort()).toEqual(["img2img", "inpaint", "txt2img", "upscale"]);
    const state = readState();
    expect(state).toContain(`\\"gpus\\":1,\\"gpu\\":\\"${cards[1]?.name}\\"`);
    const seen = JSON.stringify(await box().inspect()) + JSON.stringify(await engine.docker.getImage(base).history());
    for (const text of [state, seen]) expect(text).not.toContain("PRIVATE KEY");
  });

  it("is left alone by a second update, and the WebUI comes back with a restarted container by itself", async () => {
    const { Id } = await box().inspect();
    expect(await atelier(["up"])).toMatch(/no changes/i);
    await box().restart({ t: 1 });
    expect(await webuiStatus()).toBe(401);
    expect((await box().inspect()).Id).toBe(Id);
  });

  it("that was removed by hand is seen, made anew and found whole by the next update", async () => {
    const keys = () => readState().match(/"publicKey": ?"[^"]+"/g);
    const before = keys();
    await box().remove({ force: true });
    // The provider's own text has changed too: who may log in has not.
    project.edit("stacks/docker/keys.ts", (text) => text.replace("{ comment });", "{ comment: comment });"));
    expect(await atelier(["status"])).toContain("there is no container atelier-t");
    const said = await atelier(["up", "--skip-preview"]);
    expect(said).toContain("box replaced");
    expect(before).toHaveLength(2);
    expect(keys()).toEqual(before);
    expect(await webuiStatus()).toBe(401);
  });

  it("that was paused is seen and made anew: the engine says of it that it runs", async () => {
    await box().pause();
    expect(await atelier(["status"])).toContain("does not run (paused; ");
    expect(await atelier(["up", "--skip-preview"])).toContain("box replaced");
    expect((await box().inspect()).State).toMatchObject({ Running: true, Paused: false });
    expect(await webuiStatus()).toBe(401);
  });

  it("that finds its port taken, and so ends again and again, is told beside the step that met somebody else there", async () => {
    // Its own network is this machine's: no engine refuses it.
    await settings({ sshPort: sshd.port });
    const { exitCode, all } = await project.atelier(["up", "--skip-preview"]);
    expect(exitCode, all).toBe(1);
    expect(all).toMatch(/Container +the container atelier-t does not run \(restarting; `docker logs atelier-t`/);
  });

  it("has the GPUs that the settings name, and no other: one that is too old is refused for it", async () => {
    expect((await box().inspect()).HostConfig.DeviceRequests).toMatchObject([{ DeviceIDs: ["1"] }]);
    sshPort = await freePort();
    await settings({ gpus: [0] });
    const { exitCode, all } = await project.atelier(["up", "--skip-preview"]);
    expect(exitCode, all).toBe(1);
    expect(all).toMatch(/GPU 0 \(Tesla K80\) has compute capability 3\.7; .*choose a newer GPU/);
  });

  it("may move to another port while a step goes, which was made at the one before", async () => {
    sshPort = await freePort();
    await settings({}, { exposure: "tunnel" });
    const said = await atelier(["up", "--skip-preview"]);
    expect(said).toContain("What was to be removed was looked for at an earlier address");
    expect(said).toContain("- gate deleted");
  });

  it("whose engine does not answer is left by `down`, which says so; a stack that made none asks for none", async () => {
    const socket = engine.host.replace("unix://", "");
    renameSync(socket, `${socket}.away`);
    try {
      const { exitCode, all } = await project.atelier(["down"]);
      expect(exitCode, all).toBe(1);
      expect(all).toMatch(
        /^Nothing was removed: the Docker engine at unix:\S+ can't be asked .*--host-gone --stack t$/m,
      );
      project.stack = "u";
      await settings();
      expect((await project.atelier(["up", "--skip-preview"])).all).toMatch(
        /Nothing was changed\..*\n.*host\.docker: .*Is the Docker engine running\?/,
      );
      expect(await atelier(["down"])).toContain("nothing to remove");
    } finally {
      project.stack = "t";
      renameSync(`${socket}.away`, socket);
    }
  });

  it("goes with `down`, but for its volume", async () => {
    const said = await atelier(["down"]);
    expect(said).toContain("The volume with the cache of downloads stays");
    expect(said).not.toContain("rental");
    expect(await engine.docker.listContainers({ all: true })).toEqual([]);
    expect(await volumes()).toEqual(["atelier-t"]);
  });

  it.skipIf(noCli)(
    `comes as an image with the WebUI in it, in which the next test finds all but the models${noCli ? ` (skipped: ${noCli})` : ""}`,
    async () => {
      expect(await atelier(["image", "--tag", ready])).toContain(`Built ${ready}`);
      // What is baked in fills an empty volume only.
      await engine.docker.getVolume("atelier-t").remove();
      const layers: unknown = await engine.docker.getImage(ready).history();
      expect(JSON.stringify(layers)).not.toContain("PRIVATE KEY");
    },
  );

  it("is made behind ssh:// too, and proved through a tunnel; --purge takes the volume", async () => {
    const [key, hosts] = [join(engine.dir, "id"), join(engine.dir, "known_hosts")];
    writeFileSync(key, sshd.privateKey, { mode: 0o600 });
    writeFileSync(hosts, `[127.0.0.1]:${sshd.port} ${sshd.hostKey}\n`);
    const host = `ssh://${sshd.user}@127.0.0.1:${sshd.port}${engine.host.replace("unix://", "")}`;
    const image = noCli ? {} : { base: undefined, image: ready };
    await settings({ docker: { host }, keyFile: key, ...image }, { exposure: "tunnel" });
    const env = { DOCKER_SSH_OPTS: `-F none -o UserKnownHostsFile=${hosts} -i ${key}` };

    const said = await atelier(["up", "--skip-preview"], env);
    expect(said).toContain(`First contact: 127.0.0.1:${sshd.port}`);
    expect(said).toContain(`-p ${sshd.port} ${sshd.user}@127.0.0.1`);
    expect(project.report().checks.every(({ ok }) => ok)).toBe(true);
    // Out of the volume's cache, or of the image, all but the models, which it does not have.
    const fetched = project.report().cache?.items.filter(({ cached }) => !cached);
    expect(fetched?.filter(({ name }) => !/^(v1-5-.*|tokenizer)$/.test(name))).toEqual([]);

    // Without its container there is nothing to dial, and still all of it goes.
    await box().remove({ force: true });
    expect(await atelier(["down", "--purge"], env)).toContain("which does not run any more");
    expect(await volumes()).toEqual([]);
    expect(existsSync(join(project.home, "t", "report"))).toBe(false);
  });
});
