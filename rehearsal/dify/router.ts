import type { IncomingHttpHeaders } from "node:http";
import { type Answer, Refusal } from "./answers.ts";
import type { Dify } from "./dify.ts";
import { isObject, type JsonObject } from "./json.ts";
import type { Account, App } from "./state.ts";

/** One request, as handlers see it. */
export interface Call {
  dify: Dify;
  method: string;
  url: URL;
  headers: IncomingHttpHeaders;
  body: Buffer;
  /** What stood for the path's `:names`. */
  part: (name: string) => string;
}

/** A call of somebody who logged in. */
export interface AccountCall extends Call {
  account: Account;
}

/** A call with an app's key. */
export interface AppCall extends Call {
  app: App;
}

type Handler<C> = (call: C) => Answer | Promise<Answer>;

export type Route = { method: string; pattern: RegExp; names: string[] } & (
  | { guard: "open" | "set-up"; handler: Handler<Call> }
  | { guard: "account"; handler: Handler<AccountCall> }
  | { guard: "app-key" | "passport"; handler: Handler<AppCall> }
);

/**
 * A row of the table of routes. In a path `:name` is one segment, `:name+` one or more.
 * Guards: `open`; `set-up` (refused before the first set-up); `account` (a login's cookies and CSRF header);
 * `app-key` (an app's API key); `passport` (a web app's visitor).
 */
export const open = (line: string, handler: Handler<Call>): Route => ({ ...parse(line), guard: "open", handler });
export const afterSetup = (line: string, handler: Handler<Call>): Route => ({
  ...parse(line),
  guard: "set-up",
  handler,
});
export const account = (line: string, handler: Handler<AccountCall>): Route => ({
  ...parse(line),
  guard: "account",
  handler,
});
export const appKey = (line: string, handler: Handler<AppCall>): Route => ({
  ...parse(line),
  guard: "app-key",
  handler,
});
export const passport = (line: string, handler: Handler<AppCall>): Route => ({
  ...parse(line),
  guard: "passport",
  handler,
});

function parse(line: string): { method: string; pattern: RegExp; names: string[] } {
  const [method = "", path = ""] = line.split(" ");
  const names = [...path.matchAll(/:(\w+)\+?/g)].map((match) => match[1] ?? "");
  const source = path.replace(/[.]/g, "\\.").replace(/:\w+(\+?)/g, (_, many) => (many ? "(.+?)" : "([^/]+)"));
  return { method, pattern: new RegExp(`^${source}$`), names };
}

/** The route of a request, and what stood for its names. */
export function findRoute(routes: Route[], method: string, path: string): { route: Route; parts: Map<string, string> } {
  const fitting = routes.filter(({ pattern }) => pattern.test(path));
  const route = fitting.find((each) => each.method === method);
  if (!route) {
    if (fitting.length > 0)
      throw new Refusal(405, "method_not_allowed", "The method is not allowed for the requested URL.");
    throw new Refusal(
      404,
      "not_found",
      "The requested URL was not found on the server. If you entered the URL manually please check your spelling and try again.",
    );
  }
  const [, ...found] = route.pattern.exec(path) ?? [];
  return { route, parts: new Map(route.names.map((name, at) => [name, decodeURIComponent(found[at] ?? "")])) };
}

/** The body as a JSON object; `{}` without one where `optional`. */
export function bodyOf({ headers, body }: Call, optional = false): JsonObject {
  if (!/^application\/json\b/.test(headers["content-type"] ?? "")) {
    if (optional) return {};
    throw new Refusal(
      415,
      "unsupported_media_type",
      "Did not attempt to load JSON data because the request Content-Type was not 'application/json'.",
    );
  }
  try {
    const value: unknown = JSON.parse(body.toString("utf8"));
    if (isObject(value)) return value;
  } catch {}
  throw new Refusal(400, "bad_request", "The browser (or proxy) sent a request that this server could not understand.");
}
