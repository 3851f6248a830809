import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { freePort } from "../../../rehearsal/lib/ports.ts";
import { outlivesDown } from "../../../stacks/dify/kept.ts";
import { startDocker, type TestDocker } from "../../helpers/docker.ts";
import { importStandIn } from "./images.ts";
import { DifyWorkspace } from "./workspace.ts";

const { test: made, missing } = await startDocker();
const it = made as TestDocker;
const work = new DifyWorkspace();
let webui: Server;

beforeAll(async () => {
  if (missing) return;
  await importStandIn(it.docker);
  webui = createServer((_, answer) => answer.writeHead(401).end());
  await new Promise<void>((listens) => webui.listen(0, "0.0.0.0", listens));
  const { port } = webui.address() as AddressInfo;
  work.tell({
    settings: {
      host: { kind: "local" },
      webui: { port, listen: "0.0.0.0" },
      upstreams: { profile: "rehearsal" },
      dify: { port: await freePort(), docker: { host: it.host }, timeout: 500 },
    },
  });
});
afterAll(async () => {
  webui?.close();
  work.remove();
  await it?.stop();
});

const volumes = async () => ((await it.docker.listVolumes()).Volumes ?? []).map(({ Name }) => Name).sort();
const resources = () =>
  (JSON.parse(work.state) as { checkpoint: { latest: { resources?: { urn: string; type: string }[] } } }).checkpoint
    .latest.resources ?? [];

describe.skipIf(missing)(`Dify's data${missing ? ` (skipped: ${missing})` : ""}`, () => {
  test("outlives down with its passwords, twice, and is found by the next up; a purge takes all", async () => {
    const first = await work.run("up");
    expect(first.errors).toEqual([]);
    const data = await volumes();
    expect(data).toHaveLength(5);

    const excludes = () =>
      resources()
        .filter(outlivesDown)
        .map(({ urn }) => urn);
    expect(excludes()).toHaveLength(5 + 8);
    for (let down = 1; down <= 2; down++) {
      const gone = await work.run("destroy", { excludes: excludes() });
      expect(gone.errors).toEqual([]);
      expect(await it.docker.listContainers({ all: true })).toEqual([]);
      expect(await volumes()).toEqual(data);
      expect(excludes()).toHaveLength(13);
    }

    // The stand-in database refuses to start with another password than its first.
    const second = await work.run("up");
    expect(second.errors).toEqual([]);
    expect(second.outputs.password?.value).toBe(first.outputs.password?.value);
    expect(await volumes()).toEqual(data);

    expect((await work.run("destroy")).errors).toEqual([]);
    expect(await volumes()).toEqual([]);
    expect(resources()).toEqual([]);
  });
});
