import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, expect, test, vi } from "vitest";

const home = mkdtempSync(join(tmpdir(), "atelier-purge-"));
// It is read when the module is loaded.
vi.stubEnv("ATELIER_HOME", home);
const { unusedCaches } = await import("../../scripts/cli/purge.ts");
afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(home, { recursive: true, force: true });
});

function write(path: string, text = ""): void {
  mkdirSync(dirname(join(home, path)), { recursive: true });
  writeFileSync(join(home, path), text);
}

test("a purge leaves what another stack leans on: models that its workspace claims, files that its stand-in upstreams serve", () => {
  expect(unusedCaches()).toEqual(["host", "upstreams"]);
  // It has begun, and has no workspace yet.
  write("other/upstreams/upstreams.json", "{}");
  expect(unusedCaches()).toEqual(["host"]);
  write("cache/host/uses/1", `${join(home, "other/host/workspace")}\n`);
  expect(unusedCaches()).toEqual(["host"]);
  write("other/host/workspace/run/id");
  expect(unusedCaches()).toEqual([]);
});
