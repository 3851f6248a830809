import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { makePackage } from "../../rehearsal/dify/packages.ts";
import { bundledPackage } from "../../scripts/dify/bundled.ts";
import { modelItem } from "../../stacks/dify/model.ts";
import { bundleOfDify } from "../helpers/bundle.ts";
import { secrets, World } from "./world.ts";

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
      /400 plugin_error: .*bad signature\. .*FORCE_VERIFYING_SIGNATURE.*dify\.plugins\.publicKey.*changed since, is refused/,
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

  test("for which the daemon has no Python names that, and no PyPI", async () => {
    world.dify.lies.order("no_python", 1);
    const said = await fails(world.items.sdPlugin);
    expect(said).toMatch(/installation of \S+ 0\.0\.7 failed: [\s\S]*\nThe plugin daemon has no Python for it/);
    expect(said).toContain("PYTHON_INTERPRETER_PATH");
    expect(said).not.toContain("PyPI");
  });

  test("is installed, and a second time nothing happens", async () => {
    const facts = await world.apply(world.items.sdPlugin);
    expect(facts).toEqual({
      identifier: identifier(),
      installation: expect.any(String),
      made: true,
      source: "package",
      at: world.url,
    });
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
    // Dify waits for it at every question: one is asked, and counts for all.
    const before = world.asked.length;
    const { setup, ...others } = (await world.check()).facts.items;
    expect(setup).toEqual({ ok: true });
    const silent = { ok: false, why: "Dify's plugin daemon does not answer" };
    expect(Object.values(others)).toEqual(Object.keys(others).map(() => silent));
    expect(Object.keys(others).length).toBeGreaterThan(3);
    expect(world.asked.slice(before).filter((line) => /GET .*\/plugin\/list/.test(line))).toHaveLength(1);
    // At `down` nothing waits for it: what is dead is said, and what starts it.
    const { sdPlugin, tool, model } = world.items;
    const env = { PULUMI_COMMAND_STDOUT: JSON.stringify({ identifier: `${sd}:0.0.7@${"a".repeat(64)}`, made: true }) };
    for (const item of [sdPlugin, tool, model])
      expect((await world.run(item, "remove", { own: false, env })).stderr).toMatch(
        /^error: dify: The plugin daemon of \S+ does not answer, .*docker start.* run `npx atelier down` again.*Dify said: Failed/,
      );
    const soon = world.run(world.items.sdPlugin);
    await new Promise((resolve) => setTimeout(resolve, 5000));
    world.dify.lies.clear();
    expect(await soon).toMatchObject({ code: 0 });
  });
});

describe("the marketplace", () => {
  const ollama = (more: object = {}) =>
    item({ id: "langgenius/ollama", version: "1.0.0", marketplace: world.marketplace.url, ...more });
  const known = () => Object.keys(world.dify.state.packages).find((id) => id.startsWith("langgenius/ollama:")) ?? "";
  const takeAway = async () => {
    const user = await world.user();
    const there = world.dify.state.plugins.find(({ package: id }) => id === known());
    await user.console("POST", "/workspaces/current/plugin/uninstall", { plugin_installation_id: there?.id });
  };
  const computed = `langgenius/ollama:1.0.0@${"c".repeat(64)}`;

  test("that has no such version, of which no checksum is locked either, is told with every mend", async () => {
    const said = await fails(ollama());
    expect(said).toMatch(/No checksum of langgenius\/ollama 1\.0\.0 is locked, and the marketplace did not tell one:/);
    expect(said).toMatch(/- 127\.0\.0\.1:\d+ has no langgenius\/ollama 1\.0\.0 any more\n.*- Dify does not reach/);
    expect(said).toMatch(/npx atelier lock.*dify\.plugins: \{ folder/);
    expect(world.marketplace.asked.join()).not.toContain("/download");
  });

  test("tells the checksum of a version that the lock has computed only, or not at all", async () => {
    world.marketplace.packages.set("langgenius/ollama", makePackage("ollama"));
    const { facts, stderr } = await world.run(ollama({ computed }));
    expect(facts).toEqual({
      identifier: known(),
      installation: expect.any(String),
      made: true,
      source: "marketplace",
      at: world.url,
    });
    expect(stderr).toContain(`the marketplace has ${known()}; computed was ${computed}`);
    // Once it is there, nobody is asked again.
    world.marketplace.asked.length = 0;
    expect(await world.apply(ollama({ computed }), { env: { PULUMI_COMMAND_STDOUT: JSON.stringify(facts) } })).toEqual(
      facts,
    );
    expect(world.marketplace.asked).toEqual([]);
    await takeAway();
  });

  test("is asked through Dify where this machine has no way to it, and the computed checksum is tried at last", async () => {
    const through = await world.run(ollama({ marketplace: "http://127.0.0.1:1" }));
    expect(through.facts).toMatchObject({ identifier: known() });
    await takeAway();
    delete world.dify.state.packages[known()];
    world.marketplace.mute = true;
    const tried = await world.run(ollama({ computed }));
    world.marketplace.mute = false;
    expect(tried.stderr).toMatch(/HTTP 403.*trying the one that was computed/);
    expect(tried.facts).toMatchObject({ identifier: known(), made: true });
    await takeAway();
  });

  test("is held to what this machine recorded of the version", async () => {
    const home = join(world.folder, "recorded");
    mkdirSync(home);
    const recorded = { version: "1.0.0", identifier: `langgenius/ollama:1.0.0@${"d".repeat(64)}` };
    writeFileSync(join(home, "recorded.json"), JSON.stringify({ plugins: { "langgenius/ollama": recorded } }));
    expect(await fails(ollama({ computed }), "apply", { env: { ATELIER_HOME: home } })).toMatch(
      /wanted langgenius\/ollama:1\.0\.0@d{64}: what came is not what .*recorded\.json says/,
    );
  });

  test("that serves something else than the lock says fails, and what came is taken away again", async () => {
    const wrong = `langgenius/ollama:1.0.0@${"0".repeat(64)}`;
    const said = await fails(item({ id: "langgenius/ollama", version: "1.0.0", identifier: wrong }));
    expect(said).toMatch(
      /Installed was langgenius\/ollama:1\.0\.0@[1-9a-f][0-9a-f]{63}, wanted .*@0{64}: .*taken away again/,
    );
    expect(installed()).toEqual([`${sd}:0.0.7`]);
  });

  test("that serves what the lock says is good", async () => {
    expect(await world.apply(ollama({ identifier: known() }))).toEqual({
      identifier: known(),
      installation: expect.any(String),
      made: true,
      source: "marketplace",
      at: world.url,
    });
  });

  test("that can't be reached says which way there is", async () => {
    await world.marketplace.stop();
    const id = `langgenius/tongyi:0.2.13@${"1".repeat(64)}`;
    expect(await fails(item({ id: "langgenius/tongyi", version: "0.2.13", identifier: id }))).toMatch(
      /answered 400.*\. Dify's API fetches it from the marketplace: .*dify\.proxy/,
    );
  });
});

describe("a bundle", () => {
  const id = "langgenius/zhipuai";
  const wanted = { id, version: "0.0.33" };
  const bundle = () => join(world.folder, "bundle");
  const apply = (plugin: object) =>
    world.run({ item: "plugin", plugin }, "apply", { env: { ATELIER_BUNDLE: bundle(), ATELIER_STACK: "gpu" } });

  test("gives the package, and no marketplace is asked", async () => {
    const { plugins } = await bundleOfDify(bundle(), {
      plugins: [{ ...wanted, package: world.package("zhipuai").path }],
    });
    const { identifier } = plugins[0] ?? {};
    const asked = [...world.marketplace.asked];
    expect((await apply(wanted)).facts).toEqual({
      identifier,
      installation: expect.any(String),
      made: true,
      source: "package",
      at: world.url,
    });
    // Once it is there, it is not even sent.
    world.asked.length = 0;
    expect((await apply({ ...wanted, identifier })).facts).toMatchObject({ identifier });
    expect(world.asked.join("\n")).not.toContain("upload");
    expect(world.marketplace.asked).toEqual(asked);
  });

  test("without the plugin, with another one than is locked, or with changed bytes is refused by name", async () => {
    const ollama = { id: "langgenius/ollama", version: "1.0.0" };
    expect((await apply(ollama)).stderr).toMatch(
      /The bundle \S+ \(made for t\) has no plugin langgenius\/ollama 1\.0\.0; it has langgenius\/zhipuai 0\.0\.33\. `npx atelier bundle create \S+ --stack gpu` mends it/,
    );
    const identifier = `${id}:0.0.33@${"0".repeat(64)}`;
    expect(() => bundledPackage(bundle(), { ...wanted, identifier })).toThrow(
      /has langgenius\/zhipuai:0\.0\.33@[0-9a-f]{64}; the lock has \S+@0{64}\. It was made with another lock/,
    );
    const path = join(bundle(), "plugins/langgenius-zhipuai_0.0.33.difypkg");
    const bytes = readFileSync(path);
    bytes[50] = (bytes[50] ?? 0) ^ 1;
    writeFileSync(path, bytes);
    expect(() => bundledPackage(bundle(), wanted)).toThrow(
      /is broken: the sha256 of plugins\/.* is .*; it was .*not installed/,
    );
  });
});

describe("a provider with credentials of its own", () => {
  const zhipuai = () => ({
    item: "plugin",
    plugin: { id: "langgenius/zhipuai", version: "0.0.33", package: world.package("zhipuai") },
  });
  const model = () => ({
    item: "model",
    name: "atelier-t",
    plugin: "langgenius/zhipuai",
    ...modelItem(
      { provider: "zhipuai", name: "glm-4-flash", baseUrl: `${world.url}/llm/v1`, maxTokens: 4096 },
      secrets.modelKey,
    ),
  });
  const standing = async () => (await world.check({ plugin: zhipuai(), model: model() })).facts.items;

  test("whose plugin was upgraded by hand: installed anew it has lost them, and its facts say that it is another", async () => {
    world.model.options.models.push("glm-4-flash");
    const facts = await world.apply(zhipuai());
    await world.apply(model());
    expect(await standing()).toEqual({ plugin: { ok: true }, model: { ok: true } });
    const there = world.dify.state.plugins.find(({ package: id }) => id === facts.identifier);
    const upgraded = facts.identifier.replace("0.0.33", "0.0.34");
    const old = world.dify.state.packages[facts.identifier]!;
    world.dify.state.packages[upgraded] = { ...old, id: upgraded, version: "0.0.34" };
    there!.package = upgraded;
    // The plugin alone is out of place, so nothing but its facts can apply the model again.
    expect(await standing()).toMatchObject({ plugin: { ok: false }, model: { ok: true } });
    const env = { PULUMI_COMMAND_STDOUT: JSON.stringify({ ...facts, made: true }) };
    // In somebody's Dify others' credentials would be lost with it, though it was installed from here.
    const path = "/workspaces/current/model-providers/langgenius/zhipuai/zhipuai/credentials";
    const { credentials } = world.dify.state.modelCredentials.find(({ name }) => name === "atelier-t")!;
    await (await world.user()).console("POST", path, { name: "theirs", credentials });
    expect(await fails(zhipuai(), "apply", { own: false, env })).toMatch(
      /has langgenius\/zhipuai:0\.0\.34@.*others' credentials \(theirs\).* go with it.*--force/,
    );
    expect(world.dify.state.modelCredentials.map(({ name }) => name)).toContain("theirs");
    const again = await world.apply(zhipuai(), { env });
    expect((await standing()).model.why).toContain("has no credential `atelier-t`");
    expect(again).toEqual({ ...facts, made: true, installation: expect.any(String) });
    expect(again.installation).not.toBe(facts.installation);
    await world.apply(model());
    expect(await standing()).toEqual({ plugin: { ok: true }, model: { ok: true } });
    expect(await world.apply(zhipuai())).toMatchObject({ installation: again.installation });
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
    await user.installed(old);
    expect(await fails(world.items.sdPlugin, "apply", { own })).toMatch(
      /has langgenius\/stablediffusion:0\.0\.6@.*tried with version 0\.0\.7.*other apps there.*--force/,
    );
    expect(identifier("0.0.6")).toBe(old);
    const facts = await world.apply(world.items.sdPlugin, { own, env: { ATELIER_FORCE: "1" } });
    expect(facts).toEqual({
      identifier: identifier(),
      installation: expect.any(String),
      made: true,
      source: "package",
      at: world.url,
      workspace: world.dify.state.tenantId,
    });
  });

  test("one that was there is used, and stays; one that was made goes", async () => {
    const facts = await world.apply(world.items.sdPlugin, { own });
    expect(facts).toEqual({
      identifier: identifier(),
      installation: expect.any(String),
      made: false,
      source: "package",
      at: world.url,
      workspace: world.dify.state.tenantId,
    });
    const env = { PULUMI_COMMAND_STDOUT: JSON.stringify(facts) };
    expect((await world.run(world.items.sdPlugin, "remove", { own, env })).code).toBe(0);
    expect(identifier()).toBeDefined();
    const made = { PULUMI_COMMAND_STDOUT: JSON.stringify({ ...facts, made: true }) };
    expect((await world.run(world.items.sdPlugin, "remove", { own: true, env: made })).code).toBe(0);
    expect(identifier()).toBeDefined();
    // Another copy of the stack draws with it, or somebody at all.
    await world.apply(world.items.tool, { own });
    const { code, stderr } = await world.run(world.items.sdPlugin, "remove", { own, env: made });
    expect([code, stderr]).toEqual([0, expect.stringMatching(/stablediffusion stays: .*\(atelier-t\)/)]);
    expect(identifier()).toBeDefined();
    await world.run(world.items.tool, "remove", { own });
    expect((await world.run(world.items.sdPlugin, "remove", { own, env: made })).code).toBe(0);
    expect(identifier()).toBeUndefined();
  });

  test("another provider's in its place: theirs stays as it is, and what was made for an earlier one goes too", async () => {
    const user = await world.user();
    const envOf = (facts: object) => ({ PULUMI_COMMAND_STDOUT: JSON.stringify(facts) });
    const first = await world.apply(world.items.llmPlugin, { own });
    expect(first).toMatchObject({ made: true });
    const zhipuai = { item: "plugin", plugin: { id: "langgenius/zhipuai", version: "0.0.33" } };
    const theirs = world.dify.state.plugins.find(({ package: id }) => id.startsWith("langgenius/zhipuai:"))!;
    const pinned = theirs.package;
    const older = await user.install(makePackage("zhipuai", { version: "0.0.32" }));
    theirs.package = older;
    expect(await fails(zhipuai, "apply", { own, env: envOf(first) })).toMatch(
      /tried with version 0\.0\.33, and other apps/,
    );
    theirs.package = pinned;
    const then = await world.apply(zhipuai, { own, env: envOf(first) });
    expect(then).toMatchObject({ made: false, earlier: ["langgenius/openai_api_compatible"] });
    expect(await world.apply(world.items.llmPlugin, { own, env: envOf(then) })).toEqual(first);
    // Of another Dify, which dify.url named before: what is here is theirs; the same one behind another address has the same installation.
    const elsewhere = { ...first, at: "https://other.example", installation: "another" };
    expect(await world.apply(world.items.llmPlugin, { own, env: envOf(elsewhere) })).toEqual({ ...first, made: false });
    const workspace = { ...first, workspace: "another", installation: "another" };
    expect(await world.apply(world.items.llmPlugin, { own, env: envOf(workspace) })).toEqual({ ...first, made: false });
    const moved = { ...first, at: "https://other.example" };
    expect(await world.apply(world.items.llmPlugin, { own, env: envOf(moved) })).toEqual(first);
    expect((await world.run(zhipuai, "remove", { own, env: envOf(then) })).code).toBe(0);
    expect(installed()).toContain("langgenius/zhipuai:0.0.33");
    expect(installed().join()).not.toContain("openai_api_compatible");
  });
});

test("no secret was printed", () => {
  for (const secret of Object.values(secrets)) expect(world.printed).not.toContain(secret);
});
