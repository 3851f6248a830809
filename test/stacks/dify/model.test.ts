import { describe, expect, test } from "vitest";
import { modelItem, thinkingOf, tokensOf } from "../../../stacks/dify/model.ts";
import type { DifyModel } from "../../../stacks/schema/dify.ts";

const of = (provider: string, name: string, more: object = {}) =>
  ({ provider, name, maxTokens: 2048, contextSize: 32768, baseUrl: "http://llm.example.com/v1", ...more }) as DifyModel;

describe("thinking", () => {
  test.each([
    ["tongyi", "qwen3-30b-a3b", { enable_thinking: false }],
    ["ollama", "qwen3:8b", { think: false }],
    ["openai_api_compatible", "Qwen/Qwen3-32B", { enable_thinking: false }],
    ["zhipuai", "glm-4.5-flash", { thinking: false }],
    ["tongyi", "qwen3-235b-a22b-thinking-2507", {}],
    ["openai_api_compatible", "deepseek-r1", {}],
    ["ollama", "gpt-oss:20b", {}],
  ])("%s %s thinks: 4096 tokens at least, and not at all where it can be told so", (provider, name, parameters) => {
    expect(thinkingOf(of(provider, name))).toEqual({ thinks: true, parameters });
    expect(tokensOf(of(provider, name))).toBe(4096);
    expect(tokensOf(of(provider, name, { maxTokens: 8192 }))).toBe(8192);
  });

  test.each([
    ["tongyi", "qwen2.5-72b-instruct"],
    ["tongyi", "qwen3-235b-a22b-instruct-2507"],
    ["tongyi", "qwen3-coder-plus"],
    ["zhipuai", "glm-4-flash"],
    ["openai_api_compatible", "gpt-4o-mini"],
    ["ollama", "llama3.1:8b"],
  ])("%s %s does not", (provider, name) => {
    expect(thinkingOf(of(provider, name))).toEqual({ thinks: false, parameters: {} });
    expect(tokensOf(of(provider, name))).toBe(2048);
  });
});

describe("a credential", () => {
  test("of OpenAI's kind has tool calls on, and a bound that no app of ours goes beyond", () => {
    const { scope, credentials, secrets } = modelItem(of("openai_api_compatible", "m"), "k");
    expect(scope).toBe("model");
    expect(credentials).toMatchObject({
      endpoint_url: "http://llm.example.com/v1",
      api_key: "k",
      mode: "chat",
      context_size: "32768",
      max_tokens_to_sample: "4096",
      function_calling_type: "tool_call",
      stream_function_calling: "supported",
      agent_thought_support: "not_supported",
      compatibility_mode: "strict",
    });
    expect(secrets).toEqual(["api_key"]);
    expect(modelItem(of("openai_api_compatible", "m"), undefined).credentials).not.toHaveProperty("api_key");
  });

  test("of a model that can be told not to think speaks of it to the server", () => {
    const said = { agent_thought_support: "supported", compatibility_mode: "extended" };
    expect(modelItem(of("openai_api_compatible", "qwen3-8b"), "k").credentials).toMatchObject(said);
    expect(modelItem(of("openai_api_compatible", "qwq-32b"), "k").credentials).toMatchObject({
      agent_thought_support: "only_thinking_supported",
      compatibility_mode: "strict",
    });
  });

  test("of ollama has its own fields", () => {
    expect(modelItem(of("ollama", "llama3.1:8b", { baseUrl: "http://10.0.0.2:11434" }), undefined)).toMatchObject({
      provider: "langgenius/ollama/ollama",
      scope: "model",
      credentials: { base_url: "http://10.0.0.2:11434", max_tokens: "4096", function_call_support: "true" },
    });
  });

  test("of tongyi and zhipuai is the provider's, and tongyi's knows how to add a model that is not listed", () => {
    const tongyi = modelItem(of("tongyi", "qwen2.5-72b-instruct", { international: false }), "k");
    expect(tongyi).toMatchObject({
      scope: "provider",
      credentials: { dashscope_api_key: "k", use_international_endpoint: "false" },
      custom: { dashscope_api_key: "k", max_tokens: "4096", function_calling_type: "function_call" },
      secrets: ["dashscope_api_key"],
    });
    expect(modelItem(of("tongyi", "qwen-max", { international: true }), "k").custom).toBeUndefined();
    expect(modelItem(of("zhipuai", "glm-4-flash", { baseUrl: undefined }), "k")).toMatchObject({
      scope: "provider",
      credentials: { api_key: "k", validate_model: "glm-4-flash" },
    });
  });
});
