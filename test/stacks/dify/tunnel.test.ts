import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { freePort } from "../../../rehearsal/lib/ports.ts";
import { noRegistry, type Registry, startRegistry } from "../../engine/docker/registry.ts";
import { startDocker, type TestDocker } from "../../helpers/docker.ts";
import { importStandIn, STAND_IN, standIns } from "./images.ts";
import { DifyWorkspace, model } from "./workspace.ts";

const started = noRegistry === undefined ? await startDocker() : { missing: noRegistry };
const { missing } = started;
const it = started.test as TestDocker;
const work = new DifyWorkspace();
let registry: Registry;
let base: string;

/** What the tunnel is built on is in a registry on loopback alone, which stands for a mirror of Docker's own. */
beforeAll(async () => {
  if (missing) return;
  registry = await startRegistry({ open: true });
  await importStandIn(it.docker);
  const repo = `${registry.address}/library/tunnels`;
  await it.docker.getImage(STAND_IN).tag({ repo, tag: "1" });
  for await (const _ of await it.docker.getImage(`${repo}:1`).push({ authconfig: { username: "x", password: "y" } })) {
    // To its end.
  }
  const { RepoDigests } = await it.docker.getImage(`${repo}:1`).inspect();
  base = `tunnels:1@${RepoDigests?.[0]?.split("@")[1]}`;
  await it.docker.getImage(`${repo}:1`).remove();
}, 60_000);
afterAll(async () => {
  work.remove();
  await registry?.stop();
  await it?.stop();
}, 60_000);

describe.skipIf(missing)(`the tunnel's image${missing ? ` (skipped: ${missing})` : ""}`, () => {
  test("is built on what a mirror gives, by its digest: the build itself asks Docker's own registry alone", async () => {
    const plugins = { "langgenius/stablediffusion": "/a", "langgenius/ollama": "/b" };
    work.tell({
      settings: {
        host: { kind: "local" },
        webui: { port: await freePort(), exposure: "tunnel" },
        upstreams: { profile: "rehearsal" },
        dify: { port: await freePort(), docker: { host: it.host } },
      },
      // A stand-in's tunnel begins with the API's image.
      facts: { kind: "containers", model, plugins, images: { ...standIns, api: base } },
      mirrors: ["http://127.0.0.1:1", `http://${registry.address}`],
      host: { address: "127.0.0.1", port: 22, user: "u", hostKey: "ssh-ed25519 AAAA", password: "p" },
    });
    const targets = ["dify", "dify-docker", "dify-db-password", "dify-docker-facts", "dify-images"];
    const up = await work.run("up", {
      targets: [...targets, "dify-tunnel-base", "dify-tunnel-image"].map((name) => `**::${name}`),
    });
    expect(up.errors).toEqual([]);
    expect(up.steps).toContain("create dify-tunnel-image");
    const tags = (await it.docker.listImages()).flatMap(({ RepoTags }) => RepoTags ?? []);
    const [, hash] = /^atelier\/tunnel:(\w+)$/.exec(tags.find((tag) => tag.startsWith("atelier/tunnel:")) ?? "") ?? [];
    expect(tags).toContain(`atelier/tunnel-base:${hash}`);
  }, 120_000);
});
