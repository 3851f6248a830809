import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { keepLines } from "../lib/lines.ts";
import type { LanguageModel } from "../llm/server.ts";
import { type Answer, internalError, OtherRefusal, Refusal } from "./answers.ts";
import { appRoutes } from "./apps.ts";
import { chatRoutes } from "./chat.ts";
import { controlRoutes } from "./control.ts";
import { type Dify, difyVersion } from "./dify.ts";
import { fileRoutes } from "./files.ts";
import { needAccount, needAppKey, needPassport, needSetup } from "./guards.ts";
import { modelRoutes } from "./models.ts";
import { pageRoutes } from "./page.ts";
import { pluginRoutes } from "./plugins.ts";
import { type Call, findRoute, type Route } from "./router.ts";
import { setupRoutes } from "./setup.ts";
import { toolRoutes } from "./tools.ts";
import { workflowRoutes } from "./workflows.ts";

const routes: Route[] = [
  ...setupRoutes,
  ...pluginRoutes,
  ...toolRoutes,
  ...modelRoutes,
  ...appRoutes,
  ...workflowRoutes,
  ...chatRoutes,
  ...fileRoutes,
  ...controlRoutes,
  ...pageRoutes,
];

/** The compose file's limit of a plugin's package, and some air. */
const biggestBody = 64 * 1024 * 1024;

export interface Serving {
  server: Server;
  port: number;
}

/**
 * Serves a stand-in Dify.
 * @param options.model a language model that is served beside it, under its own prefix
 */
export async function serveDify(
  dify: Dify,
  options: { port?: number; host?: string; model?: LanguageModel } = {},
): Promise<Serving> {
  const server = keepLines(createServer((request, response) => void answerTo(dify, options.model, request, response)));
  // A chat may think for minutes before its first byte.
  server.requestTimeout = 0;
  await new Promise<void>((listens, fails) => {
    server.once("error", fails);
    server.listen(options.port ?? 0, options.host ?? "127.0.0.1", listens);
  });
  return { server, port: (server.address() as AddressInfo).port };
}

async function answerTo(
  dify: Dify,
  model: LanguageModel | undefined,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const url = new URL(request.url ?? "/", "http://dify");
  if (model?.owns(url.pathname)) return model.answer(request, response);
  response.on("error", () => {});
  try {
    const { route, parts } = findRoute(routes, request.method ?? "GET", url.pathname);
    const call: Call = {
      dify,
      method: request.method ?? "GET",
      url,
      headers: request.headers,
      body: await bodyOf(request),
      part: (name) => parts.get(name) ?? "",
    };
    await write(response, await answerOf(route, call));
  } catch (error) {
    if (response.headersSent) response.destroy();
    else await write(response, refusalOf(error));
  }
}

async function answerOf(route: Route, call: Call): Promise<Answer> {
  switch (route.guard) {
    case "open":
      return route.handler(call);
    case "set-up":
      needSetup(call);
      return route.handler(call);
    case "account":
      return route.handler({ ...call, account: needAccount(call) });
    case "app-key":
      return route.handler({ ...call, app: needAppKey(call) });
    case "passport":
      return route.handler({ ...call, app: needPassport(call) });
  }
}

function refusalOf(error: unknown): Answer {
  if (error instanceof Refusal || error instanceof OtherRefusal) return error.answer;
  console.error(error);
  return internalError().answer;
}

async function write(response: ServerResponse, answer: Answer): Promise<void> {
  response.setHeader("X-Version", difyVersion);
  response.setHeader("X-Env", "PRODUCTION");
  if (answer.cookies && answer.cookies.length > 0) response.setHeader("Set-Cookie", answer.cookies);
  if (answer.events) {
    response.writeHead(answer.status, {
      "Content-Type": "text/event-stream; charset=utf-8",
      "Cache-Control": "no-cache",
    });
    const gone = new AbortController();
    response.once("close", () => gone.abort());
    // A client may hang up in the middle: the run goes on, as Dify's does.
    await answer.events((event) => {
      if (response.destroyed) return;
      response.write(typeof event === "string" ? `${event}\n\n` : `data: ${JSON.stringify(event)}\n\n`);
    }, gone.signal);
    response.end();
  } else if (answer.bytes) {
    response.writeHead(answer.status, {
      "Content-Type": answer.bytes.type,
      "Content-Length": answer.bytes.content.length,
    });
    response.end(answer.bytes.content);
  } else {
    response.writeHead(answer.status, { "Content-Type": "application/json" });
    response.end(answer.status === 204 ? undefined : `${JSON.stringify(answer.body ?? null)}\n`);
  }
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes > biggestBody) throw new Refusal(413, "request_entity_too_large", "The data value is too large.");
    parts.push(part);
  }
  return Buffer.concat(parts);
}
