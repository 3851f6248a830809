import { readFileSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { freePort } from "../../../rehearsal/lib/ports.ts";
import type { Stack } from "../../../scripts/cli/stack.ts";
import { fingerprintLabel } from "../../../stacks/docker/fingerprint.ts";
import { boxOutlivesDown } from "../../../stacks/docker/kept.ts";
import { parseSettings } from "../../../stacks/schema.ts";
import { IMAGE, startDocker, type TestDocker } from "../../helpers/docker.ts";
import { DifyWorkspace } from "../dify/workspace.ts";

const { test: made, missing } = await startDocker();
const it = made as TestDocker;
const program = "test/stacks/docker/program/index.ts";
const [first, second] = [new DifyWorkspace("t", program), new DifyWorkspace("t", program)];
const name = "atelier-t";
let stack: Stack;
let settings: object;
// They find state and passphrase where the environment says, once.
process.env.ATELIER_HOME = first.dir;
process.env.PULUMI_CONFIG_PASSPHRASE = "correct-horse";
const { removeLeftovers, volumesOfOthers } = await import("../../../scripts/cli/onEngines.ts");
const { settleVolumes } = await import("../../../scripts/cli/container.ts");

const said: string[] = [];
const never = new AbortController().signal;
const sweep = () => removeLeftovers(stack, { say: (line) => said.push(line), signal: never });
const boxId = async () => (await it.docker.getContainer(name).inspect()).Id;
const volumes = async () => ((await it.docker.listVolumes()).Volumes ?? []).map(({ Name }) => Name);
type Kept = { urn: string; type: string };
const editState = (keep: (state: Kept) => boolean) => {
  const state = JSON.parse(first.state) as { checkpoint: { latest: { resources: Kept[] } } };
  const { latest } = state.checkpoint;
  latest.resources = latest.resources.filter(keep);
  writeFileSync(first.stateFile, JSON.stringify(state));
};
const resources = () =>
  (JSON.parse(readFileSync(first.stateFile, "utf8")) as { checkpoint: { latest: { resources: Kept[] } } }).checkpoint
    .latest.resources;

beforeAll(async () => {
  if (missing) return;
  const host = {
    ...{ kind: "docker", docker: { host: it.host }, gpu: "none", image: IMAGE },
    sshPort: await freePort(),
  };
  settings = { host, webui: { port: await freePort() } };
  for (const work of [first, second]) work.tell({ settings });
  stack = { name: "t", settings: parseSettings(settings as never, "t") } as Stack;
});
afterAll(async () => {
  first.remove();
  second.remove();
  await it?.stop();
});

describe.skipIf(missing)(`copies of a stack on one Docker engine${missing ? ` (skipped: ${missing})` : ""}`, () => {
  test("another copy is refused by name, and so is a container that Atelier did not make; nothing of them is touched", async () => {
    expect((await first.run("up")).errors).toEqual([]);
    const before = await boxId();
    const other = (await second.run("up")).errors.join("\n");
    expect(other).toMatch(/the container atelier-t was made by another copy of the stack atelier\/t, whose state is/);
    expect(other).toMatch(
      /the volume atelier-t was made by another copy.*host\.volume: atelier-t.*Nothing of it was touched/,
    );
    expect(await boxId()).toBe(before);

    await it.docker.getContainer(name).rename({ name: "aside" });
    const theirs = await it.docker.createContainer({ name, Image: IMAGE });
    const refused = (await first.run("up")).errors.join("\n");
    expect(refused).toMatch(/the container atelier-t was not made by Atelier \(docker rename /);
    expect(refused).not.toContain("the volume");
    await theirs.remove();
    await it.docker.getContainer("aside").rename({ name });
  });

  test("a container that the state lost is known by its label, and gives way; `down` keeps volume and key for the next `up`", async () => {
    await sweep();
    expect(said).toEqual([]);
    // As kill -9 leaves it between the engine's answer and the state.
    editState(({ type }) => type !== "docker:index/container:Container");
    await sweep();
    expect(said).toEqual([
      expect.stringMatching(/^Removed the container atelier-t, which this stack's state does not/),
    ]);
    expect(await it.docker.listContainers({ all: true })).toEqual([]);

    const kept = resources().filter(boxOutlivesDown);
    expect(kept).toHaveLength(2);
    expect((await first.run("destroy", { excludes: kept.map(({ urn }) => urn) })).errors).toEqual([]);
    expect(resources().filter(boxOutlivesDown)).toEqual(kept);
    expect((await first.run("up")).errors).toEqual([]);
  });

  test("a purge never takes a volume of another copy, which came in the place of ours", async () => {
    expect(await volumesOfOthers(stack, never, { box: false, dify: false })).toEqual([]);
    await it.docker.getContainer(name).remove({ force: true });
    await it.docker.getVolume(name).remove();
    await it.docker.createVolume({ Name: name, Labels: { [fingerprintLabel]: "another" } });
    expect(await volumesOfOthers(stack, never, { box: false, dify: false })).toEqual([name]);
    await settleVolumes(stack, true, [name]);
    expect((await first.run("destroy")).errors).toEqual([]);
    expect(await volumes()).toEqual([name]);
  });
});
