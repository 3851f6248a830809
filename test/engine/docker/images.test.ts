import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Secret } from "../../../engine/src/values.ts";
import { IMAGE as BASE, startDocker, type TestDocker } from "../../helpers/docker.ts";
import { CONTAINER, type Harness, harness, IMAGE, REMOTE_IMAGE } from "./harness.ts";
import { noRegistry, REGISTRY_PASSWORD, type Registry, startRegistry, USER } from "./registry.ts";

const started = noRegistry === undefined ? await startDocker() : { missing: noRegistry };
const missing = started.missing;
const it = started.test as TestDocker;
const dir = mkdtempSync(join(tmpdir(), "docker-images-"));
let registry: Registry;
let open: Harness;
let known: Harness;

beforeAll(async () => {
  if (missing) return;
  registry = await startRegistry();
  process.env.DOCKER_CONFIG = join(dir, "no-such-folder");
  open = await harness({ host: it.host }, dir);
  const login = [{ address: `http://${registry.address}`, username: USER, password: REGISTRY_PASSWORD }];
  known = await harness({ host: it.host, registryAuth: new Secret(JSON.stringify(login)) }, dir);
  mkdirSync(join(dir, "app", "logs"), { recursive: true });
  writeFileSync(
    join(dir, "app", "Dockerfile"),
    `FROM ${BASE}\nARG WORD\nCOPY . /app\nRUN chmod 600 /app/note && echo "$WORD" > /word\n`,
  );
  writeFileSync(join(dir, "app", "note"), "a note");
  writeFileSync(join(dir, "app", "logs", "old"), "not wanted");
  writeFileSync(join(dir, "app", "logs", "keep"), "wanted");
  writeFileSync(join(dir, "app", ".dockerignore"), "# comment\nDockerfile\nlogs\n!logs/keep\n");
  symlinkSync("note", join(dir, "app", "link"));
  symlinkSync("/only/in/the/image", join(dir, "app", "elsewhere"));
});
afterAll(async () => {
  delete process.env.DOCKER_CONFIG;
  await open?.provider.close();
  await known?.provider.close();
  await registry?.stop();
  await it?.stop();
  rmSync(dir, { recursive: true, force: true });
});

const build = { context: "app", dockerfile: "app/Dockerfile", args: { WORD: "hello" } };
const named = (tag: string) => `${registry.address}/team/app:${tag}`;

async function run(image: string, command: string): Promise<string> {
  const made = await open.create(CONTAINER, {
    image,
    command: ["/bin/sh", "-c", command],
    attach: true,
    logs: true,
    mustRun: false,
    networkMode: "none",
  });
  await open.delete(made);
  return String(made.outputs.containerLogs);
}

describe.skipIf(missing)(`images${missing ? ` (skipped: ${missing})` : ""}`, () => {
  test("a build that fails says its last lines; one without its Dockerfile where to put it", async () => {
    const said = 'RUN echo "so far $((3 + 4)) $WORD" >&2 && exit 7';
    writeFileSync(join(dir, "app", "Broken"), `FROM ${BASE}\nARG WORD\n${said}\n`);
    for (const builderVersion of ["BuilderV1", "BuilderBuildKit"]) {
      const failing = open.create(IMAGE, {
        imageName: "local/broken:1",
        skipPush: true,
        build: { ...build, args: { WORD: new Secret("w0rd-of-the-test") }, dockerfile: "app/Broken", builderVersion },
      });
      const { message } = await failing.then(
        () => Promise.reject(new Error("it did not fail")),
        (error: Error) => error,
      );
      expect(message).toMatch(
        /cannot build the image local\/broken:1: .*exit 7[\s\S]*Its last lines:[\s\S]*\n {2}so far 7 /,
      );
      expect(message).not.toContain("w0rd-of-the-test");
      expect(message).not.toContain("\u001b");
      // The first builder keeps the container of a failed step, unless it is told otherwise.
      expect(await it.docker.listContainers({ all: true })).toEqual([]);
    }
    const { failures } = await open.check(IMAGE, {
      imageName: "a/b:1",
      build: { context: "app", dockerfile: "Broken" },
    });
    expect(failures).toMatchObject([
      {
        property: "build.dockerfile",
        reason: expect.stringMatching(/^there is no file .*Broken; .*set it to "app\/Broken"$/),
      },
      { property: "imageName", reason: expect.stringContaining("names no registry") },
    ]);
    rmSync(join(dir, "app", "Broken"));
  });

  test("both builders send what .dockerignore leaves, with modes and links, and know their arguments", async () => {
    for (const builderVersion of ["BuilderV1", "BuilderBuildKit"]) {
      const made = await open.create(IMAGE, {
        imageName: "local/built:1",
        skipPush: true,
        build: { ...build, builderVersion },
      });
      expect(made.outputs.repoDigest).toMatch(/^sha256:[0-9a-f]{64}$/);
      const said = await run("local/built:1", "cat /word; cd /app; ls -A logs; stat -c %a note; cat link");
      expect(said).toBe("hello\nkeep\n600\na note");
      expect(
        (await open.diff(made, { imageName: "local/built:1", skipPush: true, build: { ...build, builderVersion } }))
          .changes,
      ).toBe("none");
    }
  });

  test("a Dockerfile outside of its context, a target, and a cache that is not there; in a preview only where that is wanted", async () => {
    writeFileSync(
      join(dir, "Outside"),
      `FROM ${BASE} AS first\nRUN echo first > /which\nFROM first\nRUN echo second > /which\n`,
    );
    const inputs = {
      imageName: "local/outside:1",
      skipPush: true,
      buildOnPreview: true,
      build: { context: "app", dockerfile: "Outside", target: "first" },
    };
    const seen = await open.create(IMAGE, { ...inputs, buildOnPreview: false }, { preview: true });
    expect([seen.id, seen.outputs.repoDigest]).toEqual(["", undefined]);
    const built = await open.create(IMAGE, inputs, { preview: true });
    expect([built.id, built.outputs.dockerfile]).toEqual(["", "../Outside"]);
    expect(await run("local/outside:1", "cat /which")).toBe("first\n");
    const cacheFrom = { images: [named("cache")] };
    const made = await open.create(IMAGE, {
      ...inputs,
      imageName: named("cached"),
      build: { ...inputs.build, cacheFrom },
    });
    expect(open.lines.join("\n")).toMatch(/cacheFrom 127.*:cache: cannot pull .*The image is built without it/);
    expect(made.outputs.repoDigest).toBe(built.outputs.repoDigest);
  });

  test("a push with a wrong login is refused; with the right one the image has a digest there, which a change of the password leaves alone", async () => {
    const inputs = { imageName: named("1"), build };
    const registryInputs = (password: string) => ({
      ...inputs,
      registry: { server: registry.address, username: USER, password },
    });
    const wrong = open.create(IMAGE, registryInputs("wr0ng-password"));
    await expect(wrong).rejects.toThrow(/cannot push/);
    await expect(wrong).rejects.not.toThrow(/wr0ng/);
    const made = await open.create(IMAGE, registryInputs(REGISTRY_PASSWORD));
    expect(made.outputs.repoDigest).toMatch(/^127\.0\.0\.1:\d+\/team\/app@sha256:[0-9a-f]{64}$/);
    expect(made.inputs.registry).toMatchObject({ username: USER, password: expect.any(Secret) });
    expect((await open.diff(made, registryInputs("another"))).changes).toBe("none");
    expect(await open.diff(made, { ...inputs, build: { ...build, args: { WORD: "servus" } } })).toMatchObject({
      changes: "some",
      replaceKeys: [],
    });
    expect(open.lines.join("\n")).not.toContain(REGISTRY_PASSWORD);
  });

  test("an image is pulled with the provider's login, is found gone, and goes with its resource; its digest is asked for", async () => {
    const name = named("1");
    await it.docker.getImage(name).remove();
    await expect(open.create(REMOTE_IMAGE, { name })).rejects.toThrow(
      /cannot pull the image .*no basic auth credentials\. Give the provider a registryAuth/,
    );
    const asked = open.provider.invoke?.("docker:index/getRegistryImage:getRegistryImage", { name });
    await expect(asked).rejects.toThrow(/cannot ask https:\/\/127\.0\.0\.1:\d+ for the digest/);

    const token = "docker:index/getRegistryImage:getRegistryImage";
    const { result } = (await known.provider.invoke?.(token, { name })) ?? {};
    const made = await known.create(REMOTE_IMAGE, { name });
    expect(made.id).toBe(`${made.outputs.imageId}${name}`);
    expect(made.outputs.repoDigest).toBe(`${name.replace(/:1$/, "")}@${result?.sha256Digest}`);
    const byDigest = await known.create(REMOTE_IMAGE, { name: String(made.outputs.repoDigest), keepLocally: true });
    expect(byDigest.outputs.imageId).toBe(made.outputs.imageId);
    const local = await known.provider.invoke?.("docker:index/getRemoteImage:getRemoteImage", { name });
    expect(local?.result.repoDigest).toBe(made.outputs.repoDigest);

    expect(await known.read(made)).toMatchObject({ id: made.id });
    expect(await known.diff(made, { name, pullTriggers: ["2"] })).toMatchObject({
      replaceKeys: ["pullTriggers"],
      deleteBeforeReplace: true,
    });
    expect(await known.diff(made, { name: named("2") })).toMatchObject({
      replaceKeys: ["name"],
      deleteBeforeReplace: false,
    });
    await known.delete(byDigest);
    expect(await known.read(made)).toBeDefined();
    await known.delete(made);
    expect(await known.read(made)).toBeUndefined();
    await expect(known.provider.invoke?.("docker:index/getRemoteImage:getRemoteImage", { name })).rejects.toThrow(
      /has no image .*RemoteImage pulls/,
    );
    await expect(known.create(REMOTE_IMAGE, { name: named("none") })).rejects.toThrow(
      /(manifest unknown|not found).*no such tag or digest/,
    );
  });

  test("an image that a container is made of stays, and the error says what to do", async () => {
    const made = await open.create(REMOTE_IMAGE, { name: BASE });
    const box = await it.docker.createContainer({ Image: BASE });
    await expect(open.delete(made)).rejects.toThrow(/409: .*Remove that container first, or set keepLocally/);
    await box.remove();
    expect(await open.read(made)).toBeDefined();
  });

  test("a registry that takes no more requests is told with the ways around it", async () => {
    const errors = [{ code: "TOOMANYREQUESTS", message: "You have reached your pull rate limit." }];
    const busy = createServer(({ url }, response) =>
      response.writeHead(url === "/v2/" ? 200 : 429).end(JSON.stringify({ errors })),
    ).listen(0, "127.0.0.1");
    await once(busy, "listening");
    const name = `127.0.0.1:${(busy.address() as AddressInfo).port}/team/app:1`;
    try {
      await expect(open.create(REMOTE_IMAGE, { name })).rejects.toThrow(
        /toomanyrequests: You have reached your pull rate limit\. Wait, or pull with a login \(registryAuth\) or from a mirror/,
      );
    } finally {
      busy.close();
    }
  });
});
