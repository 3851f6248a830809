import { createInterface } from "node:readline";
import { pythonJson } from "../lib/python-json.ts";
import type { Dify } from "./dify.ts";
import { isObject, type JsonObject, listIn, objectIn, textIn } from "./json.ts";
import { type Incoming, Unreachable } from "./outbound.ts";
import { runtimeNotFound } from "./plugin-daemon.ts";
import type { Provider } from "./providers.ts";
import { requestId } from "./tools.ts";

/** What one call of a model is made of. */
export interface ModelCall {
  model: string;
  credentials: Record<string, string>;
  parameters: JsonObject;
  messages: JsonObject[];
  tools: JsonObject[];
  stream: boolean;
  user?: string;
}

export interface ToolCall {
  id: string;
  name: string;
  arguments: string;
}

/** What a model gave: words as they came, then the whole. */
export interface ModelAnswer {
  text: string;
  toolCalls: ToolCall[];
  finish: string;
  promptTokens: number;
  completionTokens: number;
}

/** A call that failed, in the words of the provider's plugin. */
export class ModelError extends Error {
  /** What an agent's stream says of it, where that is other than a flow's words: the plugin's own JSON. */
  readonly told: string | undefined;

  constructor(message: string, told?: string) {
    super(message);
    this.told = told;
  }
}

/** The endpoint answered, and with an error: Dify has no error of its own for that, and hands on the plugin's. */
function refusedCall(status: number, body: string): ModelError {
  const description = `[models] Error: API request failed with status code ${status}: ${body}`;
  const told = JSON.stringify({ args: { description }, error_type: "InvokeError", message: description });
  return new ModelError(`req_id: ${requestId()} PluginInvokeError: ${told}`, told);
}

/** Tells why a provider's plugin refuses a credential, after one real call of the model; undefined: it takes it. */
export async function validateModel(
  dify: Dify,
  provider: Provider,
  model: string,
  credentials: Record<string, string>,
): Promise<string | undefined> {
  const cloud = isCloud(provider);
  const called = cloud
    ? model || credentials.validate_model || firstModelOf(provider.name)
    : credentials.endpoint_model_name || model;
  const body: JsonObject = { model: called, max_tokens: 5, messages: [{ role: "user", content: "ping" }] };
  if (provider.name === "ollama") Object.assign(body, { options: { num_predict: 5 }, stream: false });
  const url = addressOf(dify, provider, credentials);
  if (!url) return "Connection error.";
  let response: Incoming;
  let text: string;
  try {
    response = await dify.fetch({
      method: "POST",
      url,
      headers: headersFor(credentials),
      body: pythonJson(body),
      timeout: 300_000,
    });
    text = (await response.text()).trim();
  } catch (error) {
    if (cloud) return "Connection error.";
    return `An error occurred during credentials validation: ${error instanceof Unreachable ? error.message : String(error)}`;
  }
  if (response.status !== 200)
    return cloud
      ? `Error code: ${response.status}, with error text ${text}`
      : `Credentials validation failed with status code ${response.status} and response body ${text}`;
  if (parsed(text) === undefined) return `Credentials validation failed: JSON decode error, response body ${text}`;
  return undefined;
}

/**
 * Calls a model. `said` gets every piece of text as it comes, also the empty ones.
 * @throws {ModelError}
 */
export async function callModel(
  dify: Dify,
  provider: Provider,
  call: ModelCall,
  said: (text: string) => void,
): Promise<ModelAnswer> {
  const url = addressOf(dify, provider, call.credentials);
  if (!url) throw new ModelError(`[models] Connection Error, Connection error.`);
  if (dify.lies.tells("runtime_missing")) throw new ModelError(`[models] Error: ${runtimeNotFound}`);
  const body = provider.name === "ollama" ? ollamaBody(call) : openaiBody(call);
  try {
    const response = await dify.fetch({
      method: "POST",
      url,
      headers: headersFor(call.credentials, true),
      body: pythonJson(body),
      timeout: 300_000,
    });
    if (response.status !== 200) throw refusedCall(response.status, await response.text());
    const answer: ModelAnswer = { text: "", toolCalls: [], finish: "", promptTokens: 0, completionTokens: 0 };
    if (call.stream || provider.name === "ollama") await readLines(response, answer, said);
    else readWhole(await response.text(), answer, said);
    return answer;
  } catch (error) {
    if (error instanceof ModelError) throw error;
    throw new ModelError(
      `[models] Server Unavailable Error, ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}

/** Whether a provider has an address of its own outside. */
const isCloud = ({ bringsModels }: Provider) => bringsModels;

const firstModelOf = (provider: string) => (provider === "tongyi" ? "qwen-turbo" : "glm-4-flash");

/** Where a provider's models are called; undefined: outside, where the stand-in never goes. */
function addressOf(dify: Dify, provider: Provider, credentials: Record<string, string>): string | undefined {
  const slashless = (url: string) => url.replace(/\/$/, "");
  if (provider.name === "ollama") return `${slashless(credentials.base_url ?? "")}/api/chat`;
  const base = isCloud(provider) ? credentials.base_url || dify.config.cloudModels : credentials.endpoint_url;
  return base ? `${slashless(base)}/chat/completions` : undefined;
}

function headersFor(credentials: Record<string, string>, called = false): Record<string, string> {
  const key = credentials.api_key ?? credentials.dashscope_api_key;
  return {
    "Content-Type": "application/json",
    ...(called && { "Accept-Charset": "utf-8" }),
    ...(key && { Authorization: `Bearer ${key}` }),
  };
}

function openaiBody({ model, credentials, parameters, messages, tools, stream, user }: ModelCall): JsonObject {
  return {
    model: credentials.endpoint_model_name || model,
    stream,
    ...withoutEmpty(parameters),
    ...(stream && credentials.stream_include_usage !== "disabled" && { stream_options: { include_usage: true } }),
    messages,
    ...(tools.length > 0 && { tool_choice: "auto", tools }),
    ...(user !== undefined && { user }),
  };
}

const ollamaBody = ({ model, parameters, messages, tools, stream }: ModelCall): JsonObject => ({
  model,
  stream,
  options: {
    num_predict: parameters.num_predict ?? parameters.max_tokens ?? 512,
    temperature: parameters.temperature ?? 0.7,
  },
  messages,
  ...(tools.length > 0 && { tools }),
});

/** In the order of the plugin's rules; max_tokens is its last. */
function withoutEmpty(parameters: JsonObject): JsonObject {
  const { max_tokens, ...others } = parameters;
  const said = Object.entries(others).filter(([, value]) => !Array.isArray(value) || value.length > 0);
  return { ...Object.fromEntries(said), ...(max_tokens !== undefined && { max_tokens }) };
}

async function readLines(response: Incoming, answer: ModelAnswer, said: (text: string) => void): Promise<void> {
  let understood = 0;
  for await (const line of createInterface({ input: response.body, crlfDelay: Number.POSITIVE_INFINITY })) {
    const text = line.replace(/^data:\s*/, "").trim();
    if (text === "" || text === "[DONE]") continue;
    const chunk = parsed(text);
    // What is no JSON the real plugin skips as well; a stream of nothing else is an error there.
    if (!isObject(chunk)) continue;
    understood += 1;
    const [choice] = listIn(chunk, "choices");
    const delta = choice ? objectIn(choice, "delta") : objectIn(chunk, "message");
    takeUsage(chunk, answer);
    if (!choice && !("message" in chunk)) continue;
    takeMessage(delta, answer, said);
    answer.finish = textIn(choice ?? chunk, "finish_reason") || textIn(chunk, "done_reason") || answer.finish;
  }
  if (understood === 0) throw new ModelError("[models] Server Error, the model's stream had no event in it");
}

function readWhole(text: string, answer: ModelAnswer, said: (text: string) => void): void {
  const whole = parsed(text);
  const [choice] = listIn(whole, "choices");
  if (!choice) throw new ModelError(`[models] Server Error, Expecting value: line 1 column 1 (char 0)`);
  takeMessage(objectIn(choice, "message"), answer, said);
  takeUsage(whole, answer);
  answer.finish = textIn(choice, "finish_reason");
}

function takeMessage(message: JsonObject, answer: ModelAnswer, said: (text: string) => void): void {
  const text = textIn(message, "content");
  answer.text += text;
  for (const call of listIn(message, "tool_calls")) takeToolCall(call, answer);
  said(text);
}

/** Streamed calls come in pieces: the first has the name, all have some of the arguments. */
function takeToolCall(call: unknown, answer: ModelAnswer): void {
  const named = objectIn(call, "function");
  const given = named.arguments;
  const piece = typeof given === "string" ? given : JSON.stringify(given ?? "");
  const name = textIn(named, "name");
  const last = answer.toolCalls.at(-1);
  if (name) answer.toolCalls.push({ id: textIn(call, "id") || name, name, arguments: piece });
  else if (last) last.arguments += piece;
}

function takeUsage(chunk: unknown, answer: ModelAnswer): void {
  const usage = objectIn(chunk, "usage");
  const numberIn = (from: JsonObject, key: string, without: number) =>
    typeof from[key] === "number" ? (from[key] as number) : without;
  answer.promptTokens = numberIn(usage, "prompt_tokens", answer.promptTokens);
  answer.completionTokens = numberIn(usage, "completion_tokens", answer.completionTokens);
  if (!isObject(chunk)) return;
  answer.promptTokens = numberIn(chunk, "prompt_eval_count", answer.promptTokens);
  answer.completionTokens = numberIn(chunk, "eval_count", answer.completionTokens);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
