import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { formatDuration, parseDuration } from "../../../engine/src/duration.ts";
import { parseGpus } from "../../../engine/src/providers/docker/container/gpus.ts";
import { diffResource } from "../../../engine/src/providers/docker/diff.ts";
import { parseImage } from "../../../engine/src/providers/docker/registry/reference.ts";
import { tables } from "../../../engine/src/providers/docker/schema/tables.ts";
import { type PropertyMap, Secret, Unknown } from "../../../engine/src/values.ts";
import { CONTAINER, harness, type Made, NETWORK, REMOTE_IMAGE, VOLUME } from "./harness.ts";

const { check, diff, create } = await harness({ host: "unix:///nowhere" });

interface Stored {
  type: string;
  id: string;
  inputs: PropertyMap;
  outputs: PropertyMap;
}
const golden = JSON.parse(
  readFileSync(join(import.meta.dirname, "..", "..", "golden", "pulumi", "01-up.json"), "utf8"),
) as {
  checkpoint: { latest: { resources: Stored[] } };
};
const stored = (type: string) =>
  golden.checkpoint.latest.resources.find((resource) => resource.type === type) as Stored;

describe("inputs", () => {
  test("that are unknown, missing, wrong, contradictory or not covered are all refused at once, by name", async () => {
    const { failures } = await check(CONTAINER, {
      imagee: "x",
      restart: "sometimes",
      memory: "64",
      ports: [{ external: 80 }],
      healthcheck: { interval: "soon", test: [] },
      mounts: [{ type: "bind", target: "/x", volumeOptions: {} }],
      volumes: [{ volumeName: "v" }],
      uploads: [{ file: "/f", content: "a", source: "b" }],
      envs: ["no value"],
      gpus: "most",
      exitCode: 1,
    });
    expect(failures.map(({ property, reason }) => `${property}: ${reason.slice(0, 40)}`).sort()).toEqual([
      "envs[0]: expected NAME=value",
      "exitCode: is an output, not an input",
      'gpus: gpus is "most"; it can be "all", a numbe',
      'healthcheck.interval: expected a duration such as "30s" or "1m',
      "healthcheck.test: unknown property; accepted are interval,",
      "image: missing, but required",
      "imagee: unknown property; accepted are attach, c",
      "memory: expected a whole number, got a string",
      "mounts[0]: the mount of /x is of type bind, but has",
      "ports[0].internal: missing, but required",
      'restart: expected one of "no", "on-failure", "alw',
      "uploads[0]: content and source can't both be given",
      "volumes[0]: an entry of volumes must have either a c",
    ]);
    expect((await check(REMOTE_IMAGE, { name: "x", build: { context: "." } })).failures).toMatchObject([
      {
        property: "build",
        reason: expect.stringMatching(/^not covered by the embedded engine: build images with docker\.Image/),
      },
    ]);
    expect((await check(VOLUME, { cluster: {} })).failures).toMatchObject([{ property: "cluster" }]);
  });

  test("get a name that stays, and defaults that are known as such; secrets and unknowns stay what they are", async () => {
    const { inputs } = await check(CONTAINER, {
      image: Unknown.value,
      envs: new Secret(["A=1"]),
      healthcheck: { tests: ["CMD", "x"] },
    });
    expect(inputs.name).toMatch(/^it-[0-9a-f]{7}$/);
    expect(inputs).toMatchObject({
      image: Unknown.value,
      envs: new Secret(["A=1"]),
      mustRun: true,
      healthcheck: { interval: "0s", __defaults: ["interval", "startInterval", "startPeriod", "timeout"] },
    });
    expect(inputs.attach).toBeUndefined();
    const again = await check(CONTAINER, { image: "x" }, inputs);
    expect(again.inputs.name).toBe(inputs.name);
    expect((await check(CONTAINER, { image: "x", name: "mine" }, inputs)).inputs.name).toBe("mine");
  });
});

describe("differences", () => {
  test("what the official provider wrote is no change, and what a program changes in it is", () => {
    for (const type of [NETWORK, VOLUME, CONTAINER]) {
      const { inputs, outputs } = stored(type);
      const plain = { ...inputs, ...(type === CONTAINER && { envs: [] }) };
      expect(diffResource(tables[type] as never, outputs, plain)).toMatchObject({
        changes: "none",
        deleteBeforeReplace: type === CONTAINER,
      });
    }
    const { inputs, outputs } = stored(CONTAINER);
    const of = (more: PropertyMap) =>
      diffResource(tables[CONTAINER] as never, outputs, { ...inputs, envs: [], ...more });
    expect(of({ restart: "always" })).toMatchObject({ changedKeys: ["restart"], replaceKeys: [] });
    expect(of({ image: Unknown.value })).toMatchObject({ replaceKeys: ["image"] });
    expect(of({ networksAdvanced: [{ name: "net-595c2f4", aliases: ["web", "more"] }] })).toMatchObject({
      replaceKeys: ["networksAdvanced"],
    });
    expect(of({ labels: null }).changes).toBe("none");
    expect(of({ uploads: [] })).toMatchObject({ replaceKeys: ["uploads"] });
  });

  test("of order where it says nothing, and of words that mean the same, are none", async () => {
    const inputs = {
      image: "x",
      name: "n",
      envs: ["A=1", "B=2"],
      ports: [{ internal: 80 }, { internal: 443, external: 8443 }],
    };
    const outputs: PropertyMap = {
      ...inputs,
      ports: [
        { internal: 443, external: 8443, ip: "0.0.0.0", protocol: "tcp" },
        { internal: 80, external: 32768, ip: "0.0.0.0", protocol: "tcp" },
      ],
      networkMode: "bridge",
      mustRun: true,
      removeVolumes: true,
      restart: "no",
      start: true,
      waitTimeout: 60,
      containerReadRefreshTimeoutMilliseconds: 15000,
      capabilities: { adds: ["CAP_SYS_ADMIN"], drops: [] },
      healthcheck: { tests: [], interval: "1m30s" },
    };
    const made: Made = { type: CONTAINER, id: "1", inputs, outputs };
    const same = {
      ...inputs,
      envs: ["B=2", "A=1"],
      capabilities: { adds: ["sys_admin"] },
      healthcheck: { interval: "90s" },
    };
    expect(await diff(made, same)).toMatchObject({ changes: "none" });
    expect(await diff(made, { ...same, ports: [{ internal: 80 }] })).toMatchObject({ replaceKeys: ["ports"] });
    expect(await diff(made, { ...same, ports: [{ internal: 80 }, { internal: 443, external: 8444 }] })).toMatchObject({
      replaceKeys: ["ports[1]"],
    });
  });

  test("a preview knows the inputs, and that the engine will say the rest", async () => {
    const { id, outputs } = await create(CONTAINER, { image: "x", envs: new Secret(["A=1"]) }, { preview: true });
    expect([id, outputs.image, outputs.envs, outputs.hostname, outputs.exitCode]).toEqual([
      "",
      "x",
      new Secret(["A=1"]),
      Unknown.value,
      Unknown.value,
    ]);
  });
});

describe("words", () => {
  test("durations, as Go reads and prints them", () => {
    const pairs = { "0s": 0, "90s": 90e9, "1h0m1s": 3601e9, "1.5s": 1.5e9, "500ms": 5e8, "10us": 1e4 };
    for (const [text, nanoseconds] of Object.entries(pairs)) expect(parseDuration(text)).toBe(nanoseconds);
    for (const text of ["", "5", "1d", "s", "1 s"]) expect(parseDuration(text)).toBeUndefined();
    expect([90e9, 3601e9, 3600e9, 1.5e9, 5e8, 1e4, 0].map(formatDuration)).toEqual([
      "1m30s",
      "1h0m1s",
      "1h0m0s",
      "1.5s",
      "500ms",
      "10µs",
      "0s",
    ]);
  });

  test("names of images", () => {
    expect(parseImage("alpine")).toMatchObject({
      registry: "docker.io",
      repository: "library/alpine",
      tag: "latest",
      familiar: "alpine",
    });
    expect(parseImage("docker.io/a/b:1")).toMatchObject({
      registry: "docker.io",
      repository: "a/b",
      tag: "1",
      familiar: "docker.io/a/b",
    });
    expect(parseImage("localhost:5000/x@sha256:ab")).toMatchObject({
      registry: "localhost:5000",
      repository: "x",
      tag: "",
      digest: "sha256:ab",
    });
    expect(parseImage("ghcr.io/o/r/i:v1@sha256:ab")).toMatchObject({
      registry: "ghcr.io",
      repository: "o/r/i",
      tag: "v1",
      digest: "sha256:ab",
    });
  });

  test("gpus, as docker run takes them", () => {
    expect(parseGpus("all")).toEqual({ Count: -1, Capabilities: [["gpu"]] });
    expect(parseGpus("2")).toMatchObject({ Count: 2 });
    for (const text of ["device=0,2", '"device=0,2"'])
      expect(parseGpus(text)).toEqual({ DeviceIDs: ["0", "2"], Capabilities: [["gpu"]] });
    expect(parseGpus("driver=nvidia,capabilities=compute")).toEqual({
      Driver: "nvidia",
      Count: 1,
      Capabilities: [["compute", "gpu"]],
    });
    expect(() => parseGpus("some=thing")).toThrow(/it can be "all"/);
  });
});
