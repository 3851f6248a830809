import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { Lies } from "../lib/lies.ts";
import { keepLines } from "../lib/lines.ts";
import { pythonJson } from "../lib/python-json.ts";
import { chunks, completion } from "./completion.ts";
import { type ModelLie, modelLies } from "./lies.ts";
import { ollamaChat } from "./ollama.ts";
import { type ChatRequest, replyTo } from "./replies.ts";

export interface LanguageModelOptions {
  /** The keys that it takes. */
  keys: string[];
  /** The names that it answers to. */
  models: string[];
  /** Where its paths begin, such as `/rehearsal/llm`. @default "" */
  prefix?: string;
  /** Told of every request that it gets. */
  seen?: (request: SeenRequest) => void;
}

export interface SeenRequest {
  method: string;
  path: string;
  headers: Record<string, string>;
  body: unknown;
}

const slowMs = 20_000;
const biggestBody = 8 * 1024 * 1024;

/** A stand-in language model: OpenAI's chat completions and models, and Ollama's chat. */
export class LanguageModel {
  readonly lies = new Lies<ModelLie>(modelLies);
  readonly options: LanguageModelOptions;

  constructor(options: LanguageModelOptions) {
    this.options = options;
  }

  /** Whether a path is one of its own. */
  owns(path: string): boolean {
    return this.#under(path) !== undefined;
  }

  /** Answers one request. Never throws: what goes wrong is a 400. */
  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      await this.#answer(request, response);
    } catch (error) {
      if (response.headersSent) response.destroy();
      else refuse(response, 400, "bad_request", error instanceof Error ? error.message : String(error));
    }
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = this.#under(new URL(request.url ?? "/", "http://any").pathname);
    const body = await readBody(request);
    this.options.seen?.({
      method: request.method ?? "",
      path: path ?? "",
      headers: headersAsSent(request),
      body: body === "" ? null : JSON.parse(body),
    });
    if (path === "/__health") return json(response, 200, { status: "ok", stand_in: "REHEARSAL" });
    if (path === "/control/lies") return this.#takeOrder(request.method, body, response);
    if (path === "/api/chat" && request.method === "POST") return this.#ollama(JSON.parse(body), response);
    const key = /^Bearer (.+)$/.exec(request.headers.authorization ?? "")?.[1];
    if (key === undefined || !this.options.keys.includes(key))
      return refuse(response, 401, "invalid_api_key", "Incorrect API key provided");
    if (path === "/v1/models" && request.method === "GET")
      return json(response, 200, {
        object: "list",
        data: this.options.models.map((id) => ({ id, object: "model", created: 0, owned_by: "REHEARSAL" })),
      });
    if (path === "/v1/chat/completions" && request.method === "POST")
      return this.#chat(JSON.parse(body) as ChatRequest, response);
    refuse(response, 404, "unknown_url", `Unknown request URL: ${request.method} ${path}`);
  }

  async #chat(request: ChatRequest, response: ServerResponse): Promise<void> {
    if (!this.options.models.includes(request.model))
      return refuse(response, 404, "model_not_found", `The model \`${request.model}\` does not exist`);
    if (await this.#liesInstead(response)) return;
    const reply = this.#reply(request);
    if (!request.stream) return json(response, 200, completion(request, reply));
    response.writeHead(200, { "Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache" });
    for (const chunk of chunks(request, reply, this.lies.tells("bad_arguments"))) {
      response.write(`data: ${JSON.stringify(chunk)}\n\n`);
      await sleep(3);
    }
    response.end("data: [DONE]\n\n");
  }

  async #ollama(request: ChatRequest, response: ServerResponse): Promise<void> {
    if (!this.options.models.includes(request.model))
      return json(response, 404, { error: `model '${request.model}' not found` });
    if (await this.#liesInstead(response)) return;
    const { type, lines } = ollamaChat(request, this.#reply(request));
    response.writeHead(200, { "Content-Type": type });
    response.end(lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
  }

  #takeOrder(method: string | undefined, body: string, response: ServerResponse): void {
    if (method === "DELETE") this.lies.clear();
    else if (method === "POST") {
      const { lie, times } = JSON.parse(body) as { lie: string; times?: number };
      this.lies.order(lie, times);
    }
    json(response, 200, { ordered: this.lies.ordered(), known: this.lies.names });
  }

  #reply(request: ChatRequest) {
    const reply = replyTo(
      request,
      this.lies.has("no_tool") && request.tools !== undefined && this.lies.tells("no_tool"),
    );
    return this.lies.tells("empty") ? { kind: "text" as const, text: "" } : reply;
  }

  /** Whether a lie was the whole answer. */
  async #liesInstead(response: ServerResponse): Promise<boolean> {
    if (this.lies.tells("slow")) await sleep(slowMs);
    if (this.lies.tells("broken")) refuse(response, 500, "server_error", "REHEARSAL: broken on order");
    else if (this.lies.tells("busy")) refuse(response, 429, "rate_limit_exceeded", "REHEARSAL: too many requests");
    else if (this.lies.tells("garbage")) {
      response.writeHead(200, { "Content-Type": "text/html" });
      response.end("<html><body>REHEARSAL: please sign in to this network</body></html>");
    } else return false;
    return true;
  }

  #under(path: string): string | undefined {
    const { prefix = "" } = this.options;
    return path.startsWith(`${prefix}/`) ? path.slice(prefix.length) : undefined;
  }
}

/** Serves a stand-in language model by itself on loopback. */
export async function serveLanguageModel(
  options: LanguageModelOptions & { port?: number; host?: string },
): Promise<{ server: Server; port: number; model: LanguageModel }> {
  const model = new LanguageModel(options);
  const server = keepLines(createServer((request, response) => void model.answer(request, response)));
  await new Promise<void>((listens, fails) => {
    server.once("error", fails);
    server.listen(options.port ?? 0, options.host ?? "127.0.0.1", listens);
  });
  return { server, port: (server.address() as AddressInfo).port, model };
}

function headersAsSent({ rawHeaders }: IncomingMessage): Record<string, string> {
  const pairs = Array.from({ length: rawHeaders.length / 2 }, (_, at) => rawHeaders.slice(2 * at, 2 * at + 2));
  return Object.fromEntries(pairs) as Record<string, string>;
}

async function readBody(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes > biggestBody) throw new Error("the request is over 8 MiB");
    parts.push(part);
  }
  return Buffer.concat(parts).toString("utf8");
}

function json(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { "Content-Type": "application/json" });
  response.end(pythonJson(value));
}

const refuse = (response: ServerResponse, status: number, code: string, message: string): void =>
  json(response, status, { error: { message, type: "invalid_request_error", code } });
