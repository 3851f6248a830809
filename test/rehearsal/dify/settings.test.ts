import { rmSync } from "node:fs";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { makePackage } from "../../../rehearsal/dify/packages.ts";
import { events } from "./client.ts";
import { Stage } from "./replay.ts";
import { modelCredentials, models, tool, type Wired, wire } from "./wired.ts";

/** Settings and gaps that break an app, most of them without a word: seen at the real Dify. */

const stage = new Stage();
let wired: Wired;

beforeAll(async () => {
  await stage.start();
  wired = await wire(stage);
});

beforeEach(() => setModel({}));

afterAll(async () => {
  await stage.stop();
  for (const folder of stage.folders) rmSync(folder, { recursive: true, force: true });
});

const body = { inputs: {}, query: "a red fox", response_mode: "streaming", conversation_id: "", user: "u1" };
const ask = (name: "agent" | "chatflow", options: { until?: string; ms?: number } = {}) =>
  events(`${stage.url}/v1/chat-messages`, wired.keys[name], body, options);
const chat = (key: string) =>
  fetch(`${stage.url}/v1/chat-messages`, {
    method: "POST",
    headers: { Authorization: `Bearer ${key}`, "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
// biome-ignore lint/suspicious/noExplicitAny: events are what the tests are about
const last = (all: any[], event: string) => all.findLast((each) => each.event === event);

async function setModel(changed: Record<string, string>): Promise<void> {
  const credential_id = stage.dify.state.modelCredentials[0]?.id;
  const credentials = modelCredentials(stage, changed);
  await stage.client.console("PUT", models, {
    model: "stub-model",
    model_type: "llm",
    credential_id,
    name: "main",
    credentials,
  });
}

describe("of the model", () => {
  test("no_call (the default): the agent's tool is not sent, it answers in words, no error", async () => {
    await setModel({ function_calling_type: "no_call" });
    const before = stage.modelRequests.length;
    const seen = await ask("agent");
    expect(stage.modelRequests[before]?.body).not.toHaveProperty("tools");
    expect(last(seen, "message_end").files).toEqual([]);
    expect(seen.map(({ event }) => event)).not.toContain("error");
  });

  test("stream_function_calling not_supported: it works, unstreamed", async () => {
    await setModel({ stream_function_calling: "not_supported" });
    const before = stage.modelRequests.length;
    expect(last(await ask("agent"), "message_end").files).toHaveLength(1);
    expect(stage.modelRequests[before]?.body).toMatchObject({ stream: false });
  });

  test("max_tokens_to_sample below the app's max_tokens: an event error, or a failed node", async () => {
    await setModel({ max_tokens_to_sample: "2048" });
    const message = "Model Parameter max_tokens should be less than or equal to 2048.0.";
    expect(last(await ask("agent"), "error")).toMatchObject({ status: 400, code: "invalid_param", message });
    const finished = last(await ask("chatflow"), "workflow_finished").data;
    expect(finished).toMatchObject({ status: "failed", error: message });
  });

  test("context_size 4096 with max_tokens 4096: it works", async () => {
    await setModel({ context_size: "4096" });
    expect(last(await ask("agent"), "message_end").files).toHaveLength(1);
  });

  test("no credential: an agent's 400; a chatflow's event error, and a stream that stays open", async () => {
    const kept = stage.dify.state.modelCredentials.splice(0);
    const response = await chat(wired.keys.agent);
    expect([response.status, ((await response.json()) as { code: string }).code]).toEqual([
      400,
      "provider_not_initialize",
    ]);
    const seen = await ask("chatflow", { ms: 1500 });
    expect(seen.slice(-2)).toMatchObject([
      { event: "error", message: "Model stub-model not exist." },
      { event: "(still open)" },
    ]);
    stage.dify.state.modelCredentials.push(...kept);
  });

  test("the active credential deleted: refused just so, whatever else is there, until another is chosen", async () => {
    const of = { model: "stub-model", model_type: "llm" };
    await stage.client.console("POST", models, { ...of, name: "theirs", credentials: modelCredentials(stage) });
    const [ours, theirs] = stage.dify.state.modelCredentials;
    await stage.client.console("DELETE", models, { ...of, credential_id: ours?.id });
    expect((await ask("chatflow", { ms: 1500 })).at(-2)).toMatchObject({ message: "Model stub-model not exist." });
    expect((await chat(wired.keys.agent)).status).toBe(400);
    await stage.client.console("POST", `${models}/switch`, { ...of, credential_id: theirs?.id });
    expect(last(await ask("agent"), "message_end").files).toHaveLength(1);
    expect(last(await ask("chatflow"), "message_end").files).toHaveLength(1);
    await setModel({});
  });
});

describe("of the tool", () => {
  const installation = () => stage.dify.state.plugins.find((each) => each.package.includes("/stablediffusion:"))?.id;
  const deletedTools = async () => (await stage.client.console("GET", `/apps/${wired.ids.agent}`)).deleted_tools;

  test("no plugin: an agent's tool is dropped without a word, and named by deleted_tools; a chatflow fails", async () => {
    expect(await deletedTools()).toEqual([]);
    await stage.client.console("POST", "/workspaces/current/plugin/uninstall", {
      plugin_installation_id: installation(),
    });
    const before = stage.modelRequests.length;
    const seen = await ask("agent");
    expect(stage.modelRequests[before]?.body).not.toHaveProperty("tools");
    expect([last(seen, "message_end").files, last(seen, "error")]).toEqual([[], undefined]);
    expect(await deletedTools()).toMatchObject([{ tool_name: "stable_diffusion" }]);
    expect((await stage.client.console("GET", `/apps/${wired.ids.chatflow}`)).deleted_tools).toEqual([]);
    const finished = last(await ask("chatflow"), "workflow_finished").data;
    expect(finished).toMatchObject({ status: "failed", error: "PluginNotFoundError: plugin not found" });
    await stage.client.install(makePackage("stablediffusion", { signed: false }));
    expect(last(await ask("agent"), "message_end").files).toHaveLength(1);
  });

  test("no credential: dropped, and deleted_tools says nothing; a chatflow fails", async () => {
    const { credentials } = await stage.client.console("GET", `${tool}/credential/info`);
    await stage.client.console("POST", `${tool}/delete`, { credential_id: credentials[0].id });
    const seen = await ask("agent");
    expect([last(seen, "message_end").files, last(seen, "error"), await deletedTools()]).toEqual([[], undefined, []]);
    expect(last(await ask("chatflow"), "workflow_finished").data.error).toMatch(
      /^Failed to get tool runtime: no default provider for /,
    );
    const added = {
      credentials: { base_url: stage.webui.url, model: "v1-5-pruned-emaonly" },
      type: "api-key",
      name: "sd",
    };
    await stage.client.console("POST", `${tool}/add`, added);
  });
});

describe("of the graph", () => {
  test("a workflow's graph in a chatflow is taken, and an unpublished draft changes nothing", async () => {
    const { app } = await import("./golden.ts");
    const overwritten = await stage.client.console("POST", "/apps/imports", {
      mode: "yaml-content",
      yaml_content: app("workflow"),
      app_id: wired.ids.chatflow,
    });
    expect(overwritten).toMatchObject({ status: "completed", app_mode: "advanced-chat" });
    expect(last(await ask("chatflow"), "message_end").files).toHaveLength(1);
  });
});

test("https on both of the console's addresses: cookies of __Host- names, which a hand-made header brings over http", async () => {
  Object.assign(stage.dify.config, { consoleApiUrl: "https://dify.example", consoleWebUrl: "https://dify.example" });
  stage.client.cookies.clear();
  await stage.client.logIn();
  expect([...stage.client.cookies.keys()]).toEqual([
    "__Host-access_token",
    "__Host-refresh_token",
    "__Host-csrf_token",
  ]);
  const csrf = stage.client.cookies.get("__Host-csrf_token") ?? "";
  const profile = await stage.client.call("GET", "/console/api/account/profile", { headers: { "X-CSRF-Token": csrf } });
  expect([profile.status, profile.headers.get("x-version")]).toEqual([200, "1.14.2"]);
  expect((await stage.client.call("GET", "/console/api/account/profile")).status).toBe(401);
});
