import { describe, expect, test } from "vitest";
import type { Stack } from "../../../scripts/cli/stack.ts";
import { outlivesDown } from "../../../stacks/dify/kept.ts";
import { parseSettings } from "../../../stacks/schema.ts";
import { difyOnDocker } from "./onDocker.ts";

const { it, work, missing } = await difyOnDocker();
// They find state and passphrase where the environment says, once.
process.env.ATELIER_HOME = work.dir;
process.env.PULUMI_CONFIG_PASSPHRASE = "correct-horse";
const { removeLeftovers, whyNoDifyEngine } = await import("../../../scripts/cli/onEngines.ts");
const { forgetHost, isOfDifyEngine } = await import("../../../scripts/cli/engines/state.ts");
const signal = new AbortController().signal;
/** The stack with its Docker engine there. */
const at = (host: string) =>
  ({
    name: "t",
    settings: parseSettings(
      { host: { kind: "local" }, upstreams: { profile: "rehearsal" }, dify: { docker: { host } } },
      "t",
    ),
  }) as Stack;

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

    // As `down --host-gone` goes by: what the engine has may be there again one day.
    const kept = excludes();
    expect(await whyNoDifyEngine(at(it.host), signal)).toBeUndefined();
    expect(await whyNoDifyEngine(at(`unix://${it.dir}/nobody.sock`), signal)).toMatch(
      /no Docker engine answers .*ENOENT/,
    );
    expect(await forgetHost("t", (one) => isOfDifyEngine(one) && !kept.includes(one.urn))).toBeGreaterThan(10);
    expect(excludes()).toEqual(kept);
    await removeLeftovers(at(it.host), { say: () => {}, signal });
    expect(await it.docker.listContainers({ all: true })).toEqual([]);
    expect(await volumes()).toEqual(data);

    expect((await work.run("destroy")).errors).toEqual([]);
    expect(await volumes()).toEqual([]);
    expect(resources()).toEqual([]);
  });
});
