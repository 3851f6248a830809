import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type MadeWheel, makeWheel } from "./lib/wheel.ts";
import { type Inputs, sharedCache, Workspace } from "./lib/workspace.ts";

/** uv comes from the cache that the tests share; what these tests install comes from indexes of their own. */
const workspace = new Workspace();
const servers: Server[] = [];
let good: MadeWheel;
let bad: MadeWheel;

/** An index of one wheel, which may tell the hash of another. */
async function index(wheel: MadeWheel, told = wheel.sha256): Promise<{ url: string; asked: string[] }> {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(request.url ?? "");
    const page = `<a href="/files/${good.file}#sha256=${told}">${good.file}</a>`;
    if (request.url === `/simple/${wheel.name.replace("_", "-")}/`)
      response.setHeader("content-type", "text/html").end(page);
    else if (request.url === `/files/${good.file}`) response.end(readFileSync(wheel.path));
    else response.writeHead(404).end();
  });
  servers.push(server);
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/simple`, asked };
}

const wheels = (inputs: Inputs = {}, verb = "apply") =>
  workspace.run("50-wheels.sh", verb, { lock_name: "test", lock: good.locked, ...inputs });
const module = () => readFileSync(join(workspace.path, "venv/lib", version(), "site-packages/atelier_test.py"), "utf8");
const version = () =>
  readFileSync(join(workspace.path, "venv/pyvenv.cfg"), "utf8").replace(
    /[\s\S]*version_info = (\d+\.\d+)[\s\S]*/,
    "python$1",
  );

beforeAll(async () => {
  good = makeWheel(join(workspace.top, "good"), "atelier_test");
  bad = makeWheel(join(workspace.top, "bad"), "atelier_test", "1.0", "answer = 'a lie'\n");
  const uv = new Workspace(sharedCache);
  const inputs = { python: "3.10\n3.11\n3.12\n3.13" };
  const made = await uv.run("30-python.sh", "apply", inputs);
  expect(made.code, made.stderr).toBe(0);
  mkdirSync(join(workspace.path, "tools/bin"), { recursive: true });
  copyFileSync(join(uv.path, "tools/bin/uv"), join(workspace.path, "tools/bin/uv"));
  copyFileSync(join(uv.path, "tools/uv.lock"), join(workspace.path, "tools/uv.lock"));
  uv.destroy();
  const { code, stderr } = await workspace.run("30-python.sh", "apply", inputs);
  expect(code, stderr).toBe(0);
});
beforeEach(async () => {
  await wheels({}, "remove");
  rmSync(join(workspace.cache, "uv"), { recursive: true, force: true });
  rmSync(join(workspace.cache, "wheels"), { recursive: true, force: true });
});
afterAll(() => {
  for (const server of servers) server.close();
  workspace.destroy();
});

describe("an index", () => {
  it("that serves another content under the name is found out, and the next one serves", async () => {
    const [open, hidden, honest] = [await index(bad), await index(bad, good.sha256), await index(good)];
    const alone = await wheels({ pypi: [hidden.url] });
    expect([alone.code, alone.stderr]).toEqual([1, expect.stringMatching(/hash/i)]);
    const { code, stderr, facts } = await wheels({ pypi: [open.url, hidden.url, honest.url] });
    expect(code, stderr).toBe(0);
    expect(module()).toBe("answer = 42\n");
    expect(facts.items).toMatchObject([{ source: honest.url, cached: false }]);
  });

  it("is not asked again for what came once: not a byte, also after everything was removed", async () => {
    const honest = await index(good);
    const first = await wheels({ pypi: [honest.url] });
    expect(first.code, first.stderr).toBe(0);
    expect(first.facts.fetchedBytes).toBe(good.bytes);
    expect(first.facts.items).toEqual([
      { name: "test", kind: "wheels", bytes: good.bytes, source: honest.url, cached: false },
    ]);
    await wheels({}, "remove");
    honest.asked.length = 0;
    const again = await wheels({ pypi: [honest.url] });
    expect(again.code, again.stderr).toBe(0);
    expect(again.facts).toMatchObject({ installed: true, fetchedBytes: 0 });
    expect(again.facts.items).toEqual([
      { name: "test", kind: "wheels", bytes: good.bytes, source: "cache", cached: true },
    ]);
    expect(honest.asked).toEqual([]);
    expect(module()).toBe("answer = 42\n");
  });

  it("is not needed for what was laid into cache/wheels; and that is held to its hash, too", async () => {
    const folder = join(workspace.cache, "wheels");
    const empty = await wheels({ pypi: ["offline"] });
    expect([empty.code, empty.stderr]).toEqual([1, expect.stringContaining("that failed with the index offline")]);
    mkdirSync(folder, { recursive: true });
    copyFileSync(bad.path, join(folder, good.file));
    expect((await wheels({ pypi: ["offline"] })).code).toBe(1);
    copyFileSync(good.path, join(folder, good.file));
    const { code, stderr, facts } = await wheels({ pypi: ["offline"] });
    expect(code, stderr).toBe(0);
    expect(facts.fetchedBytes).toBe(0);
    expect([module(), existsSync(join(folder, good.file))]).toEqual(["answer = 42\n", true]);
    expect(statSync(join(folder, good.file)).size).toBe(good.bytes);
  });
});
