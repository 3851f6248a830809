import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { strToU8, zipSync } from "fflate";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { makePackage } from "../../../rehearsal/dify/packages.ts";
import type { DifyContents } from "../../../scripts/cli/bundle/contents.ts";
import { blobPath, type Manifest, readManifest } from "../../../scripts/cli/bundle/manifest.ts";
import { readImageManifest } from "../../../scripts/cli/bundle/oci.ts";
import { readPluginPackage } from "../../../scripts/dify/difypkg.ts";
import { type Call, openEngine } from "../../../scripts/docker/engine.ts";
import { getImages } from "../../../scripts/docker/images.ts";
import { look } from "../../../scripts/docker/look.ts";
import { layWheels } from "../../../scripts/docker/wheels.ts";
import { noRegistry, type Registry, startRegistry } from "../../engine/docker/registry.ts";
import { bundleOfDify, platform, pushImage } from "../../helpers/bundle.ts";
import { IMAGE, startDocker, type TestDocker } from "../../helpers/docker.ts";
import { noSshd, startSshd } from "../../helpers/sshd.ts";
import { StubMarketplace } from "../../rehearsal/dify/stub-marketplace.ts";

const { test: made, missing: noDocker } = await startDocker();
const it = made as TestDocker;
const missing = noDocker ?? noRegistry;
const noNamespace =
  spawnSync("unshare", ["-n", "true"]).status === 0 ? undefined : "no network namespace may be made here";
const API = "langgenius/dify-api:9.9.9";
const folder = mkdtempSync(join(tmpdir(), "atelier-bundle-"));
const marketplace = new StubMarketplace();
const sd = makePackage("stablediffusion");
const identifier = readPluginPackage(sd)?.identifier ?? "";
const plugin = { id: "langgenius/stablediffusion", version: "0.0.7", identifier };
/** Stand-ins want nothing of PyPI. */
const noLock = expect.stringMatching(/^plugin langgenius\/stablediffusion 0\.0\.7 has no uv\.lock: /);
let registry: Registry;
/** Of the index that the registry has under the tag, and of the image's manifest in it. */
let index: string;
let manifest: string;

const create = (dify: Partial<DifyContents>, to = folder, said: string[] = []): Promise<Manifest> =>
  bundleOfDify(
    to,
    { marketplace: marketplace.url, ...dify },
    { mirrors: ["http://127.0.0.1:1", `http://${registry.address}`], said },
  );
const digestOf = (data: string | Uint8Array) => `sha256:${createHash("sha256").update(data).digest("hex")}`;
const call = (host = it.host): Call => ({
  engine: openEngine({ host }),
  signal: AbortSignal.timeout(540_000),
  say: () => {},
});
const load = (image: string, host = it.host) =>
  getImages({ engine: { host }, token: "", images: { api: image }, mirrors: [], offline: true }, call(host), folder);
const names = async () => (await it.docker.listImages()).flatMap(({ RepoTags }) => RepoTags ?? []).sort();
const forget = async () => {
  for (const name of await names()) if (name !== IMAGE) await it.docker.getImage(name).remove({ force: true });
};

/** Pushes the test engine's image, and puts an index of two platforms over it. */
async function publish(): Promise<void> {
  // Another configuration than the engine's own image: what is loaded is not there yet.
  const box = await it.docker.createContainer({ Image: IMAGE });
  await box.commit({ repo: "langgenius/dify-api", tag: "made", changes: "LABEL for=bundle" });
  await box.remove();
  await pushImage(it.docker, "langgenius/dify-api:made", registry);
  const manifests = `http://${registry.address}/v2/langgenius/dify-api/manifests`;
  // An engine that keeps its images in containerd pushes the second kind.
  const accept = "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json";
  const pushed = await fetch(`${manifests}/made`, { headers: { accept } });
  const type = pushed.headers.get("content-type");
  const bytes = Buffer.from(await pushed.arrayBuffer());
  manifest = digestOf(bytes);
  const [os, architecture] = platform.split("/");
  const text = JSON.stringify({
    schemaVersion: 2,
    mediaType: "application/vnd.docker.distribution.manifest.list.v2+json",
    manifests: [{ mediaType: type, digest: manifest, size: bytes.length, platform: { os, architecture } }],
  });
  index = digestOf(text);
  const put = await fetch(`${manifests}/9.9.9`, {
    method: "PUT",
    body: text,
    headers: { "content-type": "application/vnd.docker.distribution.manifest.list.v2+json" },
  });
  expect(put.status).toBe(201);
  await it.docker.getImage("langgenius/dify-api:made").remove({ force: true });
}

beforeAll(async () => {
  await marketplace.start();
  if (missing) return;
  registry = await startRegistry({ open: true });
  await publish();
});
afterAll(async () => {
  await marketplace.stop();
  await registry?.stop();
  await it?.stop();
  rmSync(folder, { recursive: true, force: true });
});

describe.skipIf(missing)(`Dify's part of a bundle${missing ? ` (skipped: ${missing})` : ""}`, () => {
  test("that nobody has, or that is another than the lock says, is one error with all of it", async () => {
    const to = join(folder, "none");
    const wrong = `sha256:${"0".repeat(64)}`;
    marketplace.packages.set(plugin.id, makePackage("stablediffusion", { readme: "another" }));
    const refused = create(
      {
        images: [{ image: API, digest: wrong }, { image: "langgenius/gone:1" }],
        plugins: [plugin, { id: "langgenius/tongyi", version: "0.2.13" }],
      },
      to,
    );
    const answered = `http://${registry.address}/v2/langgenius/dify-api/manifests/${wrong}: HTTP 404`;
    for (const line of [
      "The bundle is not whole",
      `image ${API}: could not be had at ${wrong}. Tried:`,
      answered,
      "image langgenius/gone:1: could not be had. Tried:",
    ])
      await expect(refused).rejects.toThrow(line);
    await expect(refused).rejects.toThrow(
      /plugin langgenius\/stablediffusion 0\.0\.7: what http:\S+ has is \S+@[0-9a-f]{64}; wanted: \S+\. It was thrown away/,
    );
    await expect(refused).rejects.toThrow(
      /plugin langgenius\/tongyi 0\.2\.13: no identifier of it is locked, and 127\.0\.0\.1:\d+ has no langgenius\/tongyi 0\.2\.13 any more/,
    );
    await expect(create({ images: [{ image: API }], platform: "linux/s390x" }, to)).rejects.toThrow(
      `${API} is there for ${platform}, not for linux/s390x`,
    );
    expect(existsSync(join(to, "bundle.json"))).toBe(false);
  });

  test("is taken from the first registry that has it, and from the marketplace by the package's own checksum", async () => {
    marketplace.packages.set(plugin.id, sd);
    const said: string[] = [];
    const { images, plugins, files } = await create(
      { images: [{ image: API, digest: index }], plugins: [plugin] },
      folder,
      said,
    );
    expect(images).toEqual([{ image: API, platform, digest: index, manifest }]);
    expect(plugins).toEqual([
      {
        ...plugin,
        path: "plugins/langgenius-stablediffusion_0.0.7.difypkg",
        bytes: sd.length,
        sha256: digestOf(sd).slice(7),
      },
    ]);
    for (const { path, sha256 } of files) expect(digestOf(readFileSync(join(folder, path))).slice(7)).toBe(sha256);
    expect(JSON.parse(readFileSync(join(folder, "images/index.json"), "utf8"))).toMatchObject({
      manifests: [{ digest: manifest, annotations: { "org.opencontainers.image.ref.name": API } }],
    });
    // A second time nothing is fetched; without a digest in the lock, the bundle's own is told. What was only computed, the marketplace is asked for.
    const again: string[] = [];
    const computed = { ...plugin, identifier: undefined, computed: `${plugin.id}:${plugin.version}@${"0".repeat(64)}` };
    expect((await create({ images: [{ image: API }], plugins: [computed] }, folder, again)).plugins).toEqual(plugins);
    expect(again).toEqual([`image ${API}: no digest is locked; the bundle holds it to ${index}`, noLock]);
    expect(marketplace.asked.filter((line) => line.includes("download"))).toHaveLength(2);
  });

  test("goes into an engine that has no registry: found by tag and digest afterwards, without the bundle", async () => {
    const pinned = `${API}@${index}`;
    const { images } = await load(pinned);
    const { Id } = await it.docker.getImage(API).inspect();
    expect(images).toEqual({ api: Id });
    expect(await names()).toEqual([API, IMAGE, `langgenius/dify-api:${index.replace(":", "-")}`].sort());
    const looks = {
      engine: { host: it.host },
      owner: "a/t",
      fingerprint: "f",
      containers: [],
      networks: [],
      joins: {},
      volumes: { "db-data": "of a password" },
      mirrors: [],
      offline: true,
      plugins: [],
    };
    expect((await look({ ...looks, images: { api: pinned } }, call())).images).toEqual({});
    // What neither has is told before anything is made, all at once.
    const { lacks } = await look(
      {
        ...looks,
        images: { api: pinned, redis: "redis:6-alpine", nginx: "nginx:1" },
        plugins: [plugin, { ...plugin, identifier: `${plugin.id}:0.0.1@0` }, { id: "langgenius/ollama", version: "1" }],
      },
      call(),
      folder,
    );
    expect(lacks).toContain(
      `has: image redis:6-alpine, image nginx:1, plugin ${plugin.id} ${plugin.version}, plugin langgenius/ollama 1. Nothing`,
    );
    const offline = { engine: { host: it.host }, token: "", mirrors: [], offline: true };
    expect(await getImages({ ...offline, images: { api: pinned } }, call())).toEqual({ images });
    // It runs.
    const box = await it.docker.createContainer({ Image: Id, Cmd: ["true"], HostConfig: { NetworkMode: "none" } });
    await box.start();
    expect(await box.wait()).toMatchObject({ StatusCode: 0 });
    await box.remove();

    // What has the tag and is another image is not taken for it.
    await forget();
    await it.docker.getImage(IMAGE).tag({ repo: "langgenius/dify-api", tag: "9.9.9" });
    expect(await load(API)).toEqual({ images });
    await forget();
  });

  test.skipIf(noNamespace)(
    `goes into it without any network${noNamespace ? ` (skipped: ${noNamespace})` : ""}`,
    async () => {
      const main = join(import.meta.dirname, "../../../scripts/docker/main.ts");
      const { status, stdout, stderr } = spawnSync("unshare", ["-n", process.execPath, main, "images"], {
        input: JSON.stringify({ engine: { host: it.host }, images: { api: `${API}@${index}` }, offline: true }),
        env: { ...process.env, ATELIER_BUNDLE: folder },
        encoding: "utf8",
      });
      expect([status, stderr]).toEqual([0, expect.stringContaining("is there (1 of 1)")]);
      expect(JSON.parse(stdout)).toEqual({ images: { api: (await it.docker.getImage(API).inspect()).Id } });
      await forget();
    },
    30_000,
  );

  test.skipIf(noSshd)(
    `goes over ssh://, too${noSshd ? ` (skipped: ${noSshd})` : ""}`,
    async () => {
      const sshd = await startSshd();
      const known = join(sshd.dir, "known");
      const key = join(sshd.dir, "key");
      writeFileSync(known, `[127.0.0.1]:${sshd.port} ${sshd.hostKey}\n`);
      writeFileSync(key, sshd.privateKey, { mode: 0o600 });
      process.env.DOCKER_SSH_OPTS = `-o UserKnownHostsFile=${known} -i ${key} -o IdentitiesOnly=yes`;
      try {
        const host = `ssh://${sshd.user}@127.0.0.1:${sshd.port}${it.host.replace("unix://", "")}`;
        const { images } = await load(API, host);
        expect(images.api).toBe((await it.docker.getImage(API).inspect()).Id);
      } finally {
        delete process.env.DOCKER_SSH_OPTS;
        await sshd.stop();
        await forget();
      }
    },
    60_000,
  );

  test("has the Python packages that a plugin's own lock names, and lays them into a volume as an index", async () => {
    const [fits, other] = ["a-1.0-py3-none-any.whl", "b-1.0-cp312-cp312-win_amd64.whl"];
    const files = { [fits as string]: "for every system", [other as string]: "for Windows", "a-1.0.tar.gz": "source" };
    const of = (file: string) => ({ file, hash: digestOf(files[file] ?? "") });
    const index = createServer(({ url = "" }, answer) => {
      const [, name] = /^\/simple\/(\w)\/$/.exec(url) ?? [];
      const file = url.slice("/files/".length);
      const links = Object.keys(files).filter((one) => name && one.startsWith(`${name}-`));
      if (links.length > 0)
        answer
          .setHeader("content-type", "text/html")
          .end(links.map((one) => `<a href="/files/${one}#${of(one).hash.replace(":", "=")}">${one}</a>`).join("\n"));
      else if (file in files) answer.end(files[file]);
      else answer.writeHead(404).end();
    });
    await new Promise<void>((listens) => index.listen(0, "127.0.0.1", listens));
    const base = `http://127.0.0.1:${(index.address() as AddressInfo).port}`;
    const locked = (name: string, of: { file: string; hash: string }[]) =>
      `[[package]]\nname = "${name}"\nversion = "1.0"\n${of.map(({ file, hash }) => `{ url = "${base}/${file}", hash = "${hash}" },\n`).join("")}\n`;
    const difypkg = join(folder, "p.difypkg");
    writeFileSync(
      difypkg,
      zipSync({
        "manifest.yaml": strToU8("author: x\nname: p\nversion: 1.0.0\nmeta: { runner: { version: '3.12' } }\n"),
        "uv.lock": strToU8(
          `version = 1\n\n${locked("a", [of("a-1.0.tar.gz"), of(fits as string)])}${locked("b", [of(other as string)])}`,
        ),
      }),
    );
    const to = join(folder, "wheels");
    const own = { plugins: [{ id: "x/p", version: "1.0.0", package: difypkg }] };
    const said: string[] = [];
    const { pluginWheels } = await bundleOfDify(to, own, { pypi: [`${base}/simple`], said });
    index.close();
    expect(pluginWheels.map(({ path }) => path)).toEqual([`plugins/wheels/${fits}`, `plugins/wheels/${other}`]);

    const input = {
      engine: { host: it.host },
      token: "",
      volume: "wheels",
      image: IMAGE,
      name: "filler",
      labels: { "atelier.dify": "a/t" },
    };
    // Without a bundle nothing is touched.
    expect(await layWheels(input, call())).toEqual({ files: 0 });
    expect(await layWheels(input, call(), to)).toEqual({ files: 2 });
    const box = await it.docker.createContainer({
      Image: IMAGE,
      Cmd: ["sh", "-c", "cat /w/simple/a/index.html /w/wheels/a-*"],
      HostConfig: { NetworkMode: "none", Mounts: [{ Type: "volume", Source: "wheels", Target: "/w" }] },
    });
    await box.start();
    await box.wait();
    const printed = (await box.logs({ stdout: true })).toString();
    expect(printed).toContain(`<a href="/wheels/${fits}#${of(fits as string).hash.replace(":", "=")}">`);
    expect(printed).toContain("for every system");
    expect((await it.docker.listContainers({ all: true })).map(({ Names }) => Names)).toHaveLength(1);
    await box.remove();

    writeFileSync(join(to, "plugins/wheels", fits as string), "FOR every system");
    await expect(layWheels(input, call(), to)).rejects.toThrow(/is broken: the sha256 of plugins\/wheels\/a-1\.0/);
    await it.docker.getVolume("wheels").remove();
  });

  test("that is not in the bundle, or another there than the lock says, is refused by name", async () => {
    await expect(load("redis:6-alpine")).rejects.toThrow(
      `The bundle ${folder} (made for t) has no image redis:6-alpine; it has ${API}. \`npx atelier bundle create ${folder}`,
    );
    const other = `sha256:${"1".repeat(64)}`;
    await expect(load(`${API}@${other}`)).rejects.toThrow(`has the image ${API} at ${index}; wanted: ${other}`);
    const path = join(folder, "bundle.json");
    const text = readFileSync(path, "utf8");
    writeFileSync(path, text.replace(platform, "linux/s390x"));
    await expect(load(API)).rejects.toThrow(
      `has the image ${API} for linux/s390x; the Docker engine at ${it.host} is ${platform}`,
    );
    writeFileSync(path, text);
    expect(await names()).toEqual([IMAGE]);
  });

  test("with a byte changed or a part missing is not loaded at all", async () => {
    const { layers, config } = readImageManifest(readFileSync(join(folder, blobPath(manifest))));
    const part = join(folder, blobPath(layers[0]?.digest ?? ""));
    const whole = readFileSync(part);
    const broken = Buffer.from(whole);
    broken[100] = (broken[100] ?? 0) ^ 1;
    writeFileSync(part, broken);
    await expect(load(API)).rejects.toThrow(
      /is broken: images\/blobs\/sha256\/[0-9a-f]{64} of the image langgenius\/dify-api:9\.9\.9 has the digest sha256:[0-9a-f]{64}\. Nothing of it was loaded/,
    );
    expect(await names()).toEqual([IMAGE]);
    truncateSync(part, 10);
    await expect(load(API)).rejects.toThrow(/is not whole: images\/blobs\/sha256\//);
    // The same command mends it, with that part alone.
    const said: string[] = [];
    await create({ images: [{ image: API, digest: index }], plugins: [plugin] }, folder, said);
    expect(said).toEqual([expect.stringMatching(`^image ${API}: \\d+ kB|MB$`), noLock]);
    expect(readFileSync(part).equals(whole)).toBe(true);

    // Another configuration under the same manifest entry: the chain of digests breaks.
    const settings = join(folder, blobPath(config.digest));
    const text = readFileSync(settings, "utf8");
    writeFileSync(settings, text.replace("linux", "lInux"));
    await expect(load(API)).rejects.toThrow(/is broken/);
    writeFileSync(settings, text);
    expect(readManifest(folder).images).toHaveLength(1);
  });
});
