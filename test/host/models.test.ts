import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { until } from "../helpers/until.ts";
import { type FileAnswer, honest, safetensors, serving } from "./lib/server.ts";
import { type Inputs, scripts, Workspace } from "./lib/workspace.ts";

let workspace: Workspace;
const serve = serving();
const content = safetensors(400_000);
const sha256 = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");

beforeEach(() => {
  workspace = new Workspace();
});
afterEach(() => {
  workspace.destroy();
});

const model = (
  urls: string[],
  bytes: string | number = content.length,
  sha = sha256(content),
  name = "a.safetensors",
) => [name, "checkpoint", "Stable-diffusion", name, bytes, sha, urls.join(" ")];
const apply = (models: (string | number)[][], more: Inputs = {}, stall = "20") =>
  workspace.run("60-models.sh", "apply", { models, ...more }, { env: { ATELIER_FETCH_STALL_S: stall } });
const check = (models: (string | number)[][]) => workspace.run("60-models.sh", "check", { models });
const linked = (name = "a.safetensors") => join(workspace.path, "data/models/Stable-diffusion", name);
const partials = () => readdirSync(join(workspace.cache, "fetch")).filter((name) => name.endsWith(".part"));

// What servers do wrong besides stands in models-upstreams.test.ts.
describe("a model is refused", () => {
  const refused = async (answer: FileAnswer, why: RegExp, bytes?: number | string, sha?: string) => {
    const server = await serve(answer);
    const { code, stderr } = await apply([model([`${server.base}a`], bytes, sha)]);
    expect(code).toBe(1);
    expect(stderr).toMatch(why);
    expect(stderr).toContain(`a.safetensors: could not be had. Tried:\n  - ${server.base}a: `);
    expect(existsSync(linked())).toBe(false);
    expect(readdirSync(join(workspace.cache, "sha256"))).toEqual([]);
  };

  it("when a web page comes under another type", () =>
    refused(
      honest(Buffer.from("<!DOCTYPE html><title>log in</title>")),
      /a web page came instead of the file/,
      "-",
      "-",
    ));
  it("when a git-lfs pointer comes instead", () =>
    refused(
      honest(Buffer.from("version https://git-lfs.github.com/spec/v1\noid sha256:00\n")),
      /a git-lfs pointer/,
      "-",
      "-",
    ));
  it("when its safetensors header does not fit its length", () =>
    refused(honest(content.subarray(0, 300_000)), /it has 300000 bytes; its safetensors header wants/, "-", "-"));
  it("when the server sends more than it announced", () =>
    refused((_, response) => {
      response.socket?.end(
        `HTTP/1.1 200 OK\r\ncontent-type: x/y\r\ntransfer-encoding: chunked\r\n\r\n${(500_000).toString(16)}\r\n${"x".repeat(500_000)}\r\n0\r\n\r\n`,
      );
    }, /more than the \d+ bytes/));
});

describe("a model comes", () => {
  it("through a server that cuts the line again and again: by ranges, each byte once", async () => {
    const server = await serve((request, response) => {
      const from = Number(/bytes=(\d+)/.exec(request.headers.range ?? "")?.[1] ?? 0);
      const piece = content.subarray(from, from + 150_000);
      response.writeHead(from ? 206 : 200, {
        "content-length": content.length - from,
        ...(from ? { "content-range": `bytes ${from}-${content.length - 1}/${content.length}` } : {}),
      });
      response.write(piece, () => response.destroy());
    });
    const { code, stderr } = await apply([model([`${server.base}a`])]);
    expect(code, stderr).toBe(0);
    expect(readFileSync(linked())).toEqual(content);
    expect(server.asked.slice(1).every(({ range }) => range?.startsWith("bytes="))).toBe(true);
    expect(partials()).toEqual([]);
  });

  it("from the second source where the first stalls, going on where it stopped", async () => {
    const stalls = await serve((_, response) => {
      response.writeHead(200, { "content-length": content.length });
      response.write(content.subarray(0, 200_000));
    });
    const good = await serve(honest(content));
    const { code, stderr } = await apply([model([`${stalls.base}a`, `${good.base}a`])], {}, "3");
    expect(code, stderr).toBe(0);
    expect(stderr).toContain("said nothing for 3 s");
    expect(good.asked.map(({ range }) => range)).toEqual(["bytes=200000-"]);
    expect(readFileSync(linked())).toEqual(content);
  });

  it("from a server that ignores ranges, from the beginning; and not by a range that was not asked for", async () => {
    let cut = true;
    const ignores = await serve((_, response) => {
      response.writeHead(200, { "content-length": content.length });
      if (cut) {
        cut = false;
        response.write(content.subarray(0, 100_000), () => response.destroy());
      } else response.end(content);
    });
    expect((await apply([model([`${ignores.base}a`])])).code).toBe(0);
    expect(readFileSync(linked())).toEqual(content);

    const other = safetensors(400_000, 7);
    let first = true;
    const shifts = await serve((_, response) => {
      if (first) {
        first = false;
        response.writeHead(200, { "content-length": other.length });
        response.write(other.subarray(0, 100_000), () => response.destroy());
        return;
      }
      response.writeHead(206, { "content-range": `bytes 5-${other.length - 1}/${other.length}` });
      response.end(other.subarray(5));
    });
    const { code, stderr } = await apply([model([`${shifts.base}b`], other.length, sha256(other), "b.safetensors")]);
    expect(code).toBe(1);
    expect(stderr).toContain("asked for bytes from 100000, it answers with 'bytes 5-");
  });

  it("after its first source lied: the broken bytes get no name, and the next source is asked", async () => {
    const liar = await serve(honest(safetensors(400_000, 9)));
    const good = await serve(honest(content));
    const { code, stderr, facts } = await apply([model([`${liar.base}a`, `${good.base}a`])]);
    expect(code, stderr).toBe(0);
    // The lie came over the network, too.
    expect(facts).toMatchObject({ models: 1, bytes: content.length, fetchedBytes: 2 * content.length });
    expect(readFileSync(linked())).toEqual(content);
  });

  it("once: it is linked from the store, and comes back from there after the workspace was emptied", async () => {
    const server = await serve(honest(content));
    const models = [model([`${server.base}a`])];
    expect((await apply(models)).code).toBe(0);
    expect(statSync(linked()).ino).toBe(statSync(join(workspace.cache, "sha256", sha256(content))).ino);
    expect((await check(models)).code).toBe(0);
    rmSync(workspace.path, { recursive: true });
    workspace.layScripts();
    expect((await check(models)).code).toBe(10);
    const { code, facts } = await apply(models);
    expect([code, facts.fetchedBytes, server.asked.length]).toEqual([0, 0, 1]);
    rmSync(linked());
    expect(await check(models)).toMatchObject({
      code: 10,
      stderr: expect.stringContaining("a.safetensors is not there"),
    });
  });

  it("anew when the store's file was damaged", async () => {
    const server = await serve(honest(content));
    const models = [model([`${server.base}a`])];
    await apply(models);
    writeFileSync(join(workspace.cache, "sha256", sha256(content)), Buffer.alloc(content.length));
    const { code, stderr } = await apply(models);
    expect(code, stderr).toBe(0);
    expect(readFileSync(linked())).toEqual(content);
    expect(server.asked.length).toBe(2);
  });

  it("without a sha256 in the catalog: what came first is recorded, said, and held to", async () => {
    let now = content;
    const server = await serve((request, response) => honest(now)(request, response));
    const models = [model([`${server.base}a`], "-", "-")];
    const first = await apply(models);
    expect(first.code, first.stderr).toBe(0);
    expect(first.stderr).toContain(
      `a.safetensors has no sha256 in its catalog; recorded from this first download: ${sha256(content)}`,
    );
    rmSync(join(workspace.cache, "sha256"), { recursive: true });
    now = safetensors(400_000, 5);
    const { code, stderr } = await apply(models);
    expect(code).toBe(1);
    expect(stderr).toContain(`its sha256 is ${sha256(now)}; wanted: ${sha256(content)}`);
  });

  it("without a sha256 once, in whichever order its addresses stand; what began under the order's own name goes on", async () => {
    const server = await serve(honest(content));
    const urls = ["a", "b", "c"].map((name) => `${server.base}${name}`);
    const named = (...order: string[]) =>
      `url-${createHash("sha256")
        .update(`a.safetensors\n${order.join(" ")}`)
        .digest("hex")
        .slice(0, 32)}`;
    const fetch = (...parts: string[]) => join(workspace.cache, "fetch", ...parts);
    const [a = "", b = "", c = ""] = urls;
    const old = named(c, a, b);
    // A beginning as an earlier version left it.
    mkdirSync(fetch(), { recursive: true });
    writeFileSync(fetch(`${old}.part`), content.subarray(0, 150_000));
    const key = createHash("sha256").update(c).digest("hex").slice(0, 16);
    writeFileSync(
      fetch(`${old}.json`),
      JSON.stringify({ bytes: content.length, etag: '"1"', have: [[0, 150_000, key]] }),
    );
    const went = await apply([model([b, c, a], "-", "-")]);
    expect(went.code, went.stderr).toBe(0);
    expect(server.asked).toMatchObject([{ url: "/c", range: "bytes=150000-" }]);
    // Its record, too.
    renameSync(fetch(`${named(a, b, c)}.seen`), fetch(`${old}.seen`));
    const asked = server.asked.length;
    for (const order of [
      [a, c, b],
      [c, b, a],
    ]) {
      const again = await apply([model(order, "-", "-")]);
      expect([again.code, again.facts.fetchedBytes, server.asked.length]).toEqual([0, 0, asked]);
    }
    expect(readFileSync(linked())).toEqual(content);
  });

  it("with its token to its own host only, and not on to where that redirects", async () => {
    const cdn = await serve(honest(content));
    const elsewhere = cdn.base.replace("127.0.0.1", "localhost");
    const hub = await serve((_, response) => response.writeHead(302, { location: `${elsewhere}cdn` }).end());
    const { code, stderr } = await apply([model([`${hub.base}a`])], {
      token_hosts: "127.0.0.1",
      hf_token_secret: "hf_SecretToken",
    });
    expect(code, stderr).toBe(0);
    expect(hub.asked[0]?.authorization).toBe("Bearer hf_SecretToken");
    expect(cdn.asked[0]?.authorization).toBe(undefined);
    const other = await serve(honest(content));
    rmSync(join(workspace.cache, "sha256"), { recursive: true });
    await apply([model([`${other.base}a`])], { token_hosts: "huggingface.co", hf_token_secret: "hf_SecretToken" });
    expect(other.asked[0]?.authorization).toBe(undefined);
  });

  it("and a file of the user's under its name is moved beside, not overwritten", async () => {
    const server = await serve(honest(content));
    mkdirSync(join(linked(), ".."), { recursive: true });
    writeFileSync(linked(), "mine");
    const { code, stderr } = await apply([model([`${server.base}a`])]);
    expect(code, stderr).toBe(0);
    expect(stderr).toContain("another file lay at data/models/Stable-diffusion/a.safetensors; it was moved beside");
    expect(readdirSync(join(linked(), "..")).filter((name) => name.includes(".aside-"))).toHaveLength(1);
  });

  it("and goes when the catalog drops it; the store keeps it", async () => {
    const server = await serve(honest(content));
    await apply([model([`${server.base}a`])]);
    const { code, stderr } = await apply([]);
    expect(code, stderr).toBe(0);
    expect(existsSync(linked())).toBe(false);
    expect(existsSync(join(workspace.cache, "sha256", sha256(content)))).toBe(true);
  });

  it("with progress that a person can read", async () => {
    const server = await serve((_, response) => {
      response.writeHead(200, { "content-length": content.length });
      let at = 0;
      const timer = setInterval(() => {
        response.write(content.subarray(at, at + 50_000));
        at += 50_000;
        if (at >= content.length) {
          clearInterval(timer);
          response.end();
        }
      }, 300);
    });
    const { code, stderr } = await apply([model([`${server.base}a`])]);
    expect(code, stderr).toBe(0);
    expect(stderr).toMatch(/^models \d+ % \d+(\.\d)? MB\/s, \d+ s left$/m);
    expect(workspace.file("run/models/log")).toMatch(/^@\{"step": "models", "bytes": \d+, "total": \d+/m);
  });
});

it("whose bytes have all come waits for no server: it is checked, and written to the disk", () => {
  const said = spawnSync(
    "python3",
    [
      "-c",
      "from fetch_progress import Progress\nfile = {'bytes': 7000}\nprogress = Progress([file])\nprogress.line()\n" +
        "for size in (3500, 3500, 7000, 7000):\n    progress.at(file, size)\n    print(progress.line()[0])",
    ],
    { cwd: scripts, encoding: "utf8", env: { PATH: process.env.PATH, PYTHONDONTWRITEBYTECODE: "1" } },
  );
  expect(said.stderr).toBe("");
  const lines = said.stdout.trim().split("\n");
  expect(lines[0]).toMatch(/^models 50 % \d/);
  expect(lines.slice(2)).toEqual(Array(2).fill("models 100 %, checking what came and writing it to the disk"));
});

describe("the tokenizer", () => {
  const check = () => workspace.run("60-models.sh", "check", workspace.file("run/models/applied"));
  it("lies as transformers looks for it offline: the files under their revision, and main naming it", async () => {
    const vocab = Buffer.from('{"a": 1}');
    const server = await serve(honest(vocab));
    const inputs = {
      tokenizer_repository: "openai/clip-vit-large-patch14",
      tokenizer_revision: "32bd64288804d66eefd0ccbe215aa642df71cc41",
      tokenizer: [["vocab.json", sha256(vocab), `${server.base}openai/vocab.json`]],
    };
    const { code, stderr } = await apply([], inputs);
    expect(code, stderr).toBe(0);
    const hub = "data/hf/hub/models--openai--clip-vit-large-patch14";
    expect(workspace.file(hub, "refs/main")).toBe("32bd64288804d66eefd0ccbe215aa642df71cc41");
    expect(workspace.file(hub, "snapshots/32bd64288804d66eefd0ccbe215aa642df71cc41/vocab.json")).toBe('{"a": 1}');
    // A WebUI that was started without it, or without a model, is started anew once it is there again, and for nothing else.
    const changed = workspace.file("run/models/changed");
    expect((await apply([], inputs)).code).toBe(0);
    expect(workspace.file("run/models/changed")).toBe(changed);
    rmSync(join(workspace.path, hub, "refs"), { recursive: true });
    expect((await check()).stderr).toMatch(/\(refs\/main\)\nalso: service\n$/);
    expect((await apply([], inputs)).code).toBe(0);
    expect(workspace.file("run/models/changed")).not.toBe(changed);
    expect((await check()).code).toBe(0);
    rmSync(join(workspace.path, hub, "snapshots"), { recursive: true });
    expect((await check()).stderr).toMatch(/vocab\.json is not there\nalso: service\n$/);
  });
});

const hasAria = (process.env.PATH ?? "").split(":").some((folder) => existsSync(join(folder, "aria2c")));
describe.skipIf(!hasAria)("by aria2c (needs it on PATH)", () => {
  const big = safetensors(12_000_000);
  it("a large model comes from two sources at once", async () => {
    const [one, two] = [await serve(honest(big)), await serve(honest(big))];
    const { code, stderr } = await apply([model([`${one.base}a`, `${two.base}a`], big.length, sha256(big))]);
    expect(code, stderr).toBe(0);
    expect(sha256(readFileSync(linked()))).toBe(sha256(big));
    expect(one.asked.length + two.asked.length).toBeGreaterThan(1);
  });

  it("that brings another file is not believed: our own way fetches it from the honest source", async () => {
    const liar = await serve(honest(safetensors(12_000_000, 3)));
    const good = await serve(honest(big));
    const { code, stderr } = await apply([model([`${liar.base}a`, `${good.base}a`], big.length, sha256(big))]);
    expect(code, stderr).toBe(0);
    expect(stderr).toMatch(/aria2c: its sha256 is/);
    expect(sha256(readFileSync(linked()))).toBe(sha256(big));
  });
});

describe("two workspaces with one cache", () => {
  it("fetch a model once", async () => {
    const other = new Workspace(workspace.cache);
    try {
      const slow = await serve((request, response) => setTimeout(() => honest(content)(request, response), 700));
      const models = [model([`${slow.base}a`])];
      const both = [workspace.run("60-models.sh", "apply", { models }), other.run("60-models.sh", "apply", { models })];
      await until("one asks", () => slow.asked.length > 0);
      expect((await Promise.all(both)).map(({ code }) => code)).toEqual([0, 0]);
      expect(slow.asked.length).toBe(1);
    } finally {
      other.destroy();
    }
  });
});
