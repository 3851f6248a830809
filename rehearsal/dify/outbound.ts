import { Agent, type IncomingMessage, request as requestHttp } from "node:http";
import { request as requestHttps, Agent as TlsAgent } from "node:https";
import { pipeline, type Readable } from "node:stream";
import { createGunzip, createInflate } from "node:zlib";
import type { Config } from "./config.ts";

/** A request as a plugin sends it: with the headers of Python's requests. */
export interface Outgoing {
  method: "GET" | "POST";
  url: string;
  /** Besides those of Python's requests, in order. */
  headers?: Record<string, string>;
  body?: string;
  /** Milliseconds without a byte; none: it waits for ever. */
  timeout?: number;
}

export interface Incoming {
  status: number;
  body: Readable;
  text: () => Promise<string>;
}

export type Fetch = (outgoing: Outgoing) => Promise<Incoming>;

/** A request that got no answer, in the words of Python's requests. */
export class Unreachable extends Error {}

/** User and password of an URL, as requests takes them: percent-decoded, out of the URL, into Authorization. */
function splitLogin(url: string): { url: string; authorization: string | undefined } {
  const parsed = new URL(url);
  const { username, password } = parsed;
  parsed.username = "";
  parsed.password = "";
  const login = username && `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return {
    url: parsed.href,
    authorization: login ? `Basic ${Buffer.from(login, "latin1").toString("base64")}` : undefined,
  };
}

/** Sends a request from here. */
export const fetchDirectly: Fetch = (outgoing) => {
  const { url, authorization } = splitLogin(outgoing.url);
  const target = new URL(url);
  const secure = target.protocol === "https:";
  const agent = secure ? new TlsAgent({ keepAlive: true }) : new Agent({ keepAlive: true });
  const headers = {
    Host: target.host,
    "User-Agent": "python-requests/2.34.2",
    "Accept-Encoding": "gzip, deflate",
    Accept: "*/*",
    Connection: "keep-alive",
    ...outgoing.headers,
    ...(authorization && { Authorization: authorization }),
    ...(outgoing.body !== undefined && { "Content-Length": String(Buffer.byteLength(outgoing.body)) }),
  };
  return new Promise((answer, fails) => {
    const begun = (secure ? requestHttps : requestHttp)(target, { method: outgoing.method, headers, agent });
    const failed = (error: Error & { code?: string }) => {
      agent.destroy();
      fails(new Unreachable(inPython(error, target, outgoing.timeout)));
    };
    if (outgoing.timeout !== undefined)
      begun.setTimeout(outgoing.timeout, () => begun.destroy(Object.assign(new Error("timeout"), { code: "TIMEOUT" })));
    begun.once("error", failed);
    begun.once("response", (response) => {
      response.once("close", () => agent.destroy());
      answer(incoming(response.statusCode ?? 0, decoded(response)));
    });
    begun.end(outgoing.body);
  });
};

/** Sends requests from the container in which the plugins run, by a line of JSON and its key. */
export function fetchThrough({ pluginDaemonUrl, pluginDaemonKey }: Config): Fetch {
  return async (outgoing) => {
    const relayed = await fetchDirectly({
      method: "POST",
      url: `${pluginDaemonUrl}/rehearsal/fetch`,
      headers: { "X-Api-Key": pluginDaemonKey },
      body: JSON.stringify(outgoing),
    });
    if (relayed.status === 502) throw new Unreachable(await relayed.text());
    return relayed;
  };
}

function incoming(status: number, body: Readable): Incoming {
  return {
    status,
    body,
    text: async () => {
      const parts: Buffer[] = [];
      for await (const part of body as AsyncIterable<Buffer>) parts.push(part);
      return Buffer.concat(parts).toString("utf8");
    },
  };
}

function decoded(response: IncomingMessage): Readable {
  const encoding = response.headers["content-encoding"];
  const decoder = encoding === "gzip" ? createGunzip() : encoding === "deflate" ? createInflate() : undefined;
  // An error on the way reaches whoever reads.
  return decoder ? pipeline(response, decoder, () => {}) : response;
}

/** What requests says of it: users of the real Dify look for these words. */
function inPython(error: Error & { code?: string }, target: URL, timeout = 0): string {
  const host = target.hostname.replace(/^\[|\]$/g, "");
  const kind = target.protocol === "https:" ? "HTTPS" : "HTTP";
  const port = target.port || (kind === "HTTPS" ? "443" : "80");
  const pool = `${kind}ConnectionPool(host='${host}', port=${port})`;
  const path = `${target.pathname}${target.search}`;
  const connection = `${kind}Connection(host='${host}', port=${port})`;
  const retries = (cause: string) => `${pool}: Max retries exceeded with url: ${path} (Caused by ${cause})`;
  const numbers: Record<string, string> = {
    ECONNREFUSED: "[Errno 111] Connection refused",
    EHOSTUNREACH: "[Errno 113] No route to host",
    ENETUNREACH: "[Errno 101] Network is unreachable",
    ETIMEDOUT: "[Errno 110] Connection timed out",
  };
  const number = numbers[error.code ?? ""];
  if (number) return retries(`NewConnectionError("${connection}: Failed to establish a new connection: ${number}")`);
  if (error.code === "TIMEOUT") return `${pool}: Read timed out. (read timeout=${timeout / 1000})`;
  if (error.code === "ENOTFOUND" || error.code === "EAI_AGAIN")
    return retries(
      `NameResolutionError("${connection}: Failed to resolve '${host}' ([Errno -2] Name or service not known)")`,
    );
  return "('Connection aborted.', RemoteDisconnected('Remote end closed connection without response'))";
}
