import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { makePackage } from "../../rehearsal/dify/packages.ts";
import { modelItem } from "../../stacks/dify/model.ts";
import type { DifyModel } from "../../stacks/schema/dify.ts";
import { openai, secrets, World } from "./world.ts";

let world: World;
beforeAll(async () => {
  world = await new World().start();
  await world.apply(world.items.setup);
});
afterAll(() => world.stop());

const stored = () => world.dify.state.modelCredentials;
const item = (model: object, key: string = secrets.modelKey) => {
  const { provider } = model as DifyModel;
  const name = { item: "model", name: "atelier-t", plugin: `langgenius/${provider}` };
  return { ...name, ...modelItem({ maxTokens: 4096, contextSize: 32768, ...model } as DifyModel, key) };
};
const at = { provider: "openai_api_compatible", name: "stub-model" };
const why = async (wanted: Record<string, unknown>, own = true) => {
  const { code, stderr } = await world.run(wanted, "apply", { own });
  expect(code).toBe(1);
  return stderr;
};
const standing = async (wanted: Record<string, unknown>) => (await world.check({ model: wanted })).facts.items.model;
const install = async (name: string) => {
  const user = await world.user();
  await user.installed(await user.install(makePackage(name)));
};

describe("a model behind an address of OpenAI's kind", () => {
  test("without its plugin says which one", async () => {
    expect(await why(world.items.model)).toMatch(/plugin langgenius\/openai_api_compatible is not installed/);
    await world.apply(world.items.llmPlugin);
  });

  test("a wrong key, a model that is not there and an address where nobody is are told apart", async () => {
    const baseUrl = `${world.url}/llm/v1`;
    expect(await why(item({ ...at, baseUrl }, "sk-wrong-key-1"))).toMatch(
      /400 invalid_param: .*401.*dify\.model.*apiKey/,
    );
    expect(await why(item({ ...at, name: "no-such", baseUrl }))).toMatch(/404.*no-such.*dify\.model: its name/);
    expect(await why(item({ ...at, baseUrl: "http://127.0.0.1:9/v1" }))).toMatch(/never localhost/);
    expect(stored()).toEqual([]);
  });

  test("is stored once, with what lets an agent draw, and is the default of an own Dify", async () => {
    expect(await world.apply(world.items.model)).toEqual({ made: true, name: "atelier-t" });
    await world.apply(world.items.model);
    expect(stored()).toHaveLength(1);
    expect(stored()[0]?.credentials).toMatchObject({
      function_calling_type: "tool_call",
      stream_function_calling: "supported",
      max_tokens_to_sample: "4096",
    });
    expect(world.dify.state.defaultModels.llm).toEqual({ provider: openai, model: "stub-model" });
    expect(await standing(world.items.model)).toEqual({ ok: true });
  });

  test("a new key is put in its place", async () => {
    world.model.options.keys.push("sk-another-key");
    await world.apply(item({ ...at, baseUrl: `${world.url}/llm/v1` }, "sk-another-key"));
    expect(stored().map(({ credentials }) => credentials.api_key)).toEqual(["sk-another-key"]);
  });

  test("drift: a lower bound, no tool calls, another active credential, gone", async () => {
    const user = await world.user();
    const path = `/workspaces/current/model-providers/${openai}/models/credentials`;
    const { credentials, id } = stored()[0]!;
    const body = { model: "stub-model", model_type: "llm" };
    const edit = (changes: object) =>
      user.console("PUT", path, {
        ...body,
        credential_id: id,
        name: "atelier-t",
        credentials: { ...credentials, ...changes },
      });
    await edit({ max_tokens_to_sample: "2048" });
    expect(await standing(world.items.model)).toMatchObject({
      why: "other than the settings say: max_tokens_to_sample",
    });
    await edit({ function_calling_type: "no_call" });
    expect(await standing(world.items.model)).toMatchObject({ why: expect.stringContaining("function_calling_type") });
    await edit({});
    await user.console("POST", path, { ...body, name: "theirs", credentials });
    const theirs = stored().find(({ name }) => name === "theirs");
    await user.console("POST", `${path}/switch`, { ...body, credential_id: theirs?.id });
    expect(await standing(world.items.model)).toMatchObject({
      why: "the credential `atelier-t` is not the active one",
    });
    await world.apply(world.items.model);
    expect(await standing(world.items.model)).toEqual({ ok: true });
    // Deleted by hand, none is active while theirs is still there.
    await user.console("DELETE", path, { ...body, credential_id: id });
    expect(await standing(world.items.model)).toMatchObject({ ok: false, why: expect.stringContaining("atelier-t") });
    await world.apply(world.items.model);
    expect(await standing(world.items.model)).toEqual({ ok: true });
    // Of an earlier model of the settings: its key would stay in somebody's Dify.
    await world.apply(item({ ...at, name: "qwen3-8b", baseUrl: `${world.url}/llm/v1` }));
    expect(stored().filter(({ name }) => name === "atelier-t")).toHaveLength(2);
    // Ours is the active one: others' apps would be left without any.
    const { code, stderr } = await world.run(world.items.model, "remove", { own: false });
    expect(code).toBe(0);
    expect(stderr).toMatch(/note: apps with stub-model go on with the credential `theirs`/);
    expect(stored().map(({ name }) => name)).toEqual(["theirs"]);
    expect(await standing({ ...world.items.model, name: "theirs" })).toEqual({ ok: true });
  });

  test("in somebody's Dify neither their active credential nor their default is changed", async () => {
    world.dify.state.defaultModels.llm = { provider: "theirs", model: "theirs" };
    const user = await world.user();
    const path = `/workspaces/current/model-providers/${openai}/models/credentials`;
    await world.apply(world.items.model, { own: false });
    expect(world.dify.state.defaultModels.llm).toEqual({ provider: "theirs", model: "theirs" });
    const query = "model=stub-model&model_type=llm&config_from=custom-model";
    expect(await user.console("GET", `${path}?${query}`)).toMatchObject({ current_credential_name: "theirs" });
  });

  test("that can't call tools is refused: an agent of it would only talk", async () => {
    world.dify.lies.order("no_call");
    expect(await why(world.items.model)).toMatch(
      /stub-model can't call tools.*never draw\. Choose another one \(dify\.model\.name\)/,
    );
    world.dify.lies.clear();
  });
});

describe("a provider with one credential for all of its models", () => {
  beforeAll(async () => {
    world.dify.config.cloudModels = `${world.url}/llm/v1`;
    world.model.options.models.push("glm-4-flash", "qwen-turbo");
    await install("zhipuai");
    await install("tongyi");
  });

  test("refuses a wrong key in its own words", async () => {
    expect(await why(item({ provider: "zhipuai", name: "glm-4-flash" }, "sk-wrong-key-2"))).toMatch(
      /zhipuai\/credentials .*400.*dify\.model/,
    );
  });

  test.each([
    ["zhipuai", "glm-4-flash"],
    ["tongyi", "qwen3-8b"],
  ])("%s: stored once, updated in place, seen when gone", async (provider, name) => {
    const wanted = item({ provider, name, international: false });
    const own = () => stored().filter((each) => each.provider === `langgenius/${provider}/${provider}`);
    await world.apply(wanted);
    await world.apply(wanted);
    expect(own()).toHaveLength(1);
    expect(await standing(wanted)).toEqual({ ok: true });
    expect((await world.run(wanted, "remove", { own: false })).code).toBe(0);
    expect(own()).toEqual([]);
    expect(await standing(wanted)).toMatchObject({
      ok: false,
      why: expect.stringContaining("no credential `atelier-t`"),
    });
  });

  test("one after the other: none of their credentials stays in somebody's Dify", async () => {
    const theirs = stored().map(({ name, provider }) => [name, provider]);
    const own = { own: false };
    await world.apply(world.items.model, own);
    await world.apply(item({ provider: "zhipuai", name: "glm-4-flash" }), own);
    const last = item({ provider: "tongyi", name: "qwen3-8b", international: false });
    await world.apply(last, own);
    expect(stored().filter(({ name }) => name === "atelier-t")).toHaveLength(3);
    expect((await world.run(last, "remove", own)).code).toBe(0);
    expect(stored().filter(({ name }) => name === "atelier-t")).toEqual([]);
    expect(theirs).toContainEqual(["theirs", openai]);
    expect(stored().map(({ name }) => name)).toContain("theirs");
  });

  test("another name of the stack's is given to the one that it had, and another copy's stays", async () => {
    const own = { own: false };
    const call = { provider: "zhipuai", name: "glm-4-flash" };
    // Of an earlier Atelier, and of an earlier model of the settings.
    await world.apply(item({ provider: "tongyi", name: "qwen3-8b", international: false }), own);
    const legacy = { made: true };
    const other = { ...item(call), name: "atelier-t-0badc0de", early: "atelier-t" };
    await world.apply(item(call), own);
    const named = () => stored().flatMap(({ name, id }) => (name.startsWith("atelier-t") ? [[name, id]] : []));
    const [[, earlier], [, id]] = named() as [[string, string], [string, string]];
    await world.apply(other, own);
    expect(named()).toHaveLength(3);
    const ours = { ...item(call), name: "atelier-t-0123abcd", early: "atelier-t" };
    const facts = await world.apply(ours, { ...own, env: { PULUMI_COMMAND_STDOUT: JSON.stringify(legacy) } });
    expect(facts).toEqual({ made: true, name: ours.name, left: [earlier] });
    expect(named()).toEqual(expect.arrayContaining([[ours.name, id]]));
    const env = { PULUMI_COMMAND_STDOUT: JSON.stringify(facts) };
    expect(await world.apply(ours, { ...own, env })).toEqual(facts);
    expect((await world.run(ours, "remove", { ...own, env })).stderr).toMatch(
      /apps with models of \S+zhipuai go on with the credential `atelier-t-0badc0de`/,
    );
    expect(named().map(([name]) => name)).toEqual([other.name]);
    expect(await standing(other)).toEqual({ ok: true });
    expect((await world.run(other, "remove", own)).code).toBe(0);
  });

  test("a model that it does not have is named", async () => {
    expect(await why(item({ provider: "zhipuai", name: "glm-none" }, secrets.modelKey))).toMatch(/glm-none/);
  });
});

test("no secret was printed", () => {
  const all = [...Object.values(secrets), "sk-another-key", "sk-wrong-key-1", "sk-wrong-key-2"];
  for (const secret of all) expect(world.printed).not.toContain(secret);
});
