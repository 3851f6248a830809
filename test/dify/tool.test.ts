import { afterAll, beforeAll, expect, test } from "vitest";
import { baseUrl } from "../../scripts/dify/tool.ts";
import { sdTool, secrets, World } from "./world.ts";

let world: World;
beforeAll(async () => {
  world = await new World().start();
  await world.apply(world.items.setup);
});
afterAll(() => world.stop());

const webui = (changes: object) => ({ ...world.items.tool, webui: { ...world.items.tool.webui, ...changes } });
const credentials = () => world.dify.state.toolCredentials;
const why = async (item: Record<string, unknown>) => {
  const { code, stderr } = await world.run(item);
  expect(code).toBe(1);
  return stderr;
};

test("without its plugin it says which one, where Dify says 500", async () => {
  expect(await why(world.items.tool)).toMatch(/plugin langgenius\/stablediffusion is not installed.*npx atelier up/);
  await world.apply(world.items.sdPlugin);
});

test("a wrong password of the WebUI is called that: the tool only says that it got no models", async () => {
  expect(await why(webui({ password: "another-one" }))).toMatch(
    /no list of models from http:\/\/127.*The WebUI refuses the login of `webui`: its password is another one\. .*Failed to get models/,
  );
});

test("an address that the plugin daemon does not reach is called that", async () => {
  expect(await why(webui({ url: "http://127.0.0.1:9" }))).toMatch(
    /plugin daemon does not reach http:\/\/127\.0\.0\.1:9\. .*localhost is the container itself.*dify\.webuiUrl/,
  );
});

test("a checkpoint that the WebUI does not list is named, and so are those that it does", async () => {
  expect(await why({ ...world.items.tool, model: "sd_xl_base_1.0" })).toMatch(
    /no model `sd_xl_base_1\.0`; it has: v1-5-pruned-emaonly/,
  );
  expect(credentials()).toEqual([]);
});

test("its credential is made once, then updated in place; in an own Dify it is the default", async () => {
  const user = await world.user();
  const path = `/workspaces/current/tool-provider/builtin/${sdTool}`;
  const theirs = { base_url: baseUrl(world.items.tool.webui), model: "v1-5-pruned-emaonly" };
  await user.console("POST", `${path}/add`, { credentials: theirs, type: "api-key", name: "theirs" });
  await user.console("POST", `${path}/default-credential`, { id: credentials()[0]?.id });
  const { credentialId } = await world.apply(world.items.tool);
  expect(await world.apply(world.items.tool)).toEqual({ credentialId, made: true });
  const [their, our] = credentials();
  expect([their?.name, our?.name, our?.id, our?.isDefault]).toEqual(["theirs", "atelier-t", credentialId, true]);
  expect(our?.credentials.base_url).toBe(`http://webui:p%40ss%3Aw%2Frd%25%21@127.0.0.1:${world.webuiPort}`);
});

test("a runtime that starts late is waited for", async () => {
  world.dify.lies.order("runtime_missing", 3);
  await world.apply(world.items.tool);
});

test("drift: another checkpoint, another address, gone", async () => {
  const standing = async (item = world.items.tool as object) =>
    (await world.check({ tool: item as Record<string, unknown> })).facts.items.tool;
  expect(await standing()).toEqual({ ok: true });
  expect(await standing({ ...world.items.tool, model: "other" })).toMatchObject({
    ok: false,
    why: expect.stringContaining("its checkpoint is v1-5"),
  });
  expect(await standing(webui({ password: "a-longer-password-than-that" }))).toMatchObject({
    ok: false,
    why: expect.stringContaining("another address or login"),
  });
  const removed = await world.run(world.items.tool, "remove", { own: false });
  expect(removed.code).toBe(0);
  expect(credentials().map(({ name }) => name)).toEqual(["theirs"]);
  expect(await standing()).toMatchObject({ ok: false, why: "the tool has no credential `atelier-t`" });
});

test("in somebody's Dify their default stays theirs, also where they never chose one", async () => {
  // The newest is the default then.
  for (const each of credentials()) each.isDefault = false;
  await world.apply(world.items.tool, { own: false });
  expect(credentials().map(({ name, isDefault }) => [name, isDefault])).toEqual([
    ["theirs", true],
    ["atelier-t", false],
  ]);
});

test("another name of the stack's is given to the one that it had; another copy's stays", async () => {
  const own = { own: false };
  const { credentialId } = await world.apply(world.items.tool, own);
  const env = { PULUMI_COMMAND_STDOUT: JSON.stringify({ credentialId, made: true }) };
  const [ours, other] = ["0123abcd", "0badc0de"].map((state) => ({ ...world.items.tool, name: `atelier-t-${state}` }));
  await world.apply(other as Record<string, unknown>, own);
  expect((await world.apply(ours as Record<string, unknown>, { ...own, env })).credentialId).toBe(credentialId);
  const names = () => credentials().map(({ name }) => name);
  expect(names()).toEqual(["theirs", ours?.name, other?.name]);
  expect((await world.run(ours as Record<string, unknown>, "remove", own)).code).toBe(0);
  expect(names()).toEqual(["theirs", other?.name]);
});

test("no secret was printed, in whatever form", () => {
  for (const secret of [...Object.values(secrets), "another-one", "p%40ss", baseUrl(world.items.tool.webui)])
    expect(world.printed).not.toContain(secret);
});
