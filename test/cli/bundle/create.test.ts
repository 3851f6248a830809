import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Contents } from "../../../scripts/cli/bundle/contents.ts";
import { createBundle } from "../../../scripts/cli/bundle/create.ts";
import { readManifest } from "../../../scripts/cli/bundle/manifest.ts";
import { profiles } from "../../../stacks/upstreams.ts";

const wheel = "a wheel";
const sha256 = createHash("sha256").update(wheel).digest("hex");
const file = "thing-1.0-py3-none-any.whl";
let server: Server;
let base: string;
let other: Server;
let elsewhere: string;
/** What was asked, and with which login. */
const asked: string[] = [];
/** How the index calls the locked file. */
let called: string;
let top: string;
let folder: string;

beforeAll(async () => {
  server = createServer((request, response) => {
    asked.push(`${request.url} ${request.headers.authorization ?? "-"}`);
    if (request.url?.startsWith("/o/gated/") && request.headers.authorization !== "Bearer hf_t0ken")
      response.writeHead(401).end();
    else if (request.url?.startsWith("/o/gated/"))
      // Another port is another host.
      response.writeHead(302, { location: `${elsewhere}${request.url.slice(1)}` }).end();
    else if (request.url?.startsWith("/large/"))
      // As far as a number of JavaScript's goes.
      response.writeHead(200, { "content-length": 9e15 }).flushHeaders();
    else if (request.url?.startsWith("/simple/"))
      response.writeHead(200, { "content-type": "text/html" }).end(`<a href="/${file}#sha256=${sha256}">${called}</a>`);
    else response.end(wheel);
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  other = createServer((request, response) => {
    asked.push(`elsewhere ${request.headers.authorization ?? "-"}`);
    response.end(wheel);
  });
  await new Promise<void>((done) => other.listen(0, "127.0.0.1", done));
  elsewhere = `http://127.0.0.1:${(other.address() as AddressInfo).port}/`;
});
beforeEach(() => {
  asked.length = 0;
  called = file;
  top = mkdtempSync(join(tmpdir(), "atelier-create-"));
  folder = join(top, "bundle");
  mkdirSync(folder);
  return () => rmSync(top, { recursive: true, force: true });
});
afterAll(() => {
  server.close();
  other.close();
});

const put = (path: string, content: string) => {
  mkdirSync(join(folder, path, ".."), { recursive: true });
  writeFileSync(join(folder, path), content);
};

const model = (name: string, known: { bytes?: number; sha256: string }) => ({
  name,
  file: `${name}.ckpt`,
  sources: [{ huggingface: `o/${name}/resolve/main/${name}.ckpt` }],
  ...known,
});

function create(changes: Partial<Contents> = {}, token?: { value: string; hosts: string[] }) {
  const contents: Contents = {
    for: "t",
    git: [],
    wheels: new Map([["thing==1.0", { name: "thing", version: "1.0", sha256: new Set([sha256]) }]]),
    usable: (name) => !name.includes("win32"),
    models: [],
    tokenizer: { repository: "o/r", revision: "x", files: [] },
    dify: { images: [], platform: "linux/amd64", plugins: [], marketplace: "" },
    ...changes,
  };
  const run = { say: () => {}, signal: AbortSignal.timeout(240_000), token };
  const upstreams = { ...profiles.offline, pypi: [`${base}simple`], huggingface: [base] };
  return createBundle(folder, contents, upstreams, run);
}

describe("bundle create", () => {
  it("ends at the first file that has no room: each other one would say the same", async () => {
    const large = (name: string) => ({ name, file: `${name}.ckpt`, sources: [{ url: `${base}large/${name}` }] });
    const models = ["a", "b", "c", "d"].map(large);
    await expect(create({ models })).rejects.toThrow(
      /^model a: \d+ MB are still to be fetched and .* MB free.*\n.*make room on the disk of .*run it again/,
    );
    expect(asked.filter((line) => line.startsWith("/large/")).length).toBeLessThan(models.length);
  });

  it("never touches a folder with files of somebody's where a bundle has its own", async () => {
    for (const path of ["models/mine.safetensors", "images/photo.jpg", "bundle.json"]) put(path, "{}");
    await expect(create()).rejects.toThrow(`${folder} is no bundle, and has models, images, bundle.json in it`);
    for (const path of ["models/mine.safetensors", "images/photo.jpg", "bundle.json"])
      expect(readFileSync(join(folder, path), "utf8")).toBe("{}");
    expect(existsSync(join(folder, "wheels"))).toBe(false);
  });

  it("goes on in one of its own, cut or whole, and takes away what an earlier one had; other files stay", async () => {
    put("README.txt", "mine");
    called = "thing-1.0-cp39-cp39-win32.whl";
    await expect(create()).rejects.toThrow("The bundle is not whole");
    called = file;
    put("wheels/old-0.9-py3-none-any.whl", "old");
    await create();
    expect(readManifest(folder).files).toEqual([{ path: `wheels/${file}`, bytes: wheel.length, sha256 }]);
    put("models/old/old.ckpt", "old");
    await create();
    expect(existsSync(join(folder, "wheels/old-0.9-py3-none-any.whl"))).toBe(false);
    expect(existsSync(join(folder, "models/old/old.ckpt"))).toBe(false);
    expect(readFileSync(join(folder, "README.txt"), "utf8")).toBe("mine");
    expect(existsSync(join(folder, "bundle.unfinished"))).toBe(false);
  });

  it("takes no file whose name leads elsewhere: a lying index had what lay there removed", async () => {
    writeFileSync(join(top, "victim.txt"), "precious");
    called = "../../victim.txt";
    await expect(create()).rejects.toThrow(/thing 1\.0: could not be had/);
    expect(readFileSync(join(top, "victim.txt"), "utf8")).toBe("precious");
  });

  it("asks for the room of all that is missing, before anything is fetched; a whole bundle stays one", async () => {
    await create();
    const before = readManifest(folder);
    asked.length = 0;
    const { bavail, bsize } = statfsSync(folder);
    // Each has room alone.
    const bytes = Math.ceil(bavail * bsize * 0.6);
    const models = ["a", "b"].map((name) => model(name, { bytes, sha256: "0".repeat(64) }));
    await expect(create({ models })).rejects.toThrow(
      new RegExp(`The bundle wants \\S+ [kMG]B more, and ${folder} has \\S+ [kMG]B free`),
    );
    expect(asked.filter((line) => !line.startsWith("/simple/"))).toEqual([]);
    expect(readManifest(folder)).toEqual(before);
  });

  it("sends the token to the hub that it is for, and not where that redirects to; without one it says what is missing", async () => {
    const models = [model("gated", { sha256 })];
    const token = { value: "hf_t0ken", hosts: ["127.0.0.1"] };
    await expect(create({ models })).rejects.toThrow(
      `HTTP 401: it wants a token, or its licence accepted at ${base}o/gated (atelier:huggingfaceToken)`,
    );
    await expect(create({ models }, { ...token, hosts: ["huggingface.co"] })).rejects.toThrow("HTTP 401");
    asked.length = 0;
    expect((await create({ models }, token)).models.map(({ path }) => path)).toEqual(["models/gated/gated.ckpt"]);
    expect(asked).toContain("/o/gated/resolve/main/gated.ckpt Bearer hf_t0ken");
    expect(asked).toContain("elsewhere -");
    expect(asked.filter((line) => line.startsWith("/simple/"))).toEqual(["/simple/thing/ -"]);
  });
});
