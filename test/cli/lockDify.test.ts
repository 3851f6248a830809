import { createHash } from "node:crypto";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { difyDigests, difyImages, difyPlugins, tunnelBase } from "../../images/dify.ts";
import { type AtelierLock, knownDify, lockOfFiles } from "../../images/lock.ts";
import { lookAtDify } from "../../scripts/cli/lock/dify.ts";
import { freshPlugins } from "../../scripts/cli/recorded.ts";
import { noRegistry, type Registry, startRegistry } from "../engine/docker/registry.ts";

type Dify = AtelierLock["dify"];
const none = { images: {}, plugins: {} };
const silent = "http://127.0.0.1:1";
const tool = difyPlugins.tool;
const identifier = `${tool.id}:${tool.version}@${"a".repeat(64)}`;
let registry: Registry;
let marketplace: Server;
let shop: string;
let served = identifier;

const digestOf = (text: string) => `sha256:${createHash("sha256").update(text).digest("hex")}`;

/** An image of nothing, by the registry's own API. */
async function push(name: string, note: string): Promise<string> {
  const [repository = "", tag = ""] = name.split(":");
  const base = `http://${registry.address}/v2/${repository}`;
  const config = JSON.stringify({ architecture: "amd64", os: "linux", note });
  const begun = await fetch(`${base}/blobs/uploads/`, { method: "POST" });
  const where = new URL(begun.headers.get("location") ?? "", base);
  where.searchParams.set("digest", digestOf(config));
  await fetch(where, { method: "PUT", body: config, headers: { "content-type": "application/octet-stream" } });
  const type = "application/vnd.docker.distribution.manifest.v2+json";
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: type,
    config: {
      mediaType: "application/vnd.docker.container.image.v1+json",
      size: config.length,
      digest: digestOf(config),
    },
    layers: [],
  });
  const put = await fetch(`${base}/manifests/${tag}`, {
    method: "PUT",
    body: manifest,
    headers: { "content-type": type },
  });
  expect(put.status).toBe(201);
  return digestOf(manifest);
}

describe("what is known of a Dify before anybody is asked", () => {
  const computed = `${tool.id}:${tool.version}@${"b".repeat(64)}`;
  const other = computed.replace(/b+$/, "c".repeat(64));
  const files = knownDify(undefined);
  const locked = (entry: Omit<Dify["plugins"][string], "version">): Dify => ({
    images: {},
    plugins: { [tool.id]: { version: tool.version, ...entry } },
  });
  const of = (before: Dify, recorded = {}) => knownDify(before, recorded).plugins[tool.id];

  test("is what public files have: every image by its digest, every plugin, and where each fact is from", () => {
    expect(Object.keys(files.images).sort()).toEqual([...new Set([...Object.values(difyImages), tunnelBase])].sort());
    expect(Object.keys(files.plugins)).toEqual(Object.values(difyPlugins).map(({ id }) => id));
    expect(files.plugins[tool.id]).toMatchObject({ version: tool.version, computed: true });
    for (const { evidence } of [...Object.values(difyDigests), ...Object.values(difyPlugins)])
      expect(evidence.length).toBeGreaterThan(20);
  });

  test("is, before that, what the lock has for sure, and what this machine recorded", () => {
    expect(of(locked({ identifier: other }))).toEqual({ version: tool.version, identifier: other });
    expect(of(locked({ identifier: computed, computed: true }))).toEqual(files.plugins[tool.id]);
    const recorded = { [tool.id]: { version: tool.version, identifier: other, at: "2026-11-28" } };
    expect(of(locked({ identifier: computed, computed: true }), recorded)).toEqual({
      version: tool.version,
      identifier: other,
    });
    expect(of(locked({ identifier: computed }), recorded)?.identifier).toBe(computed);
    // Of another version than is wanted now, neither counts.
    const stale = { [tool.id]: { version: "0.0.1", identifier: `${tool.id}:0.0.1@${"d".repeat(64)}` } };
    expect(of({ images: {}, plugins: stale }, stale)).toEqual(files.plugins[tool.id]);
    expect(knownDify({ images: { "redis:6-alpine": "sha256:1", "gone:1": "sha256:2" }, plugins: {} }).images).toEqual({
      ...files.images,
      "redis:6-alpine": "sha256:1",
    });
  });

  test("is recorded of what the marketplace gave, and of nothing else", () => {
    const lock = (entry: Parameters<typeof locked>[0]) => ({ ...lockOfFiles(), dify: locked(entry) });
    const unsure = lock({ identifier: computed, computed: true });
    const came = { identifier: other, made: true, source: "marketplace" };
    const at = expect.any(String);
    expect(freshPlugins([came, undefined], {}, unsure)).toEqual({
      [tool.id]: { version: tool.version, identifier: other, at },
    });
    expect(freshPlugins([{ ...came, source: "package" }, { ...came, made: false }, {}], {}, unsure)).toEqual({});
    expect(freshPlugins([came], {}, lock({ identifier: computed }))).toEqual({});
    expect(freshPlugins([came], { [tool.id]: { version: tool.version, identifier: computed } }, unsure)).toEqual({});
  });
});

describe.skipIf(noRegistry)(`the lock of a Dify${noRegistry ? ` (skipped: ${noRegistry})` : ""}`, () => {
  beforeAll(async () => {
    registry = await startRegistry({ open: true });
    marketplace = createServer((request, response) => {
      const versions = [
        { version: "0.0.1", unique_identifier: "other" },
        { version: tool.version, unique_identifier: served },
      ];
      if (request.url?.startsWith(`/api/v1/plugins/${tool.id}/versions?`))
        response.end(JSON.stringify({ code: 0, data: { versions } }));
      else if (request.url?.startsWith("/api/v1/plugins/langgenius/ollama/"))
        response.end(JSON.stringify({ code: 0, data: { versions: [] } }));
      else response.writeHead(503).end();
    });
    await new Promise<void>((listens) => marketplace.listen(0, "127.0.0.1", listens));
    shop = `http://127.0.0.1:${(marketplace.address() as AddressInfo).port}`;
  });
  afterAll(async () => {
    marketplace?.close();
    await registry?.stop();
  });

  test("takes digests from the first registry that has them, and identifiers from the marketplace; --check tells what moved", async () => {
    const redis = await push("library/redis:6-alpine", "one");
    const api = await push(difyImages.api, "api");
    const asked = { docker: [silent, `http://${registry.address}`], marketplace: shop };
    const first = await lookAtDify(none, asked);
    expect(first.dify.images).toMatchObject({ "redis:6-alpine": redis, [difyImages.api]: api });
    expect(Object.keys(first.dify.images)).toHaveLength(2);
    expect(first.dify.plugins).toEqual({ [tool.id]: { version: tool.version, identifier } });
    const status = (look: typeof first, name: string) => look.findings.find((one) => one.name.startsWith(name))?.status;
    expect([
      status(first, "redis"),
      status(first, "langgenius/dify-web"),
      status(first, "langgenius/ollama"),
      status(first, "langgenius/tongyi"),
    ]).toEqual(["same", "unreachable", "moved", "unreachable"]);

    // Where nobody answers, what was locked stays.
    const nobody = await lookAtDify(first.dify, { docker: [silent], marketplace: silent });
    expect(nobody.dify).toEqual(first.dify);
    expect(new Set(nobody.findings.map((one) => one.status))).toEqual(new Set(["unreachable"]));
    // A word for all images and one for all plugins, so that they can be told in a line each.
    expect(new Set(nobody.findings.map((one) => one.detail)).size).toBe(2);

    const moved = await push("library/redis:6-alpine", "two");
    served = identifier.replaceAll("a", "b").replace(/^.*@/, `${tool.id}:${tool.version}@`);
    const later = await lookAtDify(first.dify, asked);
    expect(later.findings.find(({ name }) => name === "redis:6-alpine")).toMatchObject({
      status: "moved",
      detail: `the tag was at ${redis}, is at ${moved}`,
    });
    expect(status(later, tool.id)).toBe("moved");
    expect(later.dify.plugins[tool.id]).toEqual({ version: tool.version, identifier: served });
    expect(status(later, difyImages.api)).toBe("same");
  });
});
