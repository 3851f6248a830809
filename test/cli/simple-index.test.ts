import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { download } from "../../scripts/cli/bundle/download.ts";
import { indexAddresses, indexFiles } from "../../scripts/cli/simple-index.ts";

const content = "a wheel";
const sha256 = createHash("sha256").update(content).digest("hex");
let server: Server;
let folder: string;
let host: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "atelier-index-"));
  server = createServer((request, response) => {
    const login = Buffer.from(request.headers.authorization?.replace("Basic ", "") ?? "", "base64").toString();
    if (login !== "me:p@ss word") response.writeHead(401).end();
    else if (request.url === "/simple/thing/")
      response
        .writeHead(200, { "content-type": "text/html" })
        .end(`<a href="/files/thing-1.0.tar.gz#sha256=${sha256}">thing-1.0.tar.gz</a>`);
    else response.end(content);
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.close();
  rmSync(folder, { recursive: true, force: true });
});

describe("an index with a login in its address, as pip's settings have it", () => {
  it("is asked with it, and its files too", async () => {
    const [file] = await indexFiles(`http://me:p%40ss%20word@${host}/simple`, "Thing");
    expect(file).toMatchObject({ file: "thing-1.0.tar.gz", sha256 });
    const path = join(folder, "file");
    await download({ urls: [file?.url ?? ""], path, sha256 }, { progress: () => {} });
    expect(readFileSync(path, "utf8")).toBe(content);
  });

  it("is told without it", async () => {
    const wrong = `http://me:hunter22@${host}/simple`;
    await expect(indexFiles(wrong, "thing")).rejects.toThrow(`http://${host}/simple/thing/ answered HTTP 401`);
    const got = download({ urls: [`${wrong}/x`], path: join(folder, "x"), sha256 }, { progress: () => {} });
    await expect(got).rejects.toThrow(`  - http://${host}/simple/x: HTTP 401`);
  });
});

describe("pip's own index", () => {
  const { PATH, UV_DEFAULT_INDEX, PIP_INDEX_URL } = process.env;
  afterEach(() => {
    Object.assign(process.env, { PATH, UV_DEFAULT_INDEX, PIP_INDEX_URL });
    for (const [name, value] of Object.entries({ UV_DEFAULT_INDEX, PIP_INDEX_URL }))
      if (value === undefined) delete process.env[name];
  });

  it("is known to a Python that has no pip, by what it would put into a virtual environment", async () => {
    delete process.env.UV_DEFAULT_INDEX;
    delete process.env.PIP_INDEX_URL;
    const [usual] = await indexAddresses(["default"]);
    expect(usual).toMatch(/^https?:/);
    const python = execFileSync("python3", ["-c", "import sys; print(sys.executable)"], { encoding: "utf8" }).trim();
    // Without what was installed beside the standard library.
    for (const name of ["python3", "python"])
      writeFileSync(join(folder, name), `#!/bin/sh\nexec '${python}' -S "$@"\n`, { mode: 0o755 });
    process.env.PATH = `${folder}${delimiter}${PATH}`;
    expect(spawnSync("python3", ["-c", "import pip"]).status).not.toBe(0);
    expect(await indexAddresses(["default"])).toEqual([usual]);
  });
});
