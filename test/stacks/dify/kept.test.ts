import { describe, expect, test } from "vitest";
import { outlivesDown } from "../../../stacks/dify/kept.ts";
import { difyOnDocker } from "./onDocker.ts";

const { it, work, missing } = await difyOnDocker();

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
