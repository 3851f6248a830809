import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
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
/** How the index calls the locked file. */
let called: string;
let top: string;
let folder: string;

beforeAll(async () => {
  server = createServer((request, response) => {
    if (request.url?.startsWith("/simple/"))
      response.writeHead(200, { "content-type": "text/html" }).end(`<a href="/${file}#sha256=${sha256}">${called}</a>`);
    else response.end(wheel);
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
});
beforeEach(() => {
  called = file;
  top = mkdtempSync(join(tmpdir(), "atelier-create-"));
  folder = join(top, "bundle");
  mkdirSync(folder);
  return () => rmSync(top, { recursive: true, force: true });
});
afterAll(() => void server.close());

const put = (path: string, content: string) => {
  mkdirSync(join(folder, path, ".."), { recursive: true });
  writeFileSync(join(folder, path), content);
};

function create(changes: Partial<Contents> = {}, said: string[] = []) {
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
  const run = { say: (line: string) => void said.push(line), signal: AbortSignal.timeout(240_000) };
  return createBundle(folder, contents, { ...profiles.offline, pypi: [`${base}simple`] }, run);
}

describe("bundle create", () => {
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
});
