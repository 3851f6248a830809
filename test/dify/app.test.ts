import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { readDsl } from "../../scripts/dify/app/dsl.ts";
import { importApp } from "../../scripts/dify/app/import.ts";
import { Console } from "../../scripts/dify/client.ts";
import { secrets, World } from "./world.ts";

let world: World;
beforeAll(async () => {
  world = await new World().start();
  const { setup, sdPlugin, llmPlugin, tool, model } = world.items;
  for (const item of [setup, sdPlugin, llmPlugin, tool, model]) await world.apply(item);
});
afterAll(() => world.stop());

// biome-ignore lint/suspicious/noExplicitAny: the stand-in's state is looked at as it is
const apps = (): any[] => world.dify.state.apps;
const called = (name: string) => apps().filter((app) => app.name === name);
const why = async (item: Record<string, unknown>, options = {}) => {
  const { code, stderr } = await world.run(item, "apply", options);
  expect(code).toBe(1);
  return stderr;
};
const standing = async (item: Record<string, unknown>, options = {}) =>
  (await world.check({ app: item }, options)).facts.items.app;
const force = { env: { ATELIER_FORCE: "1" } };

describe("an app that can't be", () => {
  test("its plugin is missing: named, and nothing imported", async () => {
    const agent = { ...world.items.agent, plugins: [{ id: "langgenius/tavily", version: "0.1.2" }] };
    expect(await why(agent)).toMatch(/`Atelier agent` needs langgenius\/tavily 0\.1\.2, not installed at/);
    expect(apps()).toEqual([]);
  });

  test("its credential is missing: named", async () => {
    const agent = { ...world.items.agent, tool: { ...world.items.agent.tool, credential: "none" } };
    expect(await why(agent)).toMatch(/credential `none`, which is not there/);
  });

  test("its model thinks, and may not use the tokens for it", async () => {
    world.dify.lies.order("small_bound");
    const said = await why({ ...world.items.agent, minTokens: 4096 });
    world.dify.lies.clear();
    expect(said).toMatch(/stub-model thinks before it answers and needs 4096 tokens.*2048 at most.*dify\.model/);
    expect(apps()).toEqual([]);
  });

  test("an app of another mode has its name: it is left as it is", async () => {
    const user = await world.user();
    const dsl = world.items.chatflow.dsl.replace("name: Atelier chatflow", "name: Atelier agent");
    const { app_id } = await user.console("POST", "/apps/imports", { mode: "yaml-content", yaml_content: dsl });
    expect(await why(world.items.agent)).toMatch(
      /called `Atelier agent`.*of mode advanced-chat, where ours is of mode agent-chat.*dify\.apps/,
    );
    await user.console("DELETE", `/apps/${app_id}`);
  });

  test("somebody's app of the same mode has its name: not overwritten, but taken over by --force, and left at `down`", async () => {
    const user = await world.user();
    const dsl = world.items.agent.dsl.replace("You draw pictures", "You write poems");
    const { app_id } = await user.console("POST", "/apps/imports", { mode: "yaml-content", yaml_content: dsl });
    expect(await why(world.items.agent)).toMatch(/which this stack did not make \(other than ours: .*pre_prompt/);
    const { appId, made } = await world.apply(world.items.agent, force);
    expect([appId, made]).toEqual([app_id, false]);
    expect((await world.run(world.items.agent, "remove", { own: false })).code).toBe(0);
    expect(called("Atelier agent")).toHaveLength(1);
    expect(called("Atelier agent")[0].description).not.toContain("[atelier");
    await user.console("DELETE", `/apps/${app_id}`);
  });

  test("plugins that a file names and Dify has not are named after the import", async () => {
    const console = new Console({ url: world.url, email: "admin@example.com", password: secrets.password });
    await console.login();
    const dsl = readDsl(world.items.agent.dsl, "agent-chat");
    const lacking = `langgenius/tavily:0.1.2@${"a".repeat(64)}`;
    dsl.app.name = "leaking";
    dsl.dependencies = [
      { type: "marketplace", current_identifier: null, value: { marketplace_plugin_unique_identifier: lacking } },
    ];
    await expect(importApp(console, dsl, undefined, () => {})).rejects.toThrow(
      `The app \`leaking\` is at ${world.url}, but misses a plugin: ${lacking} (not installed)`,
    );
    await console.delete(`/apps/${called("leaking")[0].id}`);
  });

  test("a file of a newer version is confirmed, a broken one is refused in Dify's words", async () => {
    const said: string[] = [];
    const console = new Console({ url: world.url, email: "admin@example.com", password: secrets.password });
    await console.login();
    const dsl = readDsl(world.items.agent.dsl, "agent-chat");
    dsl.app.name = "newer";
    dsl.version = "0.9.0";
    const id = await importApp(console, dsl, undefined, (line) => said.push(line));
    expect(said).toEqual(["Dify 0.6.0 asks about a file of version 0.9.0: confirmed"]);
    await console.delete(`/apps/${id}`);
    await expect(
      importApp(console, { ...dsl, version: "0.6.0", app: { ...dsl.app, mode: "nope" } }, undefined, () => {}),
    ).rejects.toThrow(/POST \/console\/api\/apps\/imports .* answered 400: .*nope/);
  });
});

describe.each(["agent", "chatflow"] as const)("the %s", (role) => {
  const item = () => world.items[role];
  const app = () => called(item().name)[0];
  const drawn = () =>
    role === "agent"
      ? app().modelConfig.agent_mode.tools[0].tool_parameters.steps
      : app()
          .published.at(-1)
          .graph.nodes.find(({ id }: { id: string }) => id === "sd").data.tool_configurations.steps.value;
  let first: { appId: string; keyId: string; siteUrl: string };
  const keyOf = async ({ appId, keyId }: { appId: string; keyId: string }): Promise<string> =>
    (await world.apply({ item: "key", appId, keyId })).apiKey;
  /** Somebody gives it another description. */
  const describeIt = async (description: string) => {
    const user = await world.user();
    const { name, icon_type, icon, icon_background } = await user.console("GET", `/apps/${first.appId}`);
    const face = { name, description, icon_type, icon, icon_background, use_icon_as_answer_icon: false };
    await user.console("PUT", `/apps/${first.appId}`, face);
  };

  test("is made once, published, with a key, and knows its credential", async () => {
    first = await world.apply(item());
    expect(first).toMatchObject({
      appId: app().id,
      mode: item().mode,
      made: true,
    });
    expect(await keyOf(first)).toMatch(/^app-/);
    // They are told to the next run by the environment.
    expect(JSON.stringify(first)).not.toContain(await keyOf(first));
    expect(first.siteUrl).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/chat\/\w+$/);
    expect(JSON.stringify(app())).toContain(world.dify.state.toolCredentials[0]?.id);
    expect(await standing(item())).toEqual({ ok: true });
  });

  test("a second time nothing is changed: no new app, version or key", async () => {
    const before = JSON.stringify(apps());
    expect(await world.apply(item())).toEqual(first);
    expect(JSON.stringify(apps())).toBe(before);
  });

  test("changed settings change it in place", async () => {
    const { hash: _, content: __, ...same } = await world.apply(world.app(role, { steps: 30 }));
    expect(first).toMatchObject(same);
    expect(called(item().name)).toHaveLength(1);
    expect(drawn()).toBe(30);
  });

  test("what was cut off is finished by the next apply", async () => {
    app().description = app().description.replace(/ [0-9a-f]{8} (?=[0-9a-f]{8} )/, " - ");
    expect(await standing(world.app(role, { steps: 30 }))).toMatchObject({
      why: "its last update did not come to its end",
    });
    await world.apply(world.app(role, { steps: 30 }));
    expect(await standing(world.app(role, { steps: 30 }))).toEqual({ ok: true });
  });

  test("renamed in the console it is known again, and its name is an edit", async () => {
    const user = await world.user();
    const { id, description, icon_type, icon, icon_background } = await user.console("GET", `/apps/${first.appId}`);
    const face = { name: "Renamed", description, icon_type, icon, icon_background, use_icon_as_answer_icon: false };
    await user.console("PUT", `/apps/${id}`, face);
    expect(await standing(world.app(role, { steps: 30 }))).toEqual({ ok: true, edited: ["name"] });
    await user.console("PUT", `/apps/${id}`, { ...face, name: item().name });
    expect(await standing(world.app(role, { steps: 30 }))).toEqual({ ok: true });
  });

  test("words behind its marker are an edit like any", async () => {
    const ours = app().description;
    await describeIt(`${ours} For the marketing team.`);
    const thirty = world.app(role, { steps: 30 });
    expect(await standing(thirty)).toEqual({ ok: true, edited: ["description"] });
    expect((await world.run(thirty)).stderr).toContain("(description): left as it is");
    expect(app().description).toContain("For the marketing team.");
    await describeIt(ours);
    expect(await standing(thirty)).toEqual({ ok: true });
  });

  test("another description takes its marker away: it is known by its id, marked again, and the edit is left", async () => {
    const thirty = world.app(role, { steps: 30 });
    const env = { PULUMI_COMMAND_STDOUT: JSON.stringify(await world.apply(thirty)) };
    const ours = app().description;
    await describeIt("Draws for the marketing team.");
    expect(await standing(thirty)).toMatchObject({ ok: false, why: expect.stringMatching(/does not say that it is/) });
    const { code, stderr, facts } = await world.run(thirty, "apply", { env });
    expect([code, stderr]).toEqual([0, expect.stringContaining("(description): left as it is")]);
    expect(facts).toEqual(JSON.parse(env.PULUMI_COMMAND_STDOUT));
    expect(app().description).toMatch(/^Draws for the marketing team\. \[atelier t\/\w+ [^\]]*(?<! kept)\]$/);
    expect(await standing(thirty)).toEqual({ ok: true, edited: ["description"] });
    // The marker alone is no edit.
    await describeIt(ours.replace(/\[atelier.*/, ""));
    await world.apply(thirty, { env });
    expect(app().description).toBe(ours);
    // A change of the settings would overwrite it.
    await describeIt("Draws for the marketing team.");
    expect(await why(world.app(role, { steps: 31 }), { env })).toMatch(
      /was edited in Dify's console since.*description/,
    );
    expect((await world.apply(thirty, { env: { ...env, ...force.env } })).made).toBe(true);
    expect(app().description).toBe(ours);
  });

  test("a description that leaves no room for the marker is not cut: it is said, and the app known by its id", async () => {
    const thirty = world.app(role, { steps: 30 });
    const env = { PULUMI_COMMAND_STDOUT: JSON.stringify(await world.apply(thirty)) };
    const ours = app().description;
    const long = `Draws ${"for the marketing team, ".repeat(16)}end`;
    await describeIt(long);
    const { code, stderr, facts } = await world.run(thirty, "apply", { env });
    expect([code, stderr]).toEqual([0, expect.stringMatching(/has 393 letters and leaves no room.*at most 3\d\d/s)]);
    expect([app().description, facts.appId]).toEqual([long, first.appId]);
    expect((await standing(thirty)).why).toMatch(
      /has 393 letters, and leaves no room for our mark with more than 3\d\d/,
    );
    await describeIt(ours);
    expect(await standing(thirty)).toEqual({ ok: true });
  });

  async function editInConsole(): Promise<void> {
    const user = await world.user();
    if (role === "agent") {
      const { model_config } = await user.console("GET", `/apps/${first.appId}`);
      await user.console("POST", `/apps/${first.appId}/model-config`, {
        ...model_config,
        pre_prompt: "Draw cats only.",
      });
      return;
    }
    const dsl = parse((await user.console("GET", `/apps/${first.appId}/export`)).data);
    dsl.workflow.graph.nodes.find(({ id }: { id: string }) => id === "answer").data.answer = "{{#sd.files#}}";
    const yaml = JSON.stringify(dsl);
    await user.console("POST", "/apps/imports", { mode: "yaml-content", yaml_content: yaml, app_id: first.appId });
    const seen = await standing(world.app(role, { steps: 30 }));
    expect(seen.edited).toContain("nodes.answer.answer (not published)");
    await user.console("POST", `/apps/${first.appId}/workflows/publish`, {});
  }
  const edited = role === "agent" ? "pre_prompt" : "nodes.answer.answer";

  test("an edit is shown and left alone, also by an apply for another reason", async () => {
    await editInConsole();
    expect(await standing(world.app(role, { steps: 30 }))).toEqual({
      ok: true,
      edited: expect.arrayContaining([edited]),
    });
    app().enableApi = false;
    expect(await standing(world.app(role, { steps: 30 }))).toMatchObject({ ok: false, why: "its API is switched off" });
    const { code, stderr } = await world.run(world.app(role, { steps: 30 }));
    expect([code, stderr]).toEqual([
      0,
      expect.stringMatching(new RegExp(`was edited in Dify's console \\(.*${edited}.*left as it is`)),
    ]);
    expect(await standing(world.app(role, { steps: 30 }))).toEqual({
      ok: true,
      edited: expect.arrayContaining([edited]),
    });
  });

  test("a change of the settings that would overwrite it fails, and --force overwrites it", async () => {
    expect(await why(world.app(role, { steps: 40 }))).toMatch(
      new RegExp(
        `edited in Dify's console since the last \`up\`, and the settings now want it changed: .* in .*${edited}.*\\. Nothing was overwritten\\. .*--force`,
      ),
    );
    await world.apply(world.app(role, { steps: 40 }), force);
    expect(drawn()).toBe(40);
    expect(await standing(world.app(role, { steps: 40 }))).toEqual({ ok: true });
  });

  test.runIf(role === "chatflow")("an edge that was drawn by hand is that edge, and no other", async () => {
    const user = await world.user();
    const dsl = parse((await user.console("GET", `/apps/${first.appId}/export`)).data);
    const [edge] = dsl.workflow.graph.edges;
    dsl.workflow.graph.edges.unshift({ ...edge, id: "llm-source-answer-target", source: "llm", target: "answer" });
    const yaml = JSON.stringify(dsl);
    await user.console("POST", "/apps/imports", { mode: "yaml-content", yaml_content: yaml, app_id: first.appId });
    await user.console("POST", `/apps/${first.appId}/workflows/publish`, {});
    const forty = world.app(role, { steps: 40 });
    // An export has no credential.
    const changed = ["edges.llm source answer target", "nodes.sd.credential_id"];
    expect(await standing(forty)).toEqual({ ok: true, edited: changed });
    await world.apply(forty, force);
    // It was no loss of Dify's.
    await world.apply(world.app(role, { steps: 41 }));
    await world.apply(forty);
    expect(await standing(forty)).toEqual({ ok: true });
  });

  test("its key is made anew when it was deleted, and of many the same one is used", async () => {
    const user = await world.user();
    await user.console("POST", `/apps/${first.appId}/api-keys`);
    expect((await world.apply(world.app(role, { steps: 40 }))).keyId).toBe(first.keyId);
    const { data } = await user.console("GET", `/apps/${first.appId}/api-keys`);
    for (const { id } of data) await user.console("DELETE", `/apps/${first.appId}/api-keys/${id}`);
    expect(await standing(world.app(role, { steps: 40 }))).toMatchObject({ why: "its API key is gone" });
    const gone = await world.run({ item: "key", appId: first.appId, keyId: first.keyId });
    expect([gone.code, gone.stderr]).toEqual([1, expect.stringMatching(/API key .* is gone\. The next .* makes one/)]);
    // A whole id is in what the key's resource is told in secret: the engine would mask it.
    expect(gone.stderr).toContain(`of the app ${first.appId.slice(0, 8)}… at`);
    const made = await world.apply(world.app(role, { steps: 40 }));
    expect(await keyOf(made)).toMatch(/^app-/);
    expect(made.keyId).not.toBe(first.keyId);
    expect(await standing(world.app(role, { steps: 40 }))).toEqual({ ok: true });
  });

  test("of a copy made in the console the older one is ours; another stack finds its name taken", async () => {
    const user = await world.user();
    const yaml = (await user.console("GET", `/apps/${first.appId}/export`)).data;
    const copy = await user.console("POST", "/apps/imports", { mode: "yaml-content", yaml_content: yaml });
    called(item().name).find(({ id }) => id === copy.app_id).createdAt += 100;
    expect((await world.apply(world.app(role, { steps: 40 }))).appId).toBe(first.appId);
    await user.console("DELETE", `/apps/${copy.app_id}`);
    expect(await why({ ...item(), owner: `other/${role}` })).toMatch(new RegExp(`of \`t/${role}\`, another stack's`));
  });

  test("another copy of the stack finds it taken, and takes out nothing; one of an earlier Atelier is known by its state", async () => {
    const own = { own: false };
    const [ours, other] = ["0123abcd", "0badc0de"].map((state) => ({ ...world.app(role, { steps: 40 }), state }));
    const [a, b] = [ours, other] as [ReturnType<World["app"]>, ReturnType<World["app"]>];
    // As it was left before there were marks of a state.
    const legacy = {
      ...own,
      env: { PULUMI_COMMAND_STDOUT: JSON.stringify(await world.apply(world.app(role, { steps: 40 }))) },
    };
    expect((await standing(a)).why).toMatch(/its mark is an earlier Atelier's/);
    expect(await why(b, own)).toMatch(/of `t\/\w+` too, and this copy's state does not know it/);
    const facts = await world.apply(a, legacy);
    expect(facts).toMatchObject({ appId: first.appId, state: "0123abcd", made: true });
    expect(await standing(a)).toEqual({ ok: true });
    // Also where the state was not written any more.
    expect(await world.apply(a, own)).toEqual(facts);
    expect((await world.apply({ ...a, owner: `renamed/${role}` }, own)).appId).toBe(first.appId);
    await world.apply(a, own);
    const refusal = await why(b, own);
    expect(refusal).toMatch(
      /another copy of this stack, marked 0123abcd, whose state is elsewhere .*--force.* end in 0123abcd/,
    );
    expect((await standing(b)).why).toContain("another copy of this stack");
    // What `up --force` is about to do, and not that it is refused.
    expect((await standing(b, force)).why).toBe(
      `\`${a.name}\` is another copy's, marked 0123abcd, and is taken over (--force)`,
    );
    // Its own facts of when it had taken the other's.
    const before = await world.run(b, "remove", legacy);
    expect([before.code, before.stderr]).toEqual([0, expect.stringContaining("the mark of another copy")]);
    expect(called(a.name)).toHaveLength(1);
    // Another password of the WebUI is another trace of the same state.
    const renewed = { ...a, state: "99999999" };
    const env = { PULUMI_COMMAND_STDOUT: JSON.stringify(facts) };
    expect((await world.apply(renewed, { ...own, env })).appId).toBe(first.appId);
    // The state is lost for good.
    const taken = await world.apply(b, { ...own, ...force });
    expect(taken).toMatchObject({ appId: first.appId, keyId: facts.keyId, made: true, state: "0badc0de" });
    expect(await why(renewed, { ...own, env })).toContain("marked 0badc0de");
    expect((await world.run(b, "remove", own)).code).toBe(0);
    expect(called(a.name)).toEqual([]);
    first = await world.apply(item());
  });

  test("gone, it is seen and made again; at `down` it goes where it was made here, and stays in an own Dify", async () => {
    await (await world.user()).console("DELETE", `/apps/${first.appId}`);
    expect(await standing(item())).toMatchObject({ ok: false, why: `there is no app \`${item().name}\`` });
    await world.apply(item());
    expect((await world.run(item(), "remove")).code).toBe(0);
    expect(called(item().name)).toHaveLength(1);
    expect((await world.run(item(), "remove", { own: false })).code).toBe(0);
    expect(called(item().name)).toEqual([]);
    expect((await world.run(item(), "remove", { own: false })).code).toBe(0);
  });

  test("at `down` it goes by its id too, where its description lost the marker", async () => {
    first = await world.apply(item());
    await describeIt("Draws for the marketing team.");
    const env = { PULUMI_COMMAND_STDOUT: JSON.stringify(first) };
    expect((await world.run(item(), "remove", { own: false, env })).code).toBe(0);
    expect(called(item().name)).toEqual([]);
  });
});

test.each([[undefined], ["0123abcd"]])("the two take each other's name (mark of a state: %s)", async (state) => {
  const swapped = { agent: "Atelier chatflow", chatflow: "Atelier agent" };
  const own = { own: state === undefined };
  const item = (role: "agent" | "chatflow", name?: string) => ({
    ...world.app(role, { ...(name && { name }) }),
    state,
  });
  const ids = () => Object.fromEntries(apps().map(({ mode, id }) => [mode, id]));
  for (const role of ["agent", "chatflow"] as const) await world.apply(item(role), own);
  const before = ids();
  for (const role of ["agent", "chatflow"] as const) {
    expect(await standing(item(role, swapped[role]), own)).toMatchObject({ why: "it is not as the settings have it" });
    await world.apply(item(role, swapped[role]), own);
  }
  expect(apps().map(({ name, mode }) => [mode, name])).toEqual([
    ["agent-chat", "Atelier chatflow"],
    ["advanced-chat", "Atelier agent"],
  ]);
  // Somebody deletes the one, and the other has the name that it had.
  await (await world.user()).console("DELETE", `/apps/${before["agent-chat"]}`);
  await world.apply(item("agent"), own);
  expect(ids()["advanced-chat"]).toBe(before["advanced-chat"]);
  for (const role of ["agent", "chatflow"] as const) await world.run(item(role), "remove", { own: false });
  expect(apps()).toEqual([]);
});

test("at `down` a Dify that answers 500 is an error: the app would stay, and the state forget it", async () => {
  const kept = world.dify.state.apps;
  Object.assign(world.dify.state, { apps: undefined });
  const { code, stderr } = await world.run(world.items.agent, "remove", { own: false });
  world.dify.state.apps = kept;
  expect([code, stderr]).toEqual([1, expect.stringMatching(/GET \/console\/api\/apps\S* .*answered 500/)]);
});

test("at `down` ours goes, and an app of another mode that has its name stays", async () => {
  const { appId } = await world.apply(world.items.agent);
  const user = await world.user();
  const dsl = world.items.chatflow.dsl.replace("name: Atelier chatflow", "name: Atelier agent");
  const { app_id } = await user.console("POST", "/apps/imports", { mode: "yaml-content", yaml_content: dsl });
  expect((await world.run(world.items.agent, "remove", { own: false })).code).toBe(0);
  expect(called("Atelier agent").map(({ id }) => id)).toEqual([app_id]);
  expect(appId).not.toBe(app_id);
  await user.console("DELETE", `/apps/${app_id}`);
});

test("no secret was printed but in a key's facts", () => {
  const keys = JSON.stringify(world.dify.state).match(/app-\w{24}/g) ?? [];
  for (const secret of [...Object.values(secrets), ...keys]) expect(world.printed).not.toContain(secret);
});
