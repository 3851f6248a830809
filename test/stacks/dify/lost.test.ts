import { readFileSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { STAND_IN } from "./images.ts";
import { difyOnDocker } from "./onDocker.ts";

const { it, work, missing } = await difyOnDocker();

const called = (what: string) => `atelier-t-dify-${what}`;
const changes = ({ steps }: { steps: string[] }) => steps.filter((step) => !step.startsWith("same "));

/** What `docker system prune -a --volumes` does, and what a user does who takes the wrong one. */
async function lose(...volumes: string[]): Promise<void> {
  const boxes = await it.docker.listContainers({ all: true });
  await Promise.all(boxes.map(({ Id }) => it.docker.getContainer(Id).remove({ force: true })));
  for (const name of volumes) await it.docker.getVolume(called(name)).remove();
}

/** The user whose a volume is. */
async function ownerOf(volume: string): Promise<string> {
  const box = await it.docker.createContainer({
    Image: STAND_IN,
    Entrypoint: ["stat", "-c", "%u:%g", "/v"],
    Tty: true,
    HostConfig: { NetworkMode: "none", Mounts: [{ Type: "volume", Source: called(volume), Target: "/v" }] },
  });
  try {
    await box.start();
    await box.wait();
    return (await box.logs({ stdout: true })).toString().trim();
  } finally {
    await box.remove({ force: true });
  }
}

/** As a state was before volumes had tokens, and before anything made them again. */
function olderState(): void {
  const state = JSON.parse(readFileSync(work.stateFile, "utf8"), (key, value) =>
    key === "dependencies" ? value.filter((urn: string) => !urn.endsWith("::dify-volumes")) : value,
  );
  const { latest } = state.checkpoint;
  latest.resources = latest.resources.filter(({ urn }: { urn: string }) => !urn.endsWith("::dify-volumes"));
  const facts = latest.resources.find(({ urn }: { urn: string }) => urn.endsWith("::dify-docker-facts"));
  for (const side of [facts.outputs, facts.inputs])
    for (const name of Object.keys(side.volumes)) if (name !== called("db-data")) delete side.volumes[name];
  for (const name of Object.keys(facts.outputs.tokens)) if (name.endsWith("-data")) delete facts.outputs.tokens[name];
  writeFileSync(work.stateFile, JSON.stringify(state));
}

describe.skipIf(missing)(`Dify's volumes, gone from the engine${missing ? ` (skipped: ${missing})` : ""}`, () => {
  test("a state that knows nothing of them is taken over, and nothing that is there is made anew", async () => {
    expect((await work.run("up")).errors).toEqual([]);
    olderState();
    expect(changes(await work.run("up"))).toEqual(["create dify-volumes"]);
    expect(changes(await work.run("up"))).toEqual([]);
  });

  test("are seen and made again as ours, given to their owner, and then nothing changes", async () => {
    const before = await it.docker.getVolume(called("db-data")).inspect();
    await lose("db-data", "storage-data");
    const mended = await work.run("up");
    expect(mended.errors).toEqual([]);
    const db = await it.docker.getVolume(called("db-data")).inspect();
    expect(db.Labels).toEqual(before.Labels);
    const storage = await it.docker.getVolume(called("storage-data")).inspect();
    expect(storage.Labels).toEqual(before.Labels);
    expect(await ownerOf("storage-data")).toBe("1001:1001");
    expect(changes(mended)).toContain("create-replacement dify-storage-owner");
    expect(changes(mended).filter((step) => step.endsWith("-data"))).toEqual([]);
    expect(changes(await work.run("up"))).toEqual([]);
    expect((await work.run("refresh")).errors).toEqual([]);
    expect(changes(await work.run("up"))).toEqual([]);
  });

  test("a container that was taken from one of its networks is made anew: its own health says nothing of it", async () => {
    const { Id } = await it.docker.getContainer(called("api")).inspect();
    await it.docker.getNetwork(called("inside")).disconnect({ Container: Id });
    const mended = await work.run("up");
    expect(mended.errors).toEqual([]);
    expect(changes(mended)).toContain("create-replacement dify-api");
    const { NetworkSettings } = await it.docker.getContainer(called("api")).inspect();
    expect(Object.keys(NetworkSettings.Networks).sort()).toEqual([called("inside"), called("net")]);
    expect(changes(await work.run("up"))).toEqual([]);
  });

  test("one is lost a second time, and a purge takes all", async () => {
    await lose("storage-data");
    expect((await work.run("up")).errors).toEqual([]);
    expect(await ownerOf("storage-data")).toBe("1001:1001");
    expect(changes(await work.run("up"))).toEqual([]);
    expect((await work.run("destroy")).errors).toEqual([]);
    expect((await it.docker.listVolumes()).Volumes ?? []).toEqual([]);
  });
});
