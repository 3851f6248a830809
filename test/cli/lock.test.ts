import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { catalog } from "../../images/catalog.ts";
import { type AtelierLock, disagreements, lockOfFiles, lockPath, readAtelierLock } from "../../images/lock.ts";
import { renderLock } from "../../images/lock-render.ts";
import { Project } from "../e2e/project.ts";

describe("images/atelier.lock", () => {
  it("is what the files of images/ say: run `npx atelier lock` after a change", () => {
    expect(disagreements(readAtelierLock())).toEqual([]);
  });

  it("is written the same for the same content, and read as it was", () => {
    const lock = readAtelierLock();
    expect(readFileSync(lockPath, "utf8")).toBe(renderLock(lock));
    expect(parse(renderLock(lock))).toEqual(JSON.parse(JSON.stringify(lock)));
    const backwards = { ...lock, seen: { git: {}, packages: { b: "1", a: "2" }, models: {} } };
    expect(renderLock(backwards)).toMatch(/a: "2"\n\s+b: "1"/);
  });

  it("says each thing that differs, by its name", () => {
    const files = lockOfFiles();
    const [first, ...others] = files.sources;
    const changed: AtelierLock = {
      ...files,
      sources: [{ ...(first as (typeof files.sources)[number]), commit: "0".repeat(40) }, ...others.slice(1)],
      wheels: {
        ...files.wheels,
        uv: { ...(files.wheels.uv as AtelierLock["wheels"][string]), sha256: "1".repeat(64) },
      },
      models: files.models.map((model, index) => (index === 0 ? { ...model, sha256: "2".repeat(64) } : model)),
      dify: {
        images: { ...files.dify.images, "gone:1": `sha256:${"3".repeat(64)}` },
        plugins: { "a/b": { version: "1.0.0", identifier: `a/b:1.0.0@${"4".repeat(64)}` } },
      },
    };
    const lines = disagreements(changed, files).join("\n");
    expect(lines).toContain(`source ${first?.name}: the lock has ${"0".repeat(40)}, the files have ${first?.commit}`);
    expect(lines).toContain(`source ${others[0]?.name}: the lock has none`);
    expect(lines).toContain("wheels/uv.txt");
    expect(lines).toMatch(/Dify's images: the lock has .*gone:1/);
    expect(lines).toContain("plugin a/b: the lock has 1.0.0, the files have none");
    expect(lines).toContain("plugin langgenius/ollama: the lock has none, the files have 1.0.0");
    expect(lines).toContain(`model ${files.models[0]?.name}, sha256`);
  });
});

describe("atelier lock", () => {
  let project: Project;
  let server: Server;
  let base: string;
  const silent = "http://127.0.0.1:1/";
  const webui = lockOfFiles().sources.find(({ name }) => name === "webui");
  const model = catalog.find(({ bytes, sha256 }) => bytes !== undefined && sha256 !== undefined);
  /** A model whose hash this clone does not know. */
  const unknown = catalog.findLast(({ sha256 }) => sha256 !== undefined);
  /** What the upstreams say of a thing now. */
  const now = { tag: webui?.commit ?? "", head: "a".repeat(40), sha256: model?.sha256 ?? "", yanked: false };

  const upstreams = (url: string) =>
    project.settings({
      host: { kind: "local", gpu: "none" },
      upstreams: {
        profile: "direct",
        git: [`${url}git/`],
        pypi: [`${url}simple`],
        huggingface: [`${url}hf/`],
        modelscope: [`${url}ms/`],
      },
    });
  const lockFile = () => join(project.dir, "images", "atelier.lock");

  beforeAll(async () => {
    project = new Project();
    // Addresses that stand in the catalog itself would be asked, too.
    project.edit("images/models.ts", (text) =>
      text
        .replace(`    sha256: "${unknown?.sha256}",\n`, "")
        .replaceAll(/"https:\/\/[\w.-]+\/|`https:\/\/[\w.-]+\//g, (start) => `${start[0]}${silent}`),
    );
    project.edit("images/atelier.lock", (text) => text.replace(`    sha256: ${unknown?.sha256}\n`, ""));
    server = createServer((request, response) => {
      const path = request.url ?? "";
      if (path.startsWith(`/git/${webui?.paths[0]}/info/refs`))
        response.end(`${now.head}\tHEAD\n${now.head}\trefs/heads/master\n${now.tag}\trefs/tags/v1.10.1\n`);
      else if (path.startsWith(`/git/${webui?.paths[0]}/HEAD`)) response.end("ref: refs/heads/master\n");
      else if (path.startsWith("/simple/six") || path.startsWith("/simple/supervisor")) {
        const name = path.split("/")[2] ?? "";
        const locked = readFileSync(join(project.dir, "images/wheels/supervisor.txt"), "utf8");
        const sha256 = /sha256:([0-9a-f]{64})/.exec(locked)?.[1];
        response.setHeader("content-type", "application/vnd.pypi.simple.v1+json");
        const files = [
          { filename: `${name}-9.9.9-py3-none-any.whl`, url: "/f", hashes: { sha256 }, yanked: now.yanked },
        ];
        response.end(JSON.stringify({ files }));
      } else if (request.method === "HEAD" && path.endsWith(`/${model?.file}`)) {
        response.writeHead(200, { "x-linked-size": model?.bytes ?? 0, "x-linked-etag": `"${now.sha256}"` }).end();
      } else response.writeHead(404).end("not found");
    });
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  });
  afterAll(async () => {
    server.close();
    await project.remove();
  });

  it("takes in what was recorded at a first download, and what the upstreams show; a second time changes nothing", async () => {
    await upstreams(base);
    const recorded = {
      file: unknown?.file,
      bytes: 4711,
      sha256: "c".repeat(64),
      source: "http://localhost/",
      at: "2026-11-24",
    };
    mkdirSync(project.home, { recursive: true });
    writeFileSync(join(project.home, "recorded.json"), JSON.stringify({ models: { [unknown?.name ?? ""]: recorded } }));
    const said = await project.atelier(["lock"]);
    expect(said.exitCode, said.all).toBe(0);
    expect(said.all).toContain(`${unknown?.name}: recorded at its first verified download`);
    const lock = readAtelierLock(lockFile());
    expect(lock.models.find(({ name }) => name === unknown?.name)).toMatchObject({
      sha256: "c".repeat(64),
    });
    expect(lock.seen?.git[webui?.paths[0] ?? ""]).toEqual({ HEAD: now.head, "v1.10.1": now.tag });
    expect(lock.seen?.packages.supervisor).toBe("9.9.9");
    // A clone whose machine never fetched that model keeps what another one recorded.
    rmSync(join(project.home, "recorded.json"));
    expect((await project.atelier(["lock"])).all).toContain("images/atelier.lock is as it should be");
  });

  it("that a merge left in halves is made anew, and says so", async () => {
    const whole = readFileSync(lockFile(), "utf8");
    writeFileSync(lockFile(), whole.replace("\nmodels:", "\n<<<<<<< HEAD\nmodels:"));
    const check = await project.atelier(["lock", "--check"]);
    expect([check.exitCode, check.all]).toEqual([1, expect.stringContaining("it is not YAML")]);
    const { exitCode, all } = await project.atelier(["lock"]);
    expect(exitCode, all).toBe(0);
    expect(all).toMatch(/images\/atelier\.lock is no lock: it is not YAML: .*\. It is made anew/);
    expect(all).toContain(`Without a sha256 yet, recorded at the first verified download: ${unknown?.name}`);
    writeFileSync(lockFile(), whole);
  });

  it("--check says what moved, and ends with 1; the lock stays as it is", async () => {
    const before = readFileSync(lockFile(), "utf8");
    Object.assign(now, { tag: "b".repeat(40), head: "d".repeat(40), sha256: "e".repeat(64), yanked: true });
    const { exitCode, all } = await project.atelier(["lock", "--check"]);
    expect(exitCode, all).toBe(1);
    expect(all).toContain(`the tag v1.10.1 is at ${"b".repeat(40)}, locked is ${webui?.commit}`);
    expect(all).toContain(`HEAD was at ${"a".repeat(40)}, is at ${"d".repeat(40)}`);
    expect(all).toMatch(/moved .*BLIP: gone: /);
    expect(all).toMatch(/supervisor [\d.]+: withdrawn \(yanked\)/);
    expect(all).toContain(`its sha256 is ${"e".repeat(64)}, locked is ${model?.sha256}`);
    expect(all).toMatch(/\d+ moved/);
    expect(readFileSync(lockFile(), "utf8")).toBe(before);
  });

  it("--check says what an index has no more, as of a repository", async () => {
    const { all } = await project.atelier(["lock", "--check"]);
    expect(all).toMatch(/moved +pillow [\d.]+: gone: .*\/simple\/pillow\/ answered HTTP 404/);
  });

  it("--check takes no login page of a network for what was locked", async () => {
    const portal = createServer((_, response) => {
      response.writeHead(200, { "content-type": "text/html" }).end("<!doctype html><p>Log in</p>");
    });
    await new Promise<void>((done) => portal.listen(0, "127.0.0.1", done));
    try {
      await upstreams(`http://127.0.0.1:${(portal.address() as AddressInfo).port}/`);
      const { exitCode, all } = await project.atelier(["lock", "--check"]);
      expect(exitCode, all).toBe(0);
      expect(all).toMatch(/unreachable +\S+: .*a page instead of the file/);
    } finally {
      portal.close();
    }
  });

  it("--check says which upstreams can't be reached, and that is no error", async () => {
    await upstreams(silent);
    const { exitCode, all } = await project.atelier(["lock", "--check"]);
    expect(exitCode, all).toBe(0);
    expect(all).toMatch(/unreachable +webui: .*127\.0\.0\.1/);
    expect(all).toMatch(/Nothing moved, \d+ could not be reached/);
  });

  it("that does not fit its files stops a plan before it changes anything: it says what, and to run atelier lock", async () => {
    project.edit("images/sources.ts", (text) => text.replace(webui?.commit ?? "?", "f".repeat(40)));
    const { exitCode, all } = await project.atelier(["preview"]);
    expect(exitCode, all).not.toBe(0);
    expect(all).toContain(`source webui: the lock has ${webui?.commit}, the files have ${"f".repeat(40)}`);
    expect(all).toContain("npx atelier lock");
    const check = await project.atelier(["lock", "--check"]);
    expect([check.exitCode, check.all]).toEqual([1, expect.stringContaining("the lock is stale")]);
  });
});
