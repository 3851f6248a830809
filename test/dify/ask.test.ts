import { mkdtempSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { difyFacts } from "../../stacks/dify/facts.ts";
import { bundleOfDify } from "../helpers/bundle.ts";
import { secrets, World } from "./world.ts";

/** Somebody's Dify is asked before anything is made. */

let world: World;
const said = vi.spyOn(console, "log").mockImplementation(() => {});
beforeAll(async () => {
  world = await new World().start();
});
afterEach(() => said.mockClear());
afterAll(async () => {
  said.mockRestore();
  await world.stop();
});

const unknown = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";
const force = { ATELIER_FORCE: "1" };
const sd = "langgenius/stablediffusion";
/** As a first plan knows them. */
const items = (state = unknown) => {
  const { agent, chatflow, ...others } = world.items;
  return { ...others, agent: { ...agent, state }, chatflow: { ...chatflow, state } };
};
const check = (changes: object = {}, olds: object = {}) =>
  difyFacts.check?.(olds, { dify: world.login(), own: false, items: items(), offline: false, ...changes });
/** Without packages of its own: out of a bundle, or a marketplace. */
const plugins = [{ id: sd, version: "0.0.7" }];
const ask = async (input: object = {}, env: Record<string, string> = {}) => {
  const ran = await world.execute(["ask"], { dify: world.login(), plugins, apps: [], ...input }, env);
  return ran.facts ?? ran;
};

test("one without an admin, with another password, and one that is not there", async () => {
  await expect(check()).rejects.toThrow(/has no admin yet, and whoever opens it first becomes one/);
  await world.apply(world.items.setup);
  const login = world.login({ password: "another-passw0rd" });
  await expect(check({ dify: login })).rejects.toThrow(/^POST \S+login .*401 .*tried once/);
  await expect(check({ dify: world.login({ url: "http://127.0.0.1:9" }) })).resolves.toBeDefined();
  expect(said.mock.calls.flat().join()).toMatch(
    /ECONNREFUSED.*goes on, and waits for it before anything is made in it/,
  );
});

test("a login that may make no model's credential, before anything else is; and by `up` in another workspace", async () => {
  const { account } = world.dify.state;
  account!.role = "editor";
  await expect(check()).rejects.toThrow(/^The login of http\S+ .* is `editor` in the workspace `.*owner or an admin/);
  for (const { code, stderr } of [
    await world.run(world.items.setup, "apply", { own: false }),
    await world.check({ setup: world.items.setup }, { own: false }),
  ])
    expect([code, stderr]).toEqual([1, expect.stringMatching(/is `editor` in the workspace/)]);
  delete account!.role;
});

describe("apps", () => {
  test("that another copy made are all told, with nothing changed; --force says whose it takes over", async () => {
    await world.applyAll({ own: false });
    for (const role of ["agent", "chatflow"] as const)
      await world.apply({ ...world.items[role], state: "0badc0de" }, { own: false, ...{ env: force } });
    const before = JSON.stringify(world.dify.state.apps);
    await expect(check()).rejects.toThrow(
      /`Atelier agent` .*marked 0badc0de[\s\S]*`Atelier chatflow` .*marked 0badc0de[\s\S]*Nothing was made there\.$/,
    );
    vi.stubEnv("ATELIER_FORCE", "1");
    await check();
    vi.unstubAllEnvs();
    expect(
      said.mock.calls.flat().filter((line) => /Atelier \w+` is another copy's, .*taken over/.test(line)),
    ).toHaveLength(2);
    expect(JSON.stringify(world.dify.state.apps)).toBe(before);
  });

  test("are the update's once something of this stack is there, and in a Dify of its own", async () => {
    world.asked.length = 0;
    await check({}, { items: items() });
    await check({ own: true });
    expect(world.asked).toEqual([]);
  });

  test("of our own mark are ours, and somebody's of the same name is told by its fields", async () => {
    const apps = [{ ...world.app("agent"), item: undefined, state: "0badc0de" }];
    expect(await ask({ apps })).toEqual({ refused: [], said: [] });
    expect((await ask({ apps: [{ ...apps[0], state: "0123abcd" }] })).refused).toHaveLength(1);
    for (const app of world.dify.state.apps) app.description = "Writes poems.";
    expect((await ask({ apps })).refused.join()).toMatch(
      /`Atelier agent` already, which this stack did not make \(other .*description/,
    );
  });
});

describe("plugins", () => {
  test("there in another version: not replaced but by --force", async () => {
    const other = { plugins: [{ id: sd, version: "0.0.8" }] };
    expect(await ask(other)).toMatchObject({
      refused: [expect.stringMatching(/0\.0\.7@.*tried with version 0\.0\.8/)],
    });
    expect(await ask(other, force)).toEqual({ refused: [], said: [] });
  });

  test("that neither a bundle nor that Dify has are all named", async () => {
    await (await world.user()).console("POST", "/workspaces/current/plugin/uninstall", {
      plugin_installation_id: world.dify.state.plugins.find(({ package: id }) => id.startsWith(sd))?.id,
    });
    expect(await ask()).toEqual({ refused: [], said: [] });
    world.dify.config.marketplaceUrl = "";
    expect(await ask({ offline: true })).toMatchObject({
      refused: [
        expect.stringMatching(/^Nothing may be fetched .*has not the plugin langgenius\/stablediffusion 0\.0\.7, nor/),
      ],
    });
    const folder = mkdtempSync(join(world.folder, "bundle-"));
    await bundleOfDify(folder, {});
    const env = { ATELIER_BUNDLE: folder };
    expect(await ask({ offline: true }, env)).toMatchObject({
      refused: [expect.stringMatching(/^The bundle .* has no plugin langgenius\/stablediffusion 0\.0\.7; it has/)],
    });
  });

  test("are not looked at while the plugin daemon is silent", async () => {
    world.dify.lies.order("daemon_down");
    expect(await ask()).toEqual({ refused: [], said: [expect.stringMatching(/plugin daemon of .* does not answer/)] });
    world.dify.lies.clear();
  });
});

test("no secret was said", () => {
  for (const secret of Object.values(secrets)) expect(JSON.stringify(said.mock.calls)).not.toContain(secret);
});
