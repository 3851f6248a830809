import { existsSync, mkdirSync, readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { upstreamRequests } from "../../rehearsal/index.ts";
import { noSshd } from "../helpers/sshd.ts";
import { Project } from "./project.ts";

/** A host that was given back, and taken again with its cache. */
describe.skipIf(noSshd)("a rebuild", () => {
  const project = new Project();
  const cache = join(project.home, "cache");
  const succeeds = async (args: string[]) => {
    const answer = await project.atelier(args);
    expect(answer.exitCode, answer.all).toBe(0);
    return answer.all;
  };
  /** What the stand-in upstreams were asked for, but for preflight's question who answers: it takes a byte of each at most. */
  const asked = () =>
    upstreamRequests({ dir: join(project.home, "t", "upstreams") })
      .filter(({ range, path }) => range !== "bytes=0-0" && !/^\/(git|hf|modelscope)\/$/.test(path))
      .map(({ method, path, bytes }) => ({ method, path, bytes }));

  beforeAll(async () => {
    // A cache of its own, empty: this one is about the downloads.
    rmSync(cache);
    mkdirSync(cache);
    await project.settings();
  });
  afterAll(() => project.remove());

  it("fetches nothing: no model, no wheel, no git; and the report says so", async () => {
    const first = await succeeds(["up", "--skip-preview"]);
    const cold = project.report().cache;
    expect(first).toMatch(/Cache +0 B from the cache, \d+(\.\d)? MB fetched/);
    expect(cold?.fetchedBytes).toBeGreaterThan(10e6);
    expect(new Set(cold?.items.map(({ kind }) => kind))).toEqual(new Set(["git", "wheels", "model", "tool"]));
    await succeeds(["down"]);
    const before = files(cache);

    // Whatever lies outside this machine is out of reach now.
    await project.settings({ host: { proxy: "http://127.0.0.1:1" } });
    const second = await succeeds(["up", "--skip-preview"]);
    expect(asked()).toEqual([]);
    expect(files(cache)).toEqual(before);
    const warm = project.report().cache;
    expect(warm).toMatchObject({ fetchedBytes: 0, coldSeconds: cold?.seconds });
    expect(warm?.cachedBytes).toBeGreaterThan(10e6);
    expect(warm?.items.every(({ cached }) => cached)).toBe(true);
    expect(second).toMatch(/Cache +\d+(\.\d)? MB from the cache, 0 B fetched, in .* s \(cold: .* s\)/);
  });
});

/** Every file of a cache that is worth a download, with its identity. */
function files(folder: string): Record<string, number> {
  const found: Record<string, number> = {};
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isFile() && existsSync(path) && statSync(path).size > 100_000) found[path] = statSync(path).ino;
  }
  return found;
}
