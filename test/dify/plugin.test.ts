import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { makePackage } from "../../rehearsal/dify/packages.ts";
import { secrets, World } from "./world.ts";

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

let world: World;
beforeAll(async () => {
  world = await new World().start();
  await world.apply(world.items.setup);
});
afterAll(() => world.stop());

const sd = "langgenius/stablediffusion";
const installed = () => world.dify.state.plugins.map(({ package: id }) => id.split("@")[0]);
const identifier = (version = "0.0.7") =>
  world.dify.state.plugins.find(({ package: id }) => id.startsWith(`${sd}:${version}@`))?.package;
const item = (plugin: object) => ({ item: "plugin", plugin: { id: sd, version: "0.0.7", ...plugin } });
const fails = async (...args: Parameters<World["run"]>) => {
  const { code, stderr } = await world.run(...args);
  expect(code).toBe(1);
  return stderr;
};

describe("a package", () => {
  test("that is not there, or another one than the plan knew, is not sent", async () => {
    const { sha256 } = world.package("stablediffusion");
    expect(await fails(item({ package: { path: "gone.difypkg", sha256 } }))).toMatch(
      /The package of langgenius\/stablediffusion is at none of: .*gone\.difypkg.*dify\.plugins/,
    );
    const changed = { ...world.package("stablediffusion"), sha256: "0".repeat(64) };
    expect(await fails(item({ package: changed }))).toMatch(/has changed since the plan/);
  });

  test("without a signature is refused, and the error says why", async () => {
    expect(await fails(item({ package: world.package("stablediffusion", { signed: false }) }))).toMatch(
      /400 plugin_error: .*bad signature\. .*FORCE_VERIFYING_SIGNATURE/,
    );
  });

  test("of another plugin or version is not installed", async () => {
    const other = world.package("stablediffusion", { version: "0.0.6" });
    expect(await fails(item({ package: other }))).toMatch(/is langgenius\/stablediffusion:0\.0\.6@.*not .* 0\.0\.7/);
    const locked = `${sd}:0.0.7@${"a".repeat(64)}`;
    expect(await fails(item({ package: world.package("stablediffusion"), identifier: locked }))).toMatch(
      /the lock has langgenius\/stablediffusion:0\.0\.7@a{64}\. It is not installed/,
    );
    expect(installed()).toEqual([]);
  });

  test("whose own packages can't be had names the mend", async () => {
    world.dify.lies.order("install_fails", 1);
    expect(await fails(world.items.sdPlugin)).toMatch(
      /installation of langgenius\/stablediffusion 0\.0\.7 failed: [\s\S]*dify\.pipMirror/,
    );
  });

  test("is installed, and a second time nothing happens", async () => {
    const facts = await world.apply(world.items.sdPlugin);
    expect(facts).toEqual({ identifier: identifier(), made: true });
    const before = [...world.dify.state.plugins];
    const env = { PULUMI_COMMAND_STDOUT: JSON.stringify(facts) };
    expect(await world.apply(world.items.sdPlugin, { env })).toEqual(facts);
    expect(world.dify.state.plugins).toEqual(before);
  });

  test("of another checksum takes the place of the old one, where Dify itself would say success and keep it", async () => {
    const old = identifier();
    const other = item({
      package: world.package("stablediffusion", { author: "langgenius", signed: true, version: "0.0.7" }),
    });
    // Signed anew over other contents.
    world.dify.config.forceVerifyingSignature = false;
    const unsigned = item({ package: world.package("stablediffusion", { signed: false }) });
    const { identifier: now } = await world.apply(unsigned);
    expect(now).not.toBe(old);
    expect(identifier()).toBe(now);
    expect(installed()).toEqual([`${sd}:0.0.7`]);
    await world.apply(other);
    expect(identifier()).toBe(old);
  });

  test("waits for a plugin daemon that is still starting, and says so when it never comes", async () => {
    world.dify.lies.order("daemon_down");
    const late = world.run(world.items.sdPlugin, "apply", { dify: { timeout: 4 } });
    expect(await late).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/Failed to request plugin daemon[\s\S]*read the log/),
    });
    const soon = world.run(world.items.sdPlugin);
    await new Promise((resolve) => setTimeout(resolve, 5000));
    world.dify.lies.clear();
    expect(await soon).toMatchObject({ code: 0 });
  });
});

describe("the marketplace", () => {
  test("without a locked checksum is not asked", async () => {
    expect(await fails(item({ id: "langgenius/ollama", version: "1.0.0" }))).toMatch(
      /No checksum of langgenius\/ollama 1\.0\.0 is locked.*ollama\.difypkg/,
    );
    expect(world.marketplace.asked).toEqual([]);
  });

  test("that serves something else than the lock says fails, and what came is taken away again", async () => {
    world.marketplace.packages.set("langgenius/ollama", makePackage("ollama"));
    const wrong = `langgenius/ollama:1.0.0@${"0".repeat(64)}`;
    const said = await fails(item({ id: "langgenius/ollama", version: "1.0.0", identifier: wrong }));
    expect(said).toMatch(
      /Installed was langgenius\/ollama:1\.0\.0@[1-9a-f][0-9a-f]{63}, wanted .*@0{64}: .*taken away again/,
    );
    expect(installed()).toEqual([`${sd}:0.0.7`]);
  });

  test("that serves what the lock says is good", async () => {
    const { package: _, ...rest } = item({}).plugin as Record<string, unknown>;
    const known = Object.keys(world.dify.state.packages).find((id) => id.startsWith("langgenius/ollama:"));
    const ollama = { ...rest, id: "langgenius/ollama", version: "1.0.0", identifier: known };
    expect(await world.apply({ item: "plugin", plugin: ollama })).toEqual({ identifier: known, made: true });
  });

  test("that can't be reached says which way there is", async () => {
    await world.marketplace.stop();
    const id = `langgenius/tongyi:0.2.13@${"1".repeat(64)}`;
    expect(await fails(item({ id: "langgenius/tongyi", version: "0.2.13", identifier: id }))).toMatch(
      /answered 400.*\. Dify's API fetches it from the marketplace: .*dify\.proxy/,
    );
  });
});

describe("in somebody's Dify", () => {
  const own = false;

  test("a plugin of another version is not replaced, but by --force", async () => {
    const user = await world.user();
    const old = await user.install(makePackage("stablediffusion", { version: "0.0.6" }));
    const there = world.dify.state.plugins.find(({ package: id }) => id.startsWith(`${sd}:0.0.7`));
    await user.console("POST", "/workspaces/current/plugin/uninstall", { plugin_installation_id: there?.id });
    await user.console("POST", "/workspaces/current/plugin/install/pkg", { plugin_unique_identifiers: [old] });
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(await fails(world.items.sdPlugin, "apply", { own })).toMatch(
      /has langgenius\/stablediffusion:0\.0\.6@.*tried with version 0\.0\.7.*other apps there.*--force/,
    );
    expect(identifier("0.0.6")).toBe(old);
    const facts = await world.apply(world.items.sdPlugin, { own, env: { ATELIER_FORCE: "1" } });
    expect(facts).toEqual({ identifier: identifier(), made: true });
  });

  test("one that was there is used, and stays; one that was made goes", async () => {
    const facts = await world.apply(world.items.sdPlugin, { own });
    expect(facts).toEqual({ identifier: identifier(), made: false });
    const env = { PULUMI_COMMAND_STDOUT: JSON.stringify(facts) };
    expect((await world.run(world.items.sdPlugin, "remove", { own, env })).code).toBe(0);
    expect(identifier()).toBeDefined();
    const made = { PULUMI_COMMAND_STDOUT: JSON.stringify({ ...facts, made: true }) };
    expect((await world.run(world.items.sdPlugin, "remove", { own: true, env: made })).code).toBe(0);
    expect(identifier()).toBeDefined();
    expect((await world.run(world.items.sdPlugin, "remove", { own, env: made })).code).toBe(0);
    expect(identifier()).toBeUndefined();
  });
});

test("no secret was printed", () => {
  for (const secret of Object.values(secrets)) expect(world.printed).not.toContain(secret);
});
