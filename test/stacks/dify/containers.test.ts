import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { freePort } from "../../../rehearsal/lib/ports.ts";
import { noRegistry, startRegistry } from "../../engine/docker/registry.ts";
import { bundleOfDify, pushImage } from "../../helpers/bundle.ts";
import { IMAGE, startDocker, type TestDocker } from "../../helpers/docker.ts";
import { importStandIn, STAND_IN, standIns } from "./images.ts";
import { DifyWorkspace, model } from "./workspace.ts";

const { test: made, missing } = await startDocker();
const it = made as TestDocker;
const work = new DifyWorkspace();
const bundle = join(work.dir, "bundle");
let webui: Server;
let difyPort: number;

/** Public ones of Dify's compose file. */
const publicDefaults =
  /difyai123456|dify-sandbox(?![:\w])|lYkiYYT6owG|QaHbTe77CtuXmsfyhR7|WVF5YThaHlkYwhGUSmCRgsX3tD5ngdN8pkih|sk-9f73s3ljTXVcMT3Blb3ljTqtsKiGHXVcMT3BlbkFJLK7U/;
const services = "db redis ssrf_proxy sandbox api worker worker_beat plugin_daemon web nginx".split(" ");
const called = (service: string) => `atelier-t-dify-${service}`;
const inspect = (service: string) => it.docker.getContainer(called(service)).inspect();
const envOf = async (service: string): Promise<Record<string, string>> =>
  Object.fromEntries(((await inspect(service)).Config.Env ?? []).map((line) => line.split(/=(.*)/s).slice(0, 2)));

function settings(dify: object = {}, webuiMore: object = {}, facts?: object): void {
  const { port } = webui.address() as AddressInfo;
  work.tell({
    offline: true,
    ...(facts && { facts }),
    settings: {
      host: { kind: "local" },
      webui: { port, listen: "0.0.0.0", ...webuiMore },
      upstreams: { profile: "rehearsal" },
      dify: { port: difyPort, docker: { host: it.host }, timeout: 500, ...dify },
    },
  });
}

/** `db start`, `db healthy`, as the engine tells them. */
async function watch({ docker }: TestDocker): Promise<string[]> {
  const told: string[] = [];
  const events = await docker.getEvents({ filters: { type: ["container"], event: ["start", "health_status"] } });
  events.on("data", (data: Buffer) => {
    for (const line of data.toString().split("\n").filter(Boolean)) {
      const { Action, Actor } = JSON.parse(line) as { Action: string; Actor: { Attributes: { name: string } } };
      const what = Action.replace("health_status: ", "");
      told.push(`${Actor.Attributes.name.replace("atelier-t-dify-", "")} ${what}`);
    }
  });
  return told;
}

/** The engine no longer has the image, nor anybody to pull it from. */
async function intoBundle(): Promise<void> {
  const registry = await startRegistry({ open: true });
  try {
    await pushImage(it.docker, STAND_IN, registry);
    await bundleOfDify(bundle, { images: [{ image: STAND_IN }] }, { mirrors: [`http://${registry.address}`] });
    await it.docker.getImage(STAND_IN).remove();
  } finally {
    await registry.stop();
  }
}

beforeAll(async () => {
  if (missing) return;
  await importStandIn(it.docker);
  if (!noRegistry) await intoBundle();
  difyPort = await freePort();
  // Asks for a login, as the WebUI does.
  webui = createServer((_, answer) => answer.writeHead(401).end());
  await new Promise<void>((listens) => webui.listen(0, "0.0.0.0", listens));
  settings();
});
afterAll(async () => {
  webui?.close();
  work.remove();
  await it?.stop();
});

describe.skipIf(missing)(`Dify's containers${missing ? ` (skipped: ${missing})` : ""}`, () => {
  test("without a Docker engine are one clear error", async () => {
    settings({ docker: { host: "unix:///nowhere/docker.sock" } });
    for (const kind of ["preview", "up"] as const) {
      const { result, errors } = await work.run(kind);
      expect(result).toBe("failed");
      expect(errors.join("\n")).toMatch(
        /no answer from a Docker engine at unix:\/\/\/nowhere\/docker\.sock.*Is the Docker engine running\?/s,
      );
    }
    expect((await work.run("destroy")).result).toBe("succeeded");
    settings();
  });

  test("whose images nothing brings, where nothing may be fetched, are told in the first plan", async () => {
    const plugins = { "langgenius/stablediffusion": "/a", "langgenius/ollama": "/b" };
    settings({}, {}, { kind: "containers", model, plugins, images: { ...standIns, api: "no:1" } });
    const plan = await work.run("preview");
    expect([plan.result, plan.errors.join("\n")]).toEqual([
      "failed",
      expect.stringMatching(/nothing may be fetched \(upstreams: offline\), .* has not: .*image no:1/),
    ]);
    settings();
  });

  test("are made of a bundle's images, in the order of their health, with nothing of the public defaults, and found unchanged", async () => {
    const order = await watch(it);
    if (!noRegistry) process.env.ATELIER_BUNDLE = bundle;
    const up = await work.run("up");
    delete process.env.ATELIER_BUNDLE;
    expect(up.errors).toEqual([]);
    expect(up.outputs.url?.value).toBe(`http://127.0.0.1:${difyPort}`);
    const answer = await fetch(`http://127.0.0.1:${difyPort}/console/api/setup`);
    expect(await answer.json()).toEqual({ step: "not_started" });

    const all = Object.fromEntries(
      await Promise.all(services.map(async (service) => [service, await inspect(service)])),
    );
    for (const service of services) {
      expect([service, all[service].State.Health?.Status, all[service].HostConfig.RestartPolicy.Name]).toEqual([
        service,
        "healthy",
        "unless-stopped",
      ]);
      expect(all[service].HostConfig.LogConfig).toEqual({
        Type: "json-file",
        Config: { "max-file": "3", "max-size": "10m" },
      });
    }
    // Each was started only once what it leans on had been found healthy.
    const at = (service: string, what: string) => order.indexOf(`${service} ${what}`);
    const leans = [
      ["api", "db"],
      ["api", "redis"],
      ["plugin_daemon", "db"],
      ["worker", "api"],
      ["worker_beat", "api"],
      ["nginx", "web"],
      ["sandbox", "ssrf_proxy"],
    ] as const;
    for (const [later, earlier] of leans) {
      expect(at(earlier, "healthy")).toBeGreaterThanOrEqual(0);
      expect([later, earlier, at(later, "start") > at(earlier, "healthy")]).toEqual([later, earlier, true]);
    }

    // Nothing is published but the one door.
    for (const service of services)
      expect([service, Object.values(all[service].NetworkSettings.Ports ?? {}).filter(Boolean)]).toEqual([
        service,
        service === "nginx" ? [[{ HostIp: "127.0.0.1", HostPort: String(difyPort) }]] : [],
      ]);
    expect(Object.keys(all.sandbox.NetworkSettings.Networks)).toEqual([called("inside")]);
    expect((await it.docker.getNetwork(called("inside")).inspect()).Internal).toBe(true);

    const secrets = new Set<string>();
    for (const service of services) {
      const text = JSON.stringify(all[service].Config);
      expect(text).not.toMatch(publicDefaults);
      expect(JSON.stringify([all[service].Path, all[service].Args])).not.toMatch(/requirepass|password/i);
    }
    const api = await envOf("api");
    const worker = await envOf("worker");
    const daemon = await envOf("plugin_daemon");
    for (const name of [
      "SECRET_KEY",
      "INIT_PASSWORD",
      "DB_PASSWORD",
      "REDIS_PASSWORD",
      "CODE_EXECUTION_API_KEY",
      "PLUGIN_DAEMON_KEY",
      "INNER_API_KEY_FOR_PLUGIN",
    ]) {
      expect(api[name]).toMatch(/^[\w-]{24,48}$/);
      secrets.add(api[name] as string);
      expect(worker[name]).toBe(api[name]);
    }
    expect(secrets.size).toBe(7);
    expect(api.INIT_PASSWORD?.length).toBeLessThanOrEqual(30);
    expect(api.CELERY_BROKER_URL).toBe(`redis://:${api.REDIS_PASSWORD}@redis:6379/1`);
    expect(api.MIGRATION_ENABLED).toBe("true");
    expect(worker.MIGRATION_ENABLED).toBe("false");
    // With the image's own default, one, a chat would wait for another's picture.
    expect(worker.CELERY_WORKER_AMOUNT).toBe("4");
    expect(all.db.Config.Cmd).toEqual(["postgres", "-c", "max_connections=200"]);
    // It starts as slowly as the API, and its ping is a Python of its own.
    expect(all.worker.Config.Healthcheck).toMatchObject({ StartPeriod: 500e9, Timeout: 60e9 });
    expect([api.SQLALCHEMY_POOL_PRE_PING, worker.SQLALCHEMY_POOL_PRE_PING]).toEqual(["true", "true"]);
    // There is no service for it.
    expect(api.ENABLE_COLLABORATION_MODE).toBe("false");
    expect(daemon).toMatchObject({
      SERVER_KEY: api.PLUGIN_DAEMON_KEY,
      DIFY_INNER_API_KEY: api.INNER_API_KEY_FOR_PLUGIN,
      DB_PASSWORD: api.DB_PASSWORD,
      FORCE_VERIFYING_SIGNATURE: "true",
      PLUGIN_REMOTE_INSTALLING_ENABLED: "false",
      // Nothing may be fetched: what a bundle has is served by nginx inside.
      PIP_MIRROR_URL: "http://nginx:8090/simple/",
      PLUGIN_IGNORE_UV_LOCK: "true",
    });
    expect(all.nginx.Mounts).toEqual([
      expect.objectContaining({ Name: called("wheels-data"), Destination: "/wheels", RW: false }),
    ]);
    expect((await envOf("sandbox")).API_KEY).toBe(api.CODE_EXECUTION_API_KEY);
    expect(api).toMatchObject({
      FILES_URL: `http://127.0.0.1:${difyPort}`,
      CONSOLE_API_URL: "",
      CHECK_UPDATE_URL: "",
      INTERNAL_FILES_URL: "http://api:5001",
    });
    expect(up.outputs.password).toMatchObject({ secret: true });
    expect(up.outputs.webuiUrl?.value).toMatch(/^http:\/\/host\.docker\.internal:\d+$/);
    // Nowhere in clear: not in the state, not in an event.
    for (const secret of [...secrets, String(up.outputs.password?.value)]) {
      expect(work.state).not.toContain(secret);
      expect(JSON.stringify(up.events)).not.toContain(secret);
    }

    const again = await work.run("up");
    expect(again.steps.filter((step) => !step.startsWith("same "))).toEqual([]);
    expect((await work.run("refresh")).errors).toEqual([]);
    expect((await work.run("preview")).steps.filter((step) => !step.startsWith("same "))).toEqual([]);
  });

  test("killed, paused or removed by hand are made anew, and only they", async () => {
    const before = await inspect("db");
    await it.docker.getContainer(called("worker")).kill();
    await it.docker.getContainer(called("web")).remove({ force: true });
    await it.docker.getContainer(called("worker_beat")).pause();
    const up = await work.run("up");
    expect(up.errors).toEqual([]);
    const made = up.steps.filter((step) => step.startsWith("create-replacement ")).sort();
    expect(made).toEqual(["web", "worker", "worker-beat"].map((name) => `create-replacement dify-${name}`));
    expect((await inspect("worker")).State.Running).toBe(true);
    expect((await inspect("web")).State.Running).toBe(true);
    expect((await inspect("worker_beat")).State).toMatchObject({ Running: true, Paused: false });
    expect((await inspect("db")).Id).toBe(before.Id);
  });

  test("say where the WebUI is not to be reached from inside", async () => {
    const port = await freePort();
    settings({ webuiUrl: `http://host.docker.internal:${port}` });
    const up = await work.run("up");
    expect(up.errors.join("\n")).toMatch(
      new RegExp(
        `Dify's containers do not reach the WebUI at http://host\\.docker\\.internal:${port}: asked from a container of the network atelier-t-dify-net .*dify\\.webuiUrl`,
        "s",
      ),
    );
    expect(up.steps).not.toContain("update wired");
    settings();
  });

  test("take an https address of people's, a proxy and a mirror, and packages of one's own key", async () => {
    settings({
      publicUrl: "https://dify.example.com/",
      proxy: "http://proxy.example.com:3128",
      pipMirror: "https://pypi.example.com/simple",
      plugins: { folder: "/nowhere", unsigned: true },
    });
    const plan = await work.run("preview");
    expect(plan.errors).toEqual([]);
    const inputs = (name: string) =>
      plan.events
        .map(({ resourcePreEvent }) => resourcePreEvent?.metadata)
        .find((one) => one?.urn.endsWith(`Container::${name}`) && one.op === "create-replacement")?.new?.inputs;
    // What is secret is masked as a whole; it is looked at on the engine after the update instead.
    expect(inputs("dify-api")).toBeDefined();
    const up = await work.run("up");
    expect(up.errors).toEqual([]);
    expect(await envOf("api")).toMatchObject({
      FILES_URL: "https://dify.example.com",
      CONSOLE_API_URL: "https://dify.example.com",
      CONSOLE_WEB_URL: "https://dify.example.com",
      APP_WEB_URL: "https://dify.example.com",
      CONSOLE_CORS_ALLOW_ORIGINS: "https://dify.example.com",
      MARKETPLACE_ENABLED: "false",
    });
    const daemon = await envOf("plugin_daemon");
    expect(daemon).toMatchObject({
      HTTP_PROXY: "http://proxy.example.com:3128",
      PIP_MIRROR_URL: "https://pypi.example.com/simple",
      FORCE_VERIFYING_SIGNATURE: "false",
    });
    const { IPAM } = await it.docker.getNetwork(called("net")).inspect();
    expect(daemon.NO_PROXY?.split(",")).toContain(IPAM?.Config?.[0]?.Subnet);
    // What is inside, and the WebUI, is never asked for by way of the proxy.
    expect(daemon.NO_PROXY?.split(",")).toEqual(
      expect.arrayContaining(["api", "redis", "db", "host.docker.internal", "localhost"]),
    );
  });

  test("are all removed, with their volumes and networks", async () => {
    const down = await work.run("destroy");
    expect(down.errors).toEqual([]);
    expect(await it.docker.listContainers({ all: true })).toEqual([]);
    expect((await it.docker.listVolumes()).Volumes ?? []).toEqual([]);
    expect((await it.docker.listNetworks()).map(({ Name }) => Name).sort()).toEqual(["bridge", "host", "none"]);
  });

  test("are refused where volumes of a Dify with lost passwords lie, or what another copy of the stack made", async () => {
    await it.docker.createVolume({ Name: called("db-data") });
    // Another copy's: its owner has the same name, and its state another password.
    const Labels = { "atelier.dify": "atelier/t", "atelier.fingerprint": "another" };
    await it.docker.createVolume({ Name: called("redis-data"), Labels });
    const theirs = await Promise.all(
      // The second has done its work, and is looked for by no name.
      ["api", "storage-owner"].map((box) => it.docker.createContainer({ name: called(box), Image: IMAGE, Labels })),
    );
    const up = await work.run("up");
    expect(up.result).toBe("failed");
    const said = up.errors.join("\n");
    expect(said).toContain(
      `is not its own: containers ${called("api")}, ${called("storage-owner")}; volumes ${called("db-data")}, ${called("redis-data")}.`,
    );
    expect(said).toContain(`docker volume rm ${called("db-data")}`);
    expect(await it.docker.listContainers({ all: true })).toHaveLength(2);
    await Promise.all(theirs.map((box) => box.remove()));
    await it.docker.getVolume(called("redis-data")).remove();
    await it.docker.getVolume(called("db-data")).remove();
    expect((await work.run("destroy")).errors).toEqual([]);
  });
});
