import { readFileSync } from "node:fs";
import type Docker from "dockerode";
import { pack } from "tar-stream";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { whyNoImage } from "../../../rehearsal/dify/image.ts";
import { type DifyFacts, startDify } from "../../../rehearsal/dify.ts";
import { startDocker } from "../../helpers/docker.ts";
import { until } from "../../helpers/until.ts";
import { Client, events } from "./client.ts";
import { app } from "./golden.ts";
import { StubWebui } from "./stub-webui.ts";

/** The stand-in's image in the place of each of Dify's, under the names and the health checks of Dify's services. */

const noImage = whyNoImage();
const started = noImage ? { missing: noImage } : await startDocker();
const engine = started.test;
const why = started.missing ? ` (skipped: ${started.missing})` : "";
let image = "";
let facts: DifyFacts;
const password = "redis-password-1";
const common = { REDIS_HOST: "redis", REDIS_PASSWORD: password, SECRET_KEY: "secret", INIT_PASSWORD: "init-1" };

describe.skipIf(!engine)(`in containers${why}`, () => {
  const webui = new StubWebui();
  let gateway = "";
  let url = "";

  beforeAll(async () => {
    const { docker, dir, host } = engine as NonNullable<typeof engine>;
    const options = { dir, socket: host.replace("unix://", "") };
    facts = await startDify(options);
    // A second start makes nothing anew.
    expect(await startDify(options)).toEqual(facts);
    expect(facts).toMatchObject({
      kind: "containers",
      url: "",
      images: { api: expect.any(String), nginx: facts.images?.api },
    });
    image = facts.images?.api ?? "";
    const network = await docker.createNetwork({ Name: "dify" });
    gateway = (await network.inspect()).IPAM?.Config?.[0]?.Gateway ?? "";
    await webui.start("0.0.0.0");
    await run(docker, "redis", {}, [{ path: "/etc/atelier/redis.conf", text: `requirepass ${password}\n` }]);
    await run(docker, "plugin_daemon", { SERVER_KEY: "daemon-key" });
    const nginx = await run(docker, "nginx", {});
    const { Ports } = (await nginx.inspect()).NetworkSettings;
    url = `http://127.0.0.1:${Ports["80/tcp"]?.[0]?.HostPort}`;
    const daemon = { PLUGIN_DAEMON_URL: "http://plugin_daemon:5002", PLUGIN_DAEMON_KEY: "daemon-key" };
    await run(docker, "api", { ...common, ...daemon, FILES_URL: url, REHEARSAL_INSTALL_TIME: "0" });
    await run(docker, "web", { HOSTNAME: "0.0.0.0" });
    for (const role of ["db", "ssrf_proxy", "sandbox", "worker", "worker_beat"]) await run(docker, role, {});
  });

  afterAll(async () => {
    await webui.stop();
    await engine?.stop();
  });

  test("a password that Redis does not take keeps the API from starting", async () => {
    const { docker } = engine as NonNullable<typeof engine>;
    const wrong = await run(docker, "api", { ...common, REDIS_PASSWORD: "another" }, [], "wrong");
    const { StatusCode } = await wrong.wait();
    expect(StatusCode).toBe(1);
    expect((await wrong.logs({ stderr: true })).toString()).toContain("refuses REDIS_PASSWORD");
  });

  test("an app draws: through nginx, by the model in the API, with the tool that leaves from the plugin daemon", async () => {
    const answers = async () => (await fetch(`${url}/console/api/setup`).catch(() => undefined))?.status === 200;
    await until("Dify answers", answers);
    const client = await new Client(url).setUp({ initPassword: "init-1" });
    for (const id of ["langgenius/stablediffusion", "langgenius/openai_api_compatible"])
      await client.install(readFileSync(facts.plugins[id] ?? ""));
    const workspace = "/workspaces/current";
    const add = (host: string) =>
      client.console("POST", `${workspace}/tool-provider/builtin/langgenius/stablediffusion/stablediffusion/add`, {
        credentials: { base_url: `http://sduser:sdpass@${host}:${webui.port}`, model: "v1-5-pruned-emaonly" },
        type: "api-key",
        name: "sd",
      });
    // What works on this machine only does not work from there.
    await expect(add("127.0.0.1")).rejects.toThrow(/Connection refused/);
    await add(gateway);
    const provider = `${workspace}/model-providers/langgenius/openai_api_compatible/openai_api_compatible`;
    await client.console("POST", `${provider}/models/credentials`, {
      model: "rehearsal-llm",
      model_type: "llm",
      name: "main",
      credentials: {
        endpoint_url: facts.model.baseUrl,
        api_key: facts.model.apiKey,
        mode: "chat",
        context_size: "32768",
        function_calling_type: "tool_call",
        stream_function_calling: "supported",
      },
    });
    const yaml_content = app("agent").replace("name: stub-model", "name: rehearsal-llm");
    const { app_id } = await client.console("POST", "/apps/imports", { mode: "yaml-content", yaml_content });
    const { token } = await client.console("POST", `/apps/${app_id}/api-keys`);
    const asked = { inputs: {}, query: "a red fox", response_mode: "streaming", conversation_id: "", user: "u1" };
    const seen = await events(`${url}/v1/chat-messages`, token, asked);
    const link = seen.find(({ event }) => event === "message_file").url as string;
    expect(link.startsWith(`${url}/files/tools/`)).toBe(true);
    const picture = await fetch(link);
    expect([picture.status, picture.headers.get("content-type")]).toEqual([200, "image/png"]);
    const { site } = await client.console("GET", `/apps/${app_id}`);
    expect(await (await fetch(`${url}/chat/${site.access_token}`)).text()).toContain("REHEARSAL");
  });

  test.each([
    ["redis", "redis-cli ping | grep -q PONG"],
    ["db", "pg_isready -h 127.0.0.1 -U postgres -d dify"],
    ["ssrf_proxy", 'bash -c ": </dev/tcp/127.0.0.1/3128"'],
    ["sandbox", "curl -fsS -o /dev/null http://127.0.0.1:8194/health"],
    ["api", "curl -fsS -o /dev/null http://127.0.0.1:5001/health"],
    ["worker", 'celery -A celery_healthcheck.celery inspect ping -t 10 -d "celery@$HOSTNAME" | grep -q pong'],
    ["worker_beat", "grep -qa beat /proc/1/cmdline"],
    ["plugin_daemon", "curl -fsS -o /dev/null http://127.0.0.1:5002/health/check"],
    ["web", "wget -q -O /dev/null http://127.0.0.1:3000/signin"],
    ["nginx", "wget -q -O /dev/null http://127.0.0.1/console/api/setup"],
  ])("%s says that it is healthy", async (role, line) => {
    const container = engine?.docker.getContainer(`dify-${role}`) as Docker.Container;
    const REDISCLI_AUTH = `REDISCLI_AUTH=${password}`;
    // As Docker itself does: asked again, for a service that is still starting.
    await until(`${role} is healthy`, async () => {
      const exec = await container.exec({ Cmd: ["/bin/sh", "-c", line], Env: [REDISCLI_AUTH], AttachStdout: true });
      (await exec.start({})).resume();
      await until("the check has ended", async () => !(await exec.inspect()).Running);
      return (await exec.inspect()).ExitCode === 0;
    });
  });
});

async function run(
  docker: Docker,
  role: string,
  environment: Record<string, string>,
  files: { path: string; text: string }[] = [],
  name = role,
): Promise<Docker.Container> {
  const container = await docker.createContainer({
    name: `dify-${name}`,
    Image: image,
    Hostname: role.replace("_", "-"),
    Env: Object.entries(environment).map(([key, value]) => `${key}=${value}`),
    ...(role === "nginx" ? { ExposedPorts: { "80/tcp": {} } } : {}),
    HostConfig: {
      NetworkMode: "dify",
      ...(role === "nginx" ? { PortBindings: { "80/tcp": [{ HostIp: "127.0.0.1", HostPort: "" }] } } : {}),
    },
    NetworkingConfig: { EndpointsConfig: { dify: { Aliases: name === role ? [role] : [] } } },
  });
  for (const { path, text } of files) {
    const archive = pack();
    archive.entry({ name: path.slice(1) }, text);
    archive.finalize();
    await container.putArchive(archive, { path: "/" });
  }
  await container.start();
  return container;
}
