import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { explain, refused } from "../../../engine/src/providers/docker/client/errors.ts";
import { registryDigest } from "../../../engine/src/providers/docker/registry/digest.ts";

const noOpenssl = spawnSync("openssl", ["version"]).error === undefined ? undefined : "no openssl on this machine";
const digest = `sha256:${"a".repeat(64)}`;
const dir = mkdtempSync(join(tmpdir(), "registry-tls-"));
let server: Server;
let base: string;

beforeAll(async () => {
  if (noOpenssl) return;
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "key.pem"];
  const made = ["-out", "cert.pem", "-days", "1", "-subj", "/CN=r", "-addext", "subjectAltName=IP:127.0.0.1"];
  execFileSync("openssl", ["req", "-x509", ...key, ...made], { cwd: dir, stdio: "pipe" });
  const read = (name: string) => readFileSync(join(dir, name));
  server = createServer({ key: read("key.pem"), cert: read("cert.pem") }, (_, answer) =>
    answer.writeHead(200, { "docker-content-digest": digest }).end(),
  );
  await new Promise<void>((listens) => server.listen(0, "127.0.0.1", listens));
  base = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server?.close();
  rmSync(dir, { recursive: true, force: true });
});

const ask = (options: { insecure?: boolean; base?: string } = {}) =>
  registryDigest("redis:6-alpine", {
    logins: [],
    insecure: false,
    signal: AbortSignal.timeout(20_000),
    base,
    ...options,
  });

describe.skipIf(noOpenssl)(`a registry over TLS${noOpenssl ? ` (skipped: ${noOpenssl})` : ""}`, () => {
  test("of an authority that is not known here says how to name it; unverified it tells the digest", async () => {
    await expect(ask()).rejects.toThrow(
      /for the digest of redis:6-alpine: self-signed certificate\. Where an authority of your own .* NODE_EXTRA_CA_CERTS=ca\.pem\.$/,
    );
    await expect(ask({ base: "https://127.0.0.1:1" })).rejects.toThrow(/Check the registry's address/);
    expect(await ask({ insecure: true })).toBe(digest);
  });
});

test("what an engine says of a registry has its mend", () => {
  const said = (message: string) => explain({ statusCode: 500, json: { message } }, "pull x", "unix:///s").message;
  expect(said("unauthorized: authentication required")).toContain("Give the provider a registryAuth");
  expect(said('Get "https://r.example:5000/v2/": x509: certificate signed by unknown authority')).toMatch(
    /unknown authority\. The engine does not know who .*, as \/etc\/docker\/certs\.d\/r\.example:5000\/ca\.crt$/,
  );
  expect(said("pull access denied for x, repository does not exist or may require 'docker login'")).toMatch(
    /Look at the/,
  );
  const line = refused("pull x", "the Docker engine said", "write /var/lib/docker/x: no space left on device");
  expect(line.message).toMatch(/no space left on device\. Free some/);
  // The engine's own certificate is another matter.
  expect(said("x509: certificate signed by unknown authority")).not.toContain("certs.d");
});
