import type { Server } from "node:http";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type ChatRequest, promptFor, replyTo } from "../../../rehearsal/llm/replies.ts";
import { type LanguageModel, serveLanguageModel } from "../../../rehearsal/llm/server.ts";

let server: Server;
let model: LanguageModel;
let url: string;

beforeAll(async () => {
  const served = await serveLanguageModel({ keys: ["sk-right"], models: ["one"] });
  ({ server, model } = served);
  url = `http://127.0.0.1:${served.port}`;
});

afterEach(() => model.lies.clear());

afterAll(() => {
  server.closeAllConnections();
  server.close();
});

const chat = (body: object, key = "sk-right") =>
  fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { Authorization: `Bearer ${key}` },
    body: JSON.stringify(body),
  });
const tools: ChatRequest["tools"] = [{ type: "function", function: { name: "stable_diffusion" } }];
const asked = (content: string, more: object = {}) => ({
  model: "one",
  messages: [{ role: "user", content }],
  ...more,
});

describe("refuses", () => {
  test("a key that is not its own, in OpenAI's form", async () => {
    const response = await chat(asked("ping"), "sk-wrong");
    expect(response.status).toBe(401);
    expect(await response.text()).toBe(
      '{"error": {"message": "Incorrect API key provided", "type": "invalid_request_error", "code": "invalid_api_key"}}',
    );
  });

  test("a model that it does not have", async () => {
    const response = await chat({ ...asked("ping"), model: "no-such" });
    expect(response.status).toBe(404);
    expect(await response.json()).toMatchObject({
      error: { message: "The model `no-such` does not exist", code: "model_not_found" },
    });
  });

  test("what is no JSON, and paths that it does not know", async () => {
    const headers = { Authorization: "Bearer sk-right" };
    const broken = await fetch(`${url}/v1/chat/completions`, { method: "POST", headers, body: "{" });
    expect([broken.status, (await fetch(`${url}/v1/embeddings`, { headers })).status]).toEqual([400, 404]);
  });
});

describe("answers", () => {
  test("with the models that it has", async () => {
    const response = await fetch(`${url}/v1/models`, { headers: { Authorization: "Bearer sk-right" } });
    expect(await response.json()).toMatchObject({ object: "list", data: [{ id: "one" }] });
  });

  test("a ping, whole", async () => {
    const response = await chat(asked("ping", { max_tokens: 5 }));
    expect(await response.json()).toMatchObject({
      object: "chat.completion",
      choices: [{ message: { role: "assistant", content: "REHEARSAL: pong" }, finish_reason: "stop" }],
      usage: { total_tokens: expect.any(Number) },
    });
  });

  test("a question word by word, the usage last where it is asked for", async () => {
    const response = await chat(asked("a red fox", { stream: true, stream_options: { include_usage: true } }));
    const lines = (await response.text()).split("\n\n").filter(Boolean);
    expect(lines.at(-1)).toBe("data: [DONE]");
    const chunks = lines.slice(0, -1).map((line) => JSON.parse(line.slice("data: ".length)));
    const said = chunks.flatMap(({ choices }) =>
      choices.map((choice: { delta: { content?: string } }) => choice.delta.content ?? ""),
    );
    expect(said.join("")).toBe("REHEARSAL picture of a red fox, highly detailed");
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { prompt_tokens: expect.any(Number) } });
  });

  test("with a call of the tool that it is given, and after its result with a sentence", () => {
    const question = asked("please draw me a cat", { tools }) as ChatRequest;
    expect(replyTo(question)).toEqual({
      kind: "tool",
      name: "stable_diffusion",
      arguments: { prompt: "REHEARSAL picture of a cat, highly detailed" },
    });
    const told = (content: string) =>
      replyTo({ ...question, messages: [...question.messages, { role: "tool", content }] });
    expect(told("image has been created and sent to user already")).toMatchObject({
      text: "REHEARSAL: here is your picture.",
    });
    expect(told("Failed to generate image")).toMatchObject({
      text: expect.stringContaining("Failed to generate image"),
    });
  });

  test("in Ollama's form, whole and streamed", async () => {
    const ask = (body: object) => fetch(`${url}/api/chat`, { method: "POST", body: JSON.stringify(body) });
    const whole = await ask({ ...asked("ping"), stream: false });
    expect(await whole.json()).toMatchObject({ message: { content: "REHEARSAL: pong" }, done: true });
    const lines = (await (await ask(asked("a cat", { tools }))).text())
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(lines[0].message.tool_calls[0].function.name).toBe("stable_diffusion");
    expect(lines.at(-1)).toMatchObject({ done: true });
  });
});

test("prompts are English, and two questions never become one prompt", () => {
  expect(promptFor("画一只雪地里的狐狸")).toBe("REHEARSAL picture of a fox, snow, highly detailed");
  const unread = ["Нарисуй дом", "Нарисуй дым", "집을 그려줘"].map(promptFor);
  expect(new Set(unread).size).toBe(3);
  for (const prompt of unread) expect(prompt).toMatch(/^REHEARSAL picture of [\x20-\x7e]+$/);
});

test.each([
  ["broken", 500],
  ["busy", 429],
] as const)("on order it is %s once", async (lie, status) => {
  model.lies.order(lie, 1);
  expect([(await chat(asked("ping"))).status, (await chat(asked("ping"))).status]).toEqual([status, 200]);
});

test("on order it never calls its tool, says nothing, or answers a page of HTML", async () => {
  const answer = async () => JSON.stringify(await (await chat(asked("a cat", { tools }))).json());
  expect(await answer()).toContain("tool_calls");
  model.lies.order("no_tool", 1);
  expect(await answer()).toContain("a model that calls no tool");
  model.lies.order("empty", 1);
  expect(JSON.parse(await answer())).toMatchObject({ choices: [{ message: { content: "" } }] });
  model.lies.order("garbage", 1);
  expect((await chat(asked("a cat"))).headers.get("content-type")).toBe("text/html");
});
