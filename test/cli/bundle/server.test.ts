import { execFile, execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { text } from "node:stream/consumers";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Manifest } from "../../../scripts/cli/bundle/manifest.ts";
import { mirrorCommit } from "../../../scripts/cli/bundle/repositories.ts";
import { type Serving, serveBundle } from "../../../scripts/cli/bundle/server.ts";

let folder: string;
let serving: Serving;
let commit: string;

const file = (path: string, text: string) => {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), text);
  return { path, bytes: text.length, sha256: createHash("sha256").update(text).digest("hex") };
};
const git = (...args: string[]) =>
  execFileSync("git", ["-c", "user.name=t", "-c", "user.email=t@localhost", ...args], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  }).trim();

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "atelier-served-"));
  const work = join(folder, "work");
  mkdirSync(join(folder, "origin/owner"), { recursive: true });
  git("init", "-q", work);
  writeFileSync(join(work, "file"), "text\n");
  git("-C", work, "add", "-A");
  git("-C", work, "commit", "-q", "-m", "first");
  commit = git("-C", work, "rev-parse", "HEAD");
  git("clone", "-q", "--bare", work, join(folder, "origin/owner/name.git"));
  const mirror = { folder: join(folder, "git/thing.git"), commit, paths: ["gone/name.git", "owner/name.git"] };
  await mirrorCommit({ ...mirror, bases: [`file://${folder}/origin/`], signal: new AbortController().signal });
  const manifest: Manifest = {
    form: 1,
    for: "t",
    git: [{ name: "thing", commit, paths: mirror.paths, folder: "git/thing.git" }],
    wheels: [{ project: "A_b.c", ...file("wheels/a_b.c-1.0-py3-none-any.whl", "wheel") }],
    models: [{ name: "m", file: "m.safetensors", ...file("models/m/m.safetensors", "0123456789") }],
    tokenizer: {
      repository: "o/r",
      revision: "abc",
      files: [{ file: "vocab.json", ...file("tokenizer/o/r/vocab.json", "{}") }],
    },
    images: [],
    plugins: [],
    pluginWheels: [],
    files: [],
  };
  file("secret.txt", "not in the manifest");
  serving = await serveBundle(folder, manifest);
});
afterAll(async () => {
  await serving.close();
  rmSync(folder, { recursive: true, force: true });
});

const get = (path: string, headers: Record<string, string> = {}) => fetch(serving.base + path, { headers });

describe("a served bundle", () => {
  it("has nothing but what its manifest names, and takes nothing", async () => {
    for (const path of [
      "secret.txt",
      "bundle.json",
      "models/m/other",
      "simple/none/",
      "wheels/..%2fsecret.txt",
      "git/owner/other.git/info/refs",
    ])
      expect((await get(path)).status, path).toBe(404);
    expect((await fetch(`${serving.base}models/m/m.safetensors`, { method: "PUT", body: "x" })).status).toBe(405);
  });

  it("says once what it has: commits, the sha256 of each file that a host takes, and the models' names", async () => {
    const lines = (await (await get("contents")).text()).trim().split("\n");
    const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");
    expect(lines).toEqual([commit, sha256("wheel"), sha256("0123456789"), sha256("{}"), "m/m.safetensors"]);
  });

  it("outlives what is no address at all", async () => {
    for (const target of ["//", "http://[", "/%00", "*"]) {
      const socket = connect(serving.port, "127.0.0.1");
      socket.write(`GET ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
      expect(await text(socket), target).toMatch(/^HTTP\/1\.1 40[04] /);
    }
    expect((await get("simple/")).status).toBe(200);
  });

  it("is an index of packages, under any spelling of a name", async () => {
    const page = await (await get("simple/a-b-c/")).text();
    const [, href = ""] = /href="([^"]+)"/.exec(page) ?? [];
    expect(href).toMatch(/^\/wheels\/a_b\.c-1\.0-py3-none-any\.whl#sha256=[0-9a-f]{64}$/);
    expect(await (await get(href.slice(1))).text()).toBe("wheel");
    expect(await (await get("simple/")).text()).toContain("a-b-c");
  });

  it("gives models in parts, and the tokenizer where a hub has it", async () => {
    const part = await get("models/m/m.safetensors", { range: "bytes=4-6" });
    expect([part.status, part.headers.get("content-range"), await part.text()]).toEqual([206, "bytes 4-6/10", "456"]);
    expect(await (await get("hf/o/r/resolve/abc/vocab.json")).text()).toBe("{}");
    expect((await get("hf/o/r/resolve/main/vocab.json")).status).toBe(404);
  });

  it("gives single commits by git, under each path that the repository has upstream", async () => {
    for (const path of ["gone/name.git", "owner/name.git"]) {
      const clone = join(folder, `clone-${path.slice(0, 4)}`);
      git("init", "-q", clone);
      // The server is of this process: it must not be kept waiting.
      const fetching = ["-C", clone, "fetch", "-q", "--depth", "1", `${serving.base}git/${path}`, commit];
      await promisify(execFile)("git", fetching, { timeout: 240_000 });
      expect(git("-C", clone, "show", "FETCH_HEAD:file")).toBe("text");
    }
    expect(serving.sent()).toBeGreaterThan(500);
  });
});
