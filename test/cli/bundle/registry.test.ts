import { createHash } from "node:crypto";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import { Repository } from "../../../scripts/cli/bundle/registry.ts";

let server: Server;
afterEach(() => {
  server.closeAllConnections();
  server.close();
});

async function serve(listener: RequestListener): Promise<string> {
  server = createServer(listener).listen(0, "127.0.0.1");
  await new Promise((done) => server.once("listening", done));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const manifest = JSON.stringify({ schemaVersion: 2 });
const digest = `sha256:${createHash("sha256").update(manifest).digest("hex")}`;

test("a token is asked for where the registry says, for the repository, and kept", async () => {
  const asked: string[] = [];
  const base = await serve((request, response) => {
    asked.push(`${request.url} ${request.headers.authorization ?? ""}`.trim());
    if (request.url?.startsWith("/token")) return response.end(JSON.stringify({ token: "given", expires_in: 300 }));
    if (request.headers.authorization === "Bearer given") return response.end(manifest);
    response.writeHead(401, { "www-authenticate": `Bearer realm="${base}/token",service="shop"` }).end();
  });
  const repository = new Repository(base, "owner/name");
  expect((await repository.manifest("latest")).digest).toBe(digest);
  expect((await repository.manifest(digest)).bytes.toString()).toBe(manifest);
  expect(asked).toEqual([
    "/v2/owner/name/manifests/latest",
    "/token?service=shop&scope=repository%3Aowner%2Fname%3Apull",
    "/v2/owner/name/manifests/latest Bearer given",
    `/v2/owner/name/manifests/${digest} Bearer given`,
  ]);
});

test("a server of tokens that says nothing is left at Ctrl-C", async () => {
  const stop = new AbortController();
  const base = await serve((request, response) => {
    if (request.url?.startsWith("/token")) stop.abort(new Error("stopped"));
    else response.writeHead(401, { "www-authenticate": `Bearer realm="${base}/token",service="shop"` }).end();
  });
  await expect(new Repository(base, "a/b").manifest("1", stop.signal)).rejects.toThrow("stopped");
});

test("a registry that wants a login is named with its answer", async () => {
  const base = await serve((_, response) =>
    response.writeHead(401, { "www-authenticate": 'Basic realm="Registry"' }).end(),
  );
  await expect(new Repository(base, "a/b").manifest("1")).rejects.toThrow(
    `${base}/v2/a/b: HTTP 401, and it hands out no token without a login`,
  );
});

test("what is no manifest is not listened to until it ends, for it may never", async () => {
  let sent = 0;
  const base = await serve((_, response) => {
    response.on("error", () => {});
    const more = () => {
      while (!response.destroyed) {
        sent += 1 << 16;
        if (!response.write(Buffer.alloc(1 << 16))) return response.once("drain", more);
      }
    };
    more();
  });
  await expect(new Repository(base, "a/b").manifest("1")).rejects.toThrow(
    `${base}/v2/a/b/manifests/1: its answer is far too long for a manifest (over 4 MiB)`,
  );
  expect(sent).toBeLessThan(64 << 20);
});

test("what has another digest than was asked for is refused", async () => {
  const base = await serve((_, response) => response.end("another"));
  await expect(new Repository(base, "a/b").manifest(digest)).rejects.toThrow(/what it sent has the digest sha256:/);
});
