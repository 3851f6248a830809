import { readFileSync } from "node:fs";
import { afterAll, describe, expect, test } from "vitest";
import { startDocker, type TestDocker } from "../../helpers/docker.ts";
import { Workspace } from "../deploy/workspace.ts";
import { application, PASSWORD } from "./application.ts";

const { test: made, missing } = await startDocker();
const it = made as TestDocker;
afterAll(() => it?.stop());

const COUNT = 8;

async function inspect(id: unknown) {
  return await it.docker.getContainer(String(id)).inspect();
}

describe.skipIf(missing)(`an application on Docker${missing ? ` (skipped: ${missing})` : ""}`, () => {
  test("is made, found unchanged, mended after changes by hand, changed and removed; its secrets stay in it", async () => {
    const { work, set } = await application(it);
    const preview = await work.run("preview");
    expect(preview.errors).toEqual([]);
    expect(preview.changes).toEqual({ create: COUNT });
    expect(await it.docker.listContainers({ all: true })).toEqual([]);

    const up = await work.run("up");
    expect(up.errors).toEqual([]);
    expect(up.changes).toEqual({ create: COUNT });
    // The built image said its word, and found the other container by its alias.
    expect(up.outputs.said?.value).toBe("built hello\nfound\n");
    const answer = await fetch(`http://127.0.0.1:${up.outputs.port?.value}/`);
    expect(await answer.text()).toBe(`hello ${PASSWORD}`);
    expect(JSON.stringify(up.events)).not.toContain(PASSWORD);
    expect(readFileSync(work.stateFile, "utf8")).not.toContain(PASSWORD);
    expect((await work.run("up")).changes).toEqual({ same: COUNT });
    expect((await work.run("refresh")).changes).toEqual({ same: COUNT - 2 });

    // Stopped and changed by hand: put back and started again, the same container.
    const { id } = work.resource("web");
    const byHand = it.docker.getContainer(String(id));
    await byHand.update({ Memory: 96 << 20, MemorySwap: 160 << 20, RestartPolicy: { Name: "no" } });
    await byHand.stop({ t: 0 });
    expect((await work.run("refresh")).steps).toContain("refresh web");
    expect((await work.run("up")).changes).toEqual({ same: COUNT - 1, update: 1 });
    expect(work.resource("web").id).toBe(id);
    expect(await inspect(id)).toMatchObject({
      State: { Running: true },
      HostConfig: { Memory: 64 << 20, RestartPolicy: { Name: "unless-stopped" } },
    });

    // Taken from its network by hand, then removed by hand: another container each time; the built image is built again.
    await it.docker.getNetwork(String(work.resource("net").id)).disconnect({ Container: String(id) });
    const built = () => (work.resource("built").outputs as { repoDigest: string }).repoDigest;
    const before = built();
    await it.docker.getImage("local/built:1").remove({ force: true });
    await work.run("refresh");
    const anew = await work.run("up");
    expect(anew.changes).toMatchObject({ create: 1 });
    // An engine that keeps its images in containerd may build the very same again: its container stays then.
    expect(anew.changes.replace).toBe(built() === before ? 1 : 2);
    const second = work.resource("web").id;
    expect(second).not.toBe(id);
    await it.docker.getContainer(String(second)).remove({ force: true });
    await work.run("refresh");
    expect(work.resources().filter(({ urn }) => urn.endsWith("::web"))).toEqual([]);
    expect((await work.run("up")).changes).toEqual({ same: COUNT - 1, create: 1 });

    // The program changes: memory in place, an argument of the build rebuilds and replaces what runs the image.
    set({ memory: "80" });
    const third = work.resource("web").id;
    expect((await work.run("up")).changes).toEqual({ same: COUNT - 1, update: 1 });
    expect(work.resource("web").id).toBe(third);
    expect((await inspect(third)).HostConfig.Memory).toBe(80 << 20);
    set({ memory: "80", word: "servus" });
    const changed = await work.run("up");
    expect(changed.errors).toEqual([]);
    expect(changed.changes).toMatchObject({ update: 1, replace: 2 });
    expect(changed.outputs.said?.value).toBe("built servus\nfound\n");

    expect((await work.run("destroy")).errors).toEqual([]);
    expect(await it.docker.listContainers({ all: true })).toEqual([]);
    expect((await it.docker.listVolumes()).Volumes ?? []).toEqual([]);
    expect((await it.docker.listNetworks()).map(({ Name }) => Name).sort()).toEqual(["bridge", "host", "none"]);
  });

  test("a network and a volume with names of their own are there with their new labels, and what used them stands on them", async () => {
    const work = new Workspace("dockerNames.ts");
    const run = (of: string) => work.run("up", { config: { host: it.host, of } });
    expect((await run("one")).errors).toEqual([]);
    const changed = await run("two");
    expect(changed.errors).toEqual([]);
    expect(changed.changes).toMatchObject({ replace: 3 });
    expect(await it.docker.getNetwork("named-net").inspect()).toMatchObject({ Labels: { of: "two" } });
    expect(await it.docker.getVolume("named-vol").inspect()).toMatchObject({ Labels: { of: "two" } });
    expect(await inspect(work.resource("box").id)).toMatchObject({
      State: { Running: true },
      NetworkSettings: { Networks: { "named-net": { NetworkID: work.resource("net").id } } },
    });
    expect((await run("two")).changes).toEqual({ same: 5 });
    expect((await work.run("destroy", { config: { host: it.host } })).errors).toEqual([]);
  });
});
