import { createHash, randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { Refusal } from "./answers.ts";
import type { Dify } from "./dify.ts";
import { objectIn, textIn } from "./json.ts";
import { activeCredential, modelProviders, modelsOf, type Provider } from "./providers.ts";
import { type App, now } from "./state.ts";

/** What somebody asked of an app, and what its answer is told with. */
export interface Run {
  dify: Dify;
  app: App;
  inputs: Record<string, string>;
  query: string;
  user: string;
  conversationId: string;
  messageId: string;
  taskId: string;
  createdAt: number;
}

/** How long a silent stream stays open: until a client's patience ends. */
const silence = 300_000;

export function newRun(dify: Dify, app: App, asked: Pick<Run, "inputs" | "query" | "user" | "conversationId">): Run {
  return {
    dify,
    app,
    ...asked,
    conversationId: asked.conversationId || randomUUID(),
    messageId: randomUUID(),
    taskId: randomUUID(),
    createdAt: now(),
  };
}

/** An event's beginning in a chat. */
export const chatHead = (run: Run, event: string) => ({
  event,
  conversation_id: run.conversationId,
  message_id: run.messageId,
  created_at: run.createdAt,
  task_id: run.taskId,
});

/** The event `error`: status 200 has been sent long ago. */
export const errorEvent = (run: Run, message: string, code = "invalid_param", status = 400) => ({
  ...chatHead(run, "error"),
  code,
  message,
  status,
});

/** Says nothing and keeps the stream open, until the other end gives up. */
export async function holdOpen(gone: AbortSignal): Promise<void> {
  await sleep(silence, undefined, { signal: gone }).catch(() => {});
}

/** A user of an app, by the name that the caller gave: the same one every time. */
export function endUserId(run: Run): string {
  const hex = createHash("sha256").update(`${run.app.id} ${run.user}`).digest("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join("-");
}

/** A model that can be called, by what an app says of it. */
export interface Callable {
  provider: Provider;
  model: string;
  credentials: Record<string, string>;
}

/** undefined: it has no credential, or its plugin is missing. */
export function callable(dify: Dify, settings: unknown): Callable | undefined {
  const provider = modelProviders(dify).find(({ id }) => id === textIn(settings, "provider"));
  const model = textIn(settings, "name");
  if (!provider || !modelsOf(dify, provider).includes(model)) return undefined;
  const credential = activeCredential(dify, provider, model);
  return credential ? { provider, model, credentials: credential.credentials } : undefined;
}

/** @throws 400, before an agent's stream begins */
export function needCallable(run: Run): Callable {
  const found = callable(run.dify, objectIn(run.app.modelConfig, "model"));
  if (found) return found;
  throw new Refusal(
    400,
    "provider_not_initialize",
    "No valid model provider credentials found. Please go to Settings -> Model Provider to complete your own provider credentials.",
  );
}

/** Why a model refuses an app's max_tokens. */
export function boundBroken(maxTokens: number, parameters: unknown): string | undefined {
  const wanted = (parameters as { max_tokens?: unknown }).max_tokens;
  if (typeof wanted !== "number" || wanted <= maxTokens) return undefined;
  return `Model Parameter max_tokens should be less than or equal to ${maxTokens}.0.`;
}

/** Tokens and their price, which is nothing. */
export const usageOf = (promptTokens: number, completionTokens: number, times: Times) => ({
  prompt_tokens: promptTokens,
  prompt_unit_price: "0",
  prompt_price_unit: "0",
  prompt_price: "0",
  completion_tokens: completionTokens,
  completion_unit_price: "0",
  completion_price_unit: "0",
  completion_price: "0",
  total_tokens: promptTokens + completionTokens,
  total_price: "0",
  currency: "USD",
  ...times,
});

export interface Times {
  latency: number;
  time_to_first_token: number | null;
  time_to_generate: number | null;
}

/** Keeps what was said, for the next question of a conversation. */
export function remember(run: Run, answer: string, pictures: string[]): void {
  const { state } = run.dify;
  state.messages.push({
    id: run.messageId,
    appId: run.app.id,
    conversationId: run.conversationId,
    user: run.user,
    query: run.query,
    answer,
    createdAt: run.createdAt,
    pictures,
  });
  state.messages.splice(0, Math.max(0, state.messages.length - 500));
  run.dify.save();
}

export const conversation = (run: Run) =>
  run.dify.state.messages.filter(
    (each) => each.appId === run.app.id && each.conversationId === run.conversationId && each.id !== run.messageId,
  );
