import { createHash, randomBytes } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { download } from "../../../scripts/cli/bundle/download.ts";

const content = randomBytes(300_000);
const sha256 = createHash("sha256").update(content).digest("hex");
const bytes = content.length;
let folder: string;
let path: string;
const servers: Server[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "atelier-download-"));
  path = join(folder, "file");
});
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
  rmSync(folder, { recursive: true, force: true });
});

async function serve(answer: (request: IncomingMessage, response: ServerResponse) => void): Promise<string> {
  const server = createServer(answer);
  servers.push(server);
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/file`;
}
/** From where a client asks; 0 without a range. */
const start = (request: IncomingMessage) => Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
const honest = (request: IncomingMessage, response: ServerResponse) => {
  const from = start(request);
  response.writeHead(from > 0 ? 206 : 200, { "content-length": bytes - from });
  response.end(content.subarray(from));
};
const get = (urls: string[]) => download({ urls, path, bytes, sha256 }, { progress: () => {} });

describe("a file of a bundle", () => {
  it("that nobody has is no file: each address with its own reason", async () => {
    const refused = await serve((_, response) => response.writeHead(403).end());
    const portal = await serve((_, response) => response.setHeader("content-type", "text/html").end("<p>log in</p>"));
    const lying = await serve((_, response) => response.end(Buffer.alloc(bytes)));
    const error = await get([refused, portal, lying]).catch((reason: Error) => reason.message);
    expect(error).toContain(`${refused}: HTTP 403`);
    expect(error).toContain(`${portal}: a page instead of the file`);
    expect(error).toMatch(/its sha256 is [0-9a-f]{64}; wanted: /);
    expect([existsSync(path), existsSync(`${path}.part`)]).toEqual([false, false]);
  });

  it("is taken from the next address where the first lies about it", async () => {
    const lying = await serve((_, response) => response.end(Buffer.alloc(bytes)));
    expect(await get([lying, await serve(honest)])).toEqual({ bytes, sha256, here: false });
    expect(readFileSync(path).equals(content)).toBe(true);
  });

  it("goes on where a line was cut, also at another address", async () => {
    const asked: number[] = [];
    const cutting = await serve((request, response) => {
      asked.push(start(request));
      const from = start(request);
      if (from >= 200_000) return void response.writeHead(503).end();
      response.writeHead(from > 0 ? 206 : 200, { "content-length": bytes - from });
      response.write(content.subarray(from, from + 100_000), () => setTimeout(() => response.destroy(), 30));
    });
    const rest: number[] = [];
    const other = await serve((request, response) => {
      rest.push(start(request));
      honest(request, response);
    });
    expect(await get([cutting, other])).toMatchObject({ sha256 });
    expect(asked.slice(0, 2)).toEqual([0, 100_000]);
    expect(rest).toEqual([200_000]);
  });

  it("that is there is checked, and brought anew where it is not what it should be", async () => {
    let asked = 0;
    const url = await serve((request, response) => {
      asked++;
      honest(request, response);
    });
    await get([url]);
    expect(await get([url])).toEqual({ bytes, sha256, here: true });
    expect(asked).toBe(1);
    writeFileSync(path, Buffer.alloc(bytes));
    expect(await get([url])).toEqual({ bytes, sha256, here: false });
  });
});
