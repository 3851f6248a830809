import { existsSync, readFileSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import {
  type DifyFacts,
  difyStatus,
  orderDifyLie,
  orderModelLie,
  startDify,
  stopDify,
} from "../../../rehearsal/dify.ts";
import { isFree } from "../../../rehearsal/lib/ports.ts";
import { until } from "../../helpers/until.ts";
import { folder, removeFolders } from "../folders.ts";
import { Client } from "./client.ts";
import { app } from "./golden.ts";

/** The process: started, left alone, replaced, and back with what was in it. */

let dir: string;
let facts: DifyFacts;

beforeAll(async () => {
  dir = folder();
  facts = await startDify({ dir });
});

afterEach(async () => {
  if (difyStatus({ dir }).running) await orderDifyLie({ dir }, null);
});

afterAll(async () => {
  await stopDify({ dir });
  removeFolders();
});

const mode = (name: string) => (statSync(join(dir, name)).mode & 0o777).toString(8);

test("a port that is another program's is named, and nothing is left running", async () => {
  const other = folder();
  const first = await startDify({ dir: other });
  await stopDify({ dir: other });
  const taken = createServer().listen(Number(new URL(first.url).port), "127.0.0.1");
  await expect(startDify({ dir: other })).rejects.toThrow(
    /did not start on 127\.0\.0\.1:\d+ .*EADDRINUSE.*npx atelier down/,
  );
  expect(difyStatus({ dir: other }).running).toBe(false);
  await new Promise((closed) => taken.close(closed));
});

test("the facts are for their owner only, and say all that a stack needs", () => {
  expect(["dify.json", "settings.json", "privkey"].map(mode)).toEqual(["600", "600", "600"]);
  expect(facts).toMatchObject({
    kind: "process",
    url: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/),
    version: "1.14.2",
    model: { provider: "openai_api_compatible", baseUrl: expect.stringMatching(/\/v1$/), apiKey: expect.any(String) },
  });
  expect(facts.initPassword.length).toBeLessThanOrEqual(30);
  for (const [id, path] of Object.entries(facts.plugins)) {
    expect(existsSync(path)).toBe(true);
    expect(facts.identifiers[id]).toMatch(/^langgenius\/[\w-]+:\d+\.\d+\.\d+@[0-9a-f]{64}$/);
  }
});

test("no secret stands in the command line", () => {
  const line = readFileSync(`/proc/${facts.pid}/cmdline`, "utf8") + readFileSync(`/proc/${facts.pid}/environ`, "utf8");
  for (const secret of [facts.password, facts.initPassword, facts.model.apiKey]) expect(line).not.toContain(secret);
});

test("a second start leaves it alone; after a stop it is back, with the same ports and what was in it", async () => {
  expect(await startDify({ dir })).toEqual(facts);
  const client = await new Client(facts.url).setUp(facts);
  for (const id of ["langgenius/stablediffusion", "langgenius/openai_api_compatible"])
    expect(await client.install(readFileSync(facts.plugins[id] ?? ""))).toBe(facts.identifiers[id]);
  const imported = await client.console("POST", "/apps/imports", { mode: "yaml-content", yaml_content: app("agent") });
  const credentials = {
    endpoint_url: facts.model.baseUrl,
    api_key: facts.model.apiKey,
    mode: "chat",
    context_size: "32768",
  };
  const path =
    "/workspaces/current/model-providers/langgenius/openai_api_compatible/openai_api_compatible/models/credentials";
  let added: unknown;
  await until("the plugin is installed", async () => {
    added = await client
      .console("POST", path, { model: facts.model.name, model_type: "llm", name: "main", credentials })
      .catch(() => undefined);
    return added !== undefined;
  });
  expect(added).toEqual({ result: "success" });
  const state = readFileSync(join(dir, "state.json"), "utf8");
  expect(state).toContain("sd-agent");
  expect(state).not.toContain(facts.model.apiKey);

  await stopDify({ dir });
  expect(difyStatus({ dir }).running).toBe(false);
  for (const url of [facts.url, facts.model.baseUrl]) expect(await isFree(Number(new URL(url).port))).toBe(true);
  const again = await startDify({ dir });
  expect({ ...again, pid: 0 }).toEqual({ ...facts, pid: 0 });
  // The login of before still holds, and all is there.
  expect((await client.console("GET", `/apps/${imported.app_id}`)).name).toBe("sd-agent");
  expect((await client.console("GET", "/workspaces/current/plugin/list")).total).toBe(2);
  facts = again;
});

test("lies are ordered by name, of Dify and of the model; there is no other", async () => {
  await orderDifyLie({ dir }, "daemon_down");
  const client = await new Client(facts.url).logIn(facts.email, facts.password);
  await expect(client.console("GET", "/workspaces/current/plugin/list")).rejects.toThrow(
    /Failed to request plugin daemon/,
  );
  await orderDifyLie({ dir }, null);
  expect((await client.console("GET", "/workspaces/current/plugin/list")).total).toBe(2);
  await orderModelLie({ dir }, "broken", 1);
  const ask = () =>
    fetch(`${facts.model.baseUrl}/chat/completions`, {
      method: "POST",
      headers: { Authorization: `Bearer ${facts.model.apiKey}` },
      body: JSON.stringify({ model: facts.model.name, messages: [{ role: "user", content: "ping" }] }),
    });
  expect([(await ask()).status, (await ask()).status]).toEqual([500, 200]);
  // @ts-expect-error a name that no lie has
  await expect(orderDifyLie({ dir }, "told_the_truth")).rejects.toThrow(
    /No lie .*told_the_truth.* There are: plugin_missing/,
  );
});

test("each app has a page for people, which says what it is; a code of no app has none", async () => {
  const client = await new Client(facts.url).logIn(facts.email, facts.password);
  const { data } = await client.console("GET", "/apps?page=1&limit=10");
  const { site } = await client.console("GET", `/apps/${data[0].id}`);
  for (const path of ["/", `/chat/${site.access_token}`]) {
    const response = await fetch(`${facts.url}${path}`);
    expect([response.status, response.headers.get("content-type")]).toEqual([200, "text/html; charset=utf-8"]);
    expect(await response.text()).toMatch(/REHEARSAL: a stand-in for Dify/);
  }
  expect((await fetch(`${facts.url}/chat/0000000000000000`)).status).toBe(404);
});
