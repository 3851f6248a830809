import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Call, openEngine } from "../../scripts/docker/engine.ts";
import { atMirror, getImages, namesOf } from "../../scripts/docker/images.ts";
import { look } from "../../scripts/docker/look.ts";
import { noRegistry, type Registry, startRegistry } from "../engine/docker/registry.ts";
import { IMAGE, startDocker, type TestDocker } from "../helpers/docker.ts";
import { noSshd, startSshd } from "../helpers/sshd.ts";

const { test: made, missing: noDocker } = await startDocker();
const it = made as TestDocker;
const missing = noDocker ?? noRegistry;
let registry: Registry;
let digest: string;
const said: string[] = [];
const call = (host: string): Call => ({
  engine: openEngine({ host }),
  signal: AbortSignal.timeout(540_000),
  say: (line) => said.push(line),
});

beforeAll(async () => {
  if (missing) return;
  registry = await startRegistry({ open: true });
  const repo = `${registry.address}/langgenius/dify-api`;
  await it.docker.getImage(IMAGE).tag({ repo, tag: "9.9.9" });
  const pushed = await it.docker.getImage(`${repo}:9.9.9`).push({ authconfig: { username: "x", password: "y" } });
  for await (const _ of pushed) {
    // To its end.
  }
  const { RepoDigests } = await it.docker.getImage(`${repo}:9.9.9`).inspect();
  digest = RepoDigests?.find((name) => name.startsWith(repo))?.split("@")[1] ?? "";
  await it.docker.getImage(`${repo}:9.9.9`).remove({ force: true });
});
afterAll(async () => {
  await registry?.stop();
  await it?.stop();
});

test("an image's name at a mirror has its digest, and the folder of Docker's own ones; another registry's has no mirror", () => {
  expect(atMirror("redis:6-alpine", "https://m.example.com/")).toBe("m.example.com/library/redis:6-alpine");
  expect(atMirror(`a/b:1@sha256:${"0".repeat(64)}`, "http://m:5000")).toBe(`m:5000/a/b:1@sha256:${"0".repeat(64)}`);
  expect(namesOf("ghcr.io/a/b:1", ["https://m.example.com"])).toEqual(["ghcr.io/a/b:1"]);
});

describe.skipIf(missing)(`images for a Docker engine${missing ? ` (skipped: ${missing})` : ""}`, () => {
  test("that nobody has are one error with every registry that was asked; offline, nobody is asked", async () => {
    const mirrors = ["http://127.0.0.1:1", `http://${registry.address}`];
    const images = { api: "langgenius/nope:1" };
    const input = { engine: { host: it.host }, token: "", images, mirrors: mirrors, offline: false };
    const refused = getImages(input, call(it.host));
    await expect(refused).rejects.toThrow(
      /could not get the image langgenius\/nope:1:\n {2}- 127\.0\.0\.1:1\/langgenius\/nope:1: .*\n {2}- 127\.0\.0\.1:\d+\/langgenius\/nope:1: .*\n {2}- langgenius\/nope:1: .*\n.*upstreams\.docker/s,
    );
    await expect(getImages({ ...input, offline: true }, call(it.host))).rejects.toThrow(/nothing may be fetched/);
  });

  test("come from the first mirror that gives them, held to their digest, and are known by their own name", async () => {
    const mirrors = ["http://127.0.0.1:1", `http://${registry.address}`];
    const wrong = `langgenius/dify-api:9.9.9@sha256:${"0".repeat(64)}`;
    const right = `langgenius/dify-api:9.9.9@${digest}`;
    const input = { engine: { host: it.host }, token: "", images: { api: wrong }, mirrors, offline: false };
    await expect(getImages(input, call(it.host))).rejects.toThrow(/could not get the image/);
    const { images } = await getImages({ ...input, images: { api: right, worker: right } }, call(it.host));
    const { Id } = await it.docker.getImage("langgenius/dify-api:9.9.9").inspect();
    expect(images).toEqual({ api: Id, worker: Id });
    expect(said.join("\n")).toContain("127.0.0.1:1/langgenius/dify-api:9.9.9");
    // By another name, too, where a build begins with it; also of one that is there already.
    await getImages({ ...input, images: { base: right }, tags: { base: "local/base:7" } }, call(it.host));
    expect((await it.docker.getImage("local/base:7").inspect()).Id).toBe(Id);
    // The second time nothing is asked for.
    expect(
      await getImages({ ...input, mirrors: mirrors.slice(1), images: { api: right }, offline: true }, call(it.host)),
    ).toEqual({ images: { api: Id } });
  });

  test.skipIf(noSshd)(
    `are looked at over ssh://, too${noSshd ? ` (skipped: ${noSshd})` : ""}`,
    async () => {
      const sshd = await startSshd();
      const known = join(sshd.dir, "known");
      const key = join(sshd.dir, "key");
      writeFileSync(known, `[127.0.0.1]:${sshd.port} ${sshd.hostKey}\n`);
      writeFileSync(key, sshd.privateKey, { mode: 0o600 });
      process.env.DOCKER_SSH_OPTS = `-o UserKnownHostsFile=${known} -i ${key} -o IdentitiesOnly=yes`;
      const host = `ssh://${sshd.user}@127.0.0.1:${sshd.port}${it.host.replace("unix://", "")}`;
      const over = call(host);
      try {
        const looks = {
          engine: { host },
          owner: "a/t",
          fingerprint: "f",
          containers: ["gone"],
          networks: [],
          joins: {},
          volumes: {},
          images: { a: IMAGE, b: "no:1" },
          mirrors: [],
          offline: true,
          plugins: [{ id: "a/b", version: "1.0" }],
        };
        expect(await look(looks, over)).toEqual({
          containers: { gone: "there is no container gone" },
          networks: {},
          volumes: {},
          images: { b: "there is no image no:1" },
          foreign: { containers: [], networks: [], volumes: [] },
          // Plugins may be installed already where there is a database.
          lacks: expect.stringMatching(/^nothing may be fetched .* has not: image no:1\. Nothing was made there\. /),
        });
      } finally {
        over.engine.close();
        delete process.env.DOCKER_SSH_OPTS;
        await sshd.stop();
      }
    },
    120_000,
  );
});
