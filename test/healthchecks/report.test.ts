import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parseReport, ReportError, readReport, type Update, writeReport } from "../../healthchecks/report.ts";
import type { ImageKind, Proof } from "../../healthchecks/result.ts";
import { folder } from "./prove.ts";

const update: Update = {
  stack: "rehearsal",
  engine: "embedded",
  startedAt: "2026-11-23T12:00:00.000Z",
  seconds: 61.2,
  steps: [{ name: "wheels", seconds: 7.5, status: "created" }],
};

/** A proof whose pictures, of this content, lie in the folder. */
function proofIn(reportDir: string, content: string, kinds: ImageKind[] = ["txt2img", "upscale"]): Proof {
  const images = kinds.map((kind) => {
    const sha256 = createHash("sha256").update(`${kind} ${content}`).digest("hex");
    const path = `${kind}-${sha256.slice(0, 8)}.png`;
    writeFileSync(join(reportDir, path), `${kind} ${content}`);
    return {
      path,
      kind,
      seed: 42,
      width: 64,
      height: 64,
      sha256,
      model: "m [0123456789]",
      sampler: "Euler a",
      steps: 2,
      seconds: 1,
    };
  });
  return {
    ok: true,
    provedAt: "2026-11-23T12:01:00.000Z",
    webui: { url: "http://127.0.0.1:8080", version: "v1.10.1", commit: "82a973c0" },
    checks: [{ name: "ready", ok: true, seconds: 3, detail: "The first picture came after 3.0 s." }],
    images,
  };
}

const liveOf = (proof: Proof): Proof => ({
  ...proof,
  provedAt: "2026-11-24T00:00:00.000Z",
  checks: [{ name: "live-auth", ok: true, seconds: 0.1, detail: "Refused and accepted." }],
  images: [],
});

test("a report has the agreed form, and reads back", () => {
  const reportDir = folder();
  const proof = proofIn(reportDir, "one");
  const report = writeReport({ reportDir, update, proof, live: liveOf(proof) });
  expect(Object.keys(report).sort()).toEqual(
    ["stack", "engine", "startedAt", "provedAt", "seconds", "webui", "steps", "checks", "images"].sort(),
  );
  expect(report.provedAt).toBe(proof.provedAt);
  expect(report.checks.map(({ name }) => name)).toEqual(["ready", "live-auth"]);
  expect(report.images).toEqual(proof.images);
  expect(readReport(reportDir)).toEqual(report);
  expect(parseReport(readFileSync(join(reportDir, "report.json"), "utf8"))).toEqual(report);
});

test("a Dify's proof stands beside the WebUI's, its pictures among the others", () => {
  const reportDir = folder();
  const proof = proofIn(reportDir, "one");
  const apps = [
    { name: "a", mode: "agent-chat" as const, ok: true, seconds: 2, image: "dify-agent-x.png", detail: "Drawn." },
  ];
  const dify: Proof = {
    ...proofIn(reportDir, "two", ["dify-agent", "dify-chatflow"]),
    provedAt: "2026-11-23T11:00:00.000Z",
    checks: [{ name: "dify-agent", ok: true, seconds: 2, detail: "Drawn." }],
    dify: { url: "http://127.0.0.1:8081", version: "1.14.2", apps },
  };
  const old = proofIn(reportDir, "old", ["dify-agent"]).images[0]!;
  const report = writeReport({ reportDir, update, proof, dify, live: liveOf(proof) });
  expect(report.images.map(({ kind }) => kind)).toEqual(["txt2img", "upscale", "dify-agent", "dify-chatflow"]);
  expect(report.checks.map(({ name }) => name)).toEqual(["ready", "dify-agent", "live-auth"]);
  expect(report.dify).toEqual(dify.dify);
  // The older of the two: what it says was so then.
  expect(report.provedAt).toBe(dify.provedAt);
  expect(existsSync(join(reportDir, old.path))).toBe(false);
  for (const { path } of report.images) expect(existsSync(join(reportDir, path))).toBe(true);
});

test("of an update that failed, it says why, and leaves every picture: the next one may name them", () => {
  const reportDir = folder();
  const held = proofIn(reportDir, "held");
  writeReport({ reportDir, update, proof: held });
  const failed: Proof = {
    ...proofIn(reportDir, "failed", ["txt2img"]),
    ok: false,
    checks: [{ name: "upscale", ok: false, seconds: 3, detail: "One flat colour. Try another upscaler." }],
  };
  const problems = ["smoke: The proof failed, 1 of 4 checks"];
  const report = writeReport({ reportDir, update: { ...update, problems }, proof: failed });
  expect(readReport(reportDir)).toEqual(report);
  expect(report).toMatchObject({ problems, checks: failed.checks, images: failed.images });
  for (const { path } of held.images) expect(existsSync(join(reportDir, path))).toBe(true);
  writeReport({ reportDir, update, proof: held });
  for (const { path } of held.images) expect(existsSync(join(reportDir, path))).toBe(true);
  for (const { path } of failed.images) expect(existsSync(join(reportDir, path))).toBe(false);
});

test("a report tells what was fetched and what was there, and refuses sums that are none", () => {
  const reportDir = folder();
  const proof = proofIn(reportDir, "one");
  const cache = {
    fetchedBytes: 0,
    cachedBytes: 12,
    seconds: 4.1,
    coldSeconds: 31,
    items: [{ name: "webui", kind: "git", bytes: 12, source: "cache", cached: true }],
  };
  expect(writeReport({ reportDir, update: { ...update, cache }, proof }).cache).toEqual(cache);
  const wrong = { ...cache, fetchedBytes: -1 };
  expect(() => writeReport({ reportDir, update: { ...update, cache: wrong }, proof })).toThrow(/cache.fetchedBytes/);
  expect(readReport(reportDir)?.cache).toEqual(cache);
});

test("old pictures go once the new report stands, other files stay", () => {
  const reportDir = folder();
  const old = proofIn(reportDir, "old");
  writeReport({ reportDir, update, proof: old });
  writeFileSync(join(reportDir, "mine.png"), "");
  writeFileSync(join(reportDir, ".upscale-00000000.png.1.part"), "");
  const proof = proofIn(reportDir, "new");
  // Both are there until the report names the new ones.
  expect(old.images.every(({ path }) => existsSync(join(reportDir, path)))).toBe(true);
  writeReport({ reportDir, update, proof });
  expect(readdirSync(reportDir).sort()).toEqual(
    ["mine.png", "report.json", ...proof.images.map(({ path }) => path)].sort(),
  );
});

test("a report that can't be made leaves the old one and its pictures", () => {
  const reportDir = folder();
  const old = proofIn(reportDir, "old");
  const before = writeReport({ reportDir, update, proof: old });
  const proof = proofIn(reportDir, "new");
  expect(() => writeReport({ reportDir, update: { ...update, seconds: -1 }, proof })).toThrow(ReportError);
  expect(readReport(reportDir)).toEqual(before);
  expect(old.images.every(({ path }) => existsSync(join(reportDir, path)))).toBe(true);
});

test("an update that proved nothing anew keeps the last proof's pictures", () => {
  const reportDir = folder();
  const proof = proofIn(reportDir, "one");
  writeReport({ reportDir, update, proof });
  const later = { ...update, startedAt: "2026-11-24T00:00:00.000Z", seconds: 3, steps: [] };
  const report = writeReport({ reportDir, update: later, proof, live: liveOf(proof) });
  expect(report).toMatchObject({ startedAt: later.startedAt, provedAt: proof.provedAt, images: proof.images });
  expect(proof.images.every(({ path }) => existsSync(join(reportDir, path)))).toBe(true);
});

test("a picture that is not there, or not the proved one, is not reported", () => {
  const reportDir = folder();
  const proof = proofIn(folder(), "elsewhere");
  expect(writeReport({ reportDir, update, proof }).images).toEqual([]);
  writeFileSync(join(reportDir, proof.images[0]!.path), "something else");
  expect(writeReport({ reportDir, update, proof }).images).toEqual([]);
});

describe("reading", () => {
  test("no report yet", () => expect(readReport(folder())).toBeUndefined());

  test("what is not one is refused with every mistake", () => {
    const reportDir = folder();
    const good = writeReport({ reportDir, update, proof: proofIn(reportDir, "one") });
    expect(() => parseReport("{")).toThrow(/not JSON/);
    const [image] = good.images;
    const bad = {
      ...good,
      engine: "other",
      seconds: undefined,
      images: [{ ...image, path: "../up.png", kind: "video", sha256: "x" }],
    };
    const message = (() => {
      try {
        parseReport(JSON.stringify(bad));
      } catch (error) {
        return String(error);
      }
      return "accepted";
    })();
    for (const key of ["engine", "seconds", "images.0.path", "images.0.kind", "images.0.sha256"])
      expect(message).toContain(`  ${key}: `);
    expect(message).toMatch(/has 5 mistake\(s\)/);
  });

  test.each(["/abs.png", "..", "a/../b.png", "a/b.png"])("a picture at %s is refused", (path) => {
    const reportDir = folder();
    const good = writeReport({ reportDir, update, proof: proofIn(reportDir, "one") });
    expect(() => parseReport(JSON.stringify({ ...good, images: [{ ...good.images[0], path }] }))).toThrow(
      /images\.0\.path/,
    );
  });
});
