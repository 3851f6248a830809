import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { isFree } from "../../rehearsal/lib/ports.ts";
import { commandLine } from "../../rehearsal/lib/processes.ts";
import { prepareContent } from "../../rehearsal/upstreams/content.ts";
import type { Fault } from "../../rehearsal/upstreams/faults.ts";
import {
  orderFault,
  startUpstreams,
  stopUpstreams,
  type UpstreamFacts,
  upstreamRequests,
  upstreamsStatus,
} from "../../rehearsal/upstreams.ts";
import { until } from "../helpers/until.ts";
import { folder, removeFolders } from "./folders.ts";

const git = (...args: string[]) =>
  execFileSync("git", args, {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
    env: { PATH: process.env.PATH, GIT_TERMINAL_PROMPT: "0", GIT_CONFIG_GLOBAL: "/dev/null", GIT_CONFIG_NOSYSTEM: "1" },
  }).trim();

const dir = join(folder(), "upstreams");
const cacheDir = join(dir, "..", "cache");
let facts: UpstreamFacts;
const portOf = ({ git }: UpstreamFacts) => Number(new URL(git[0] ?? "").port);

beforeAll(async () => {
  facts = await startUpstreams({ dir, cacheDir });
});
afterAll(async () => {
  await stopUpstreams({ dir });
  removeFolders();
});

describe("the process", () => {
  test("upstreams.json holds what was told, and the whole of a stack's sources", () => {
    expect(JSON.parse(readFileSync(join(dir, "upstreams.json"), "utf8"))).toEqual(facts);
    expect(facts.sources.map(({ into }) => into)).toEqual([
      "src/webui",
      "src/webui/repositories/stable-diffusion-webui-assets",
      "src/webui/repositories/stable-diffusion-stability-ai",
      "src/webui/repositories/generative-models",
      "src/webui/repositories/k-diffusion",
      "src/webui/repositories/BLIP",
      "src/CLIP",
      "data/extensions/sd-webui-controlnet",
    ]);
    expect(facts.pypi).toEqual([]);
  });

  test("starting again changes nothing", async () => {
    expect(await startUpstreams({ dir, cacheDir })).toEqual(facts);
  });

  test("a dead one comes back at the same port, with the same commits", async () => {
    process.kill(facts.pid, "SIGKILL");
    await until("it has ended", () => commandLine(facts.pid) === "");
    expect(upstreamsStatus({ dir }).running).toBe(false);
    const again = await startUpstreams({ dir, cacheDir });
    expect(again).toEqual({ ...facts, pid: again.pid });
    facts = again;
  });

  test("stopped, it frees its port, and comes back there", async () => {
    await stopUpstreams({ dir });
    expect(await isFree(portOf(facts))).toBe(true);
    expect(upstreamsStatus({ dir })).toEqual({ running: false, facts });
    const again = await startUpstreams({ dir, cacheDir });
    expect(portOf(again)).toBe(portOf(facts));
    facts = again;
  });

  test("a port that is taken is one clear error", async () => {
    const other = join(folder(), "upstreams");
    const start = startUpstreams({ dir: other, cacheDir, port: portOf(facts) });
    await expect(start).rejects.toThrow(/did not start on 127\.0\.0\.1:\d+ .*EADDRINUSE/);
    expect(existsSync(join(other, "upstreams.json"))).toBe(false);
  });
});

describe("git", () => {
  const url = (name: string) => {
    const source = facts.sources.find((candidate) => candidate.name === name);
    if (!source) throw new Error(`no ${name}`);
    return { url: `${facts.git[0]}${source.path}`, commit: source.commit };
  };

  test("a pinned commit is fetched alone, and holds the files as they are here", () => {
    const { url: from, commit } = url("webui");
    const work = join(folder(), "webui");
    git("init", "-q", work);
    git("-C", work, "fetch", "-q", "--depth", "1", from, commit);
    git("-C", work, "checkout", "-q", "FETCH_HEAD");
    expect(git("-C", work, "rev-parse", "HEAD")).toBe(commit);
    expect(git("-C", work, "log", "-1", "--format=%an %at")).toBe("atelier rehearsal 1704067200");
    const starter = "modules/launch_utils.py";
    const here = join(import.meta.dirname, "../../rehearsal/webui", starter);
    expect(readFileSync(join(work, starter), "utf8")).toBe(readFileSync(here, "utf8"));
    expect(git("-C", work, "ls-files")).not.toMatch(/__pycache__/);
    expect(git("-C", work, "fsck", "--strict")).toBe("");
  });

  test.each([
    "stable-diffusion-stability-ai",
    "generative-models",
    "k-diffusion",
    "BLIP",
    "CLIP",
    "stable-diffusion-webui-assets",
  ])("%s can be cloned", (name) => {
    const { url: from, commit } = url(name);
    const work = join(folder(), "clone");
    git("clone", "-q", from, work);
    expect(git("-C", work, "rev-parse", "HEAD")).toBe(commit);
    expect(git("-C", work, "describe", "--tags")).toBe(facts.version);
  });

  test("git itself makes the same commit of the same files", () => {
    const { url: from, commit } = url("webui");
    const work = join(folder(), "webui");
    git("clone", "-q", from, work);
    const tree = git("-C", work, "write-tree");
    expect(tree).toBe(git("-C", work, "rev-parse", `${commit}^{tree}`));
  });

  test("another cache gets the same commits and files", () => {
    const other = prepareContent(join(folder(), "cache"));
    expect(other.sources).toEqual(facts.sources);
    const hashes = other.files.map(({ file, sha256 }) => `${file} ${sha256}`);
    for (const { file, sha256 } of facts.models) expect(hashes).toContain(`${file} ${sha256}`);
  });

  test("an unknown commit and an unknown repository fail", () => {
    const work = join(folder(), "nothing");
    git("init", "-q", work);
    const { url: from } = url("webui");
    expect(() => git("-C", work, "fetch", from, "0123456789".repeat(4))).toThrow(/not our ref/);
    expect(() => git("-C", work, "fetch", `${facts.git[0]}nobody/nothing.git`)).toThrow(/not found/);
  });
});

describe("downloads", () => {
  const model = () => {
    const found = facts.models[0];
    if (!found) throw new Error("no model");
    return found;
  };
  const modelUrl = () =>
    `${facts.huggingface[0]}stable-diffusion-v1-5/stable-diffusion-v1-5/resolve/main/${model().file}`;
  const sha256 = (bytes: ArrayBuffer) => createHash("sha256").update(Buffer.from(bytes)).digest("hex");
  const order = (fault: Omit<Fault, "path">) => orderFault({ dir }, { path: model().file, ...fault });
  afterEach(() => orderFault({ dir }, null));

  test("the hub sends large files to its store, with their size and hash, and the store sends the file", async () => {
    const hub = await fetch(modelUrl(), { method: "HEAD", redirect: "manual" });
    expect(hub.status).toBe(302);
    expect(hub.headers.get("x-linked-etag")).toBe(`"${model().sha256}"`);
    expect(Number(hub.headers.get("x-linked-size"))).toBe(model().bytes);
    expect(hub.headers.get("x-repo-commit")).toBe(facts.tokenizer.revision);
    const answer = await fetch(modelUrl());
    expect(answer.headers.get("accept-ranges")).toBe("bytes");
    expect(sha256(await answer.arrayBuffer())).toBe(model().sha256);
  });

  test.each([
    ["bytes=100-199", 206, 100, "bytes 100-199"],
    ["bytes=-10", 206, 10, "bytes "],
    ["bytes=0-", 206, undefined, "bytes 0-"],
    ["lines=1-2", 200, undefined, null],
    ["bytes=99999999999-", 416, 0, "bytes */"],
  ])("range %s", async (range, status, length, part) => {
    const answer = await fetch(modelUrl(), { headers: { range } });
    const body = await answer.arrayBuffer();
    expect(answer.status).toBe(status);
    expect(body.byteLength).toBe(length ?? model().bytes);
    if (part === null) expect(answer.headers.get("content-range")).toBeNull();
    else expect(answer.headers.get("content-range")).toContain(part);
  });

  test("a part of another version is not continued", async () => {
    const get = (etag: string) => fetch(modelUrl(), { headers: { range: "bytes=5-9", "if-range": etag } });
    expect((await get(`"${model().sha256}"`)).status).toBe(206);
    const whole = await get('"another"');
    expect(whole.status).toBe(200);
    await whole.body?.cancel();
  });

  test("ModelScope's two addresses give the same file", async () => {
    const base = facts.modelscope[0];
    const repository = "AI-ModelScope/stable-diffusion-v1-5";
    for (const path of [
      `${repository}/resolve/master/${model().file}`,
      `api/v1/models/${repository}/repo?Revision=master&FilePath=${model().file}`,
    ]) {
      expect(sha256(await (await fetch(base + path)).arrayBuffer())).toBe(model().sha256);
    }
  });

  test("what is not there is 404, and only reading is allowed", async () => {
    expect((await fetch(`${facts.huggingface[0]}nobody/nothing/resolve/main/x`)).status).toBe(404);
    expect((await fetch(modelUrl(), { method: "POST", body: "x" })).status).toBe(405);
  });

  test("the checkpoint is a whole safetensors file that says what it is, and the .ckpt a whole zip", async () => {
    const bytes = Buffer.from(await (await fetch(modelUrl())).arrayBuffer());
    const length = Number(bytes.readBigUInt64LE());
    const header = JSON.parse(bytes.subarray(8, 8 + length).toString());
    expect(header.__metadata__.rehearsal).toMatch(/^REHEARSAL/);
    const { __metadata__, ...tensors } = header as Record<string, { data_offsets: [number, number] }>;
    const ends = Object.values(tensors).map(({ data_offsets }) => data_offsets[1]);
    expect(8 + length + Math.max(...ends)).toBe(bytes.length);
    const ckpt = prepareContent(cacheDir).files.find(({ file }) => file.endsWith(".ckpt"));
    expect(spawnSync("python3", ["-m", "zipfile", "-t", ckpt?.path ?? ""], { encoding: "utf8" }).stdout).toContain(
      "Done",
    );
  });

  test("the tokenizer's five files are what upstreams.json says", async () => {
    expect(facts.tokenizer.files).toHaveLength(5);
    for (const { file, sha256: wanted } of facts.tokenizer.files) {
      const { repository, revision } = facts.tokenizer;
      const answer = await fetch(`${facts.huggingface[0]}${repository}/resolve/${revision}/${file}`);
      expect(answer.headers.get("x-repo-commit")).toBe(revision);
      expect(sha256(await answer.arrayBuffer())).toBe(wanted);
    }
  });

  test("cut at a byte: so many come, then the connection breaks; the next request goes through", async () => {
    await order({ cutAt: 1_000_000, times: 1 });
    const answer = await fetch(modelUrl());
    const reader = answer.body?.getReader();
    let got = 0;
    const readAll = async () => {
      for (let part = await reader?.read(); part && !part.done; part = await reader?.read()) got += part.value.length;
    };
    await expect(readAll()).rejects.toThrow(/terminated/);
    expect(got).toBe(1_000_000);
    const rest = await fetch(modelUrl(), { headers: { range: `bytes=${got}-` } });
    expect((await rest.arrayBuffer()).byteLength).toBe(model().bytes - got);
  });

  test("without ranges, the whole file comes whatever is asked", async () => {
    await order({ noRanges: true });
    const answer = await fetch(modelUrl(), { headers: { range: "bytes=100-" } });
    expect([answer.status, answer.headers.get("accept-ranges")]).toEqual([200, null]);
    expect((await answer.arrayBuffer()).byteLength).toBe(model().bytes);
  });

  test("stalled, the connection stays open and silent", async () => {
    await order({ stallAt: 65_536 });
    const answer = await fetch(modelUrl(), { signal: AbortSignal.timeout(700) });
    await expect(answer.arrayBuffer()).rejects.toThrow(/timeout/);
  });

  test("503 with a time to wait, a page of HTML, other bytes, and slowly", async () => {
    await order({ status: 503, retryAfter: 7, times: 1 });
    const busy = await fetch(modelUrl());
    expect([busy.status, busy.headers.get("retry-after")]).toEqual([503, "7"]);
    await order({ html: true, times: 1 });
    const page = await fetch(modelUrl());
    expect([page.status, page.headers.get("content-type")]).toEqual([200, "text/html"]);
    await order({ corrupt: true, times: 1 });
    const wrong = await (await fetch(modelUrl())).arrayBuffer();
    expect(wrong.byteLength).toBe(model().bytes);
    expect(sha256(wrong)).not.toBe(model().sha256);
    await order({ bytesPerSecond: 10_000_000, times: 1 });
    const began = Date.now();
    await (await fetch(modelUrl())).arrayBuffer();
    expect(Date.now() - began).toBeGreaterThan((model().bytes / 10_000_000) * 1000 * 0.8);
  });

  test("every request is noted: what, with which answer, how many bytes, never with which secret", async () => {
    const before = upstreamRequests({ dir }).length;
    await (await fetch(modelUrl(), { headers: { range: "bytes=0-99", authorization: "Bearer hush" } })).arrayBuffer();
    await until("both are noted", () => upstreamRequests({ dir }).length === before + 2);
    const [hub, store] = upstreamRequests({ dir }).slice(before);
    expect(hub).toMatchObject({ method: "GET", status: 302, authorized: true, range: "bytes=0-99" });
    expect(store).toMatchObject({ status: 206, complete: true, path: expect.stringMatching(/^\/store\//) });
    expect(store?.bytes).toBeGreaterThan(100);
    expect(readFileSync(join(dir, "requests.jsonl"), "utf8")).not.toContain("hush");
  });

  test("a second stack makes nothing anew in the shared cache", async () => {
    const path = prepareContent(cacheDir).files[0]?.path ?? "";
    const before = statSync(path).mtimeMs;
    const other = join(folder(), "upstreams");
    const second = await startUpstreams({ dir: other, cacheDir });
    expect(second.sources).toEqual(facts.sources);
    expect(portOf(second)).not.toBe(portOf(facts));
    await stopUpstreams({ dir: other });
    expect(statSync(path).mtimeMs).toBe(before);
  });
});
