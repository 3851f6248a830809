import { Agent, EnvHttpProxyAgent, request } from "undici";
import { z } from "zod";
import { isNear, oneEach } from "../../scripts/dify/http.ts";
import { CallFailed, CheckFailed, reason } from "../failure.ts";
import type { Session } from "../session.ts";
import { type Chat, newChat, takeAnswer, takeEvent } from "./chat.ts";
import { readEvents } from "./stream.ts";

const errorBody = z.looseObject({ code: z.string().optional(), message: z.string().optional() });
const info = z.looseObject({ name: z.string(), mode: z.string() });

/** Of an answer that is no stream: a picture of 4096x4096 has 50 MB at most. */
const maxBytes = 128 * 1024 * 1024;
const patient = { ...oneEach, connections: 4, headersTimeout: 0, bodyTimeout: 0 };

/** What an app is asked by its key, and its pictures by their signed links. Every call has a deadline. */
export class Service {
  readonly url: string;
  readonly #session: Session;
  readonly #near = new Agent(patient);
  readonly #far = new EnvHttpProxyAgent(patient);

  constructor(url: string, session: Session) {
    this.url = url;
    this.#session = session;
  }

  async close(): Promise<void> {
    await Promise.all([this.#near.destroy(), this.#far.destroy()]);
  }

  /** Name and mode of the app behind a key, and Dify's version. @throws {CheckFailed} */
  async info(apiKey: string): Promise<{ name: string; mode: string; version: string }> {
    const { status, headers, bytes } = await this.#get(`${this.url}/v1/info`, apiKey);
    const text = bytes.toString("utf8");
    if (status !== 200) throw refused("GET /v1/info", status, text);
    const version = headers["x-version"];
    const parsed = info.safeParse(jsonOf(text));
    if (!parsed.success)
      throw new CheckFailed(
        `GET /v1/info at ${this.url} answered something else than an app's name (${text.slice(0, 80)})`,
        "Check that Dify, and not another program, answers at this address",
      );
    return { ...parsed.data, version: typeof version === "string" ? version : "unknown" };
  }

  /**
   * Asks an app, and follows what it streams to its end, to its first error, or to the deadline.
   * @param say told what it is about, for people
   * @throws {CheckFailed} where no stream began, or it broke
   */
  async chat(apiKey: string, query: string, say: (line: string) => void): Promise<Chat> {
    const start = performance.now();
    const seconds = () => (performance.now() - start) / 1000;
    const limit = this.#session.input.deadlines.chat;
    const path = "/v1/chat-messages";
    const json = { inputs: {}, query, response_mode: "streaming", conversation_id: "", user: "atelier-proof" };
    const answer = await this.#call("POST", `${this.url}${path}`, limit, apiKey, json);
    const chat = newChat();
    const since: { tool?: number } = {};
    try {
      if (answer.statusCode !== 200) {
        const said = await wholeOf(answer.body);
        throw refused(`POST ${path}`, answer.statusCode, said.toString("utf8"));
      }
      for await (const event of readEvents(answer.body)) {
        const known = chat.called;
        const over = takeEvent(chat, event, seconds(), since);
        if (chat.called && !known) say("it calls the tool");
        if (over) break;
      }
    } catch (error) {
      this.#stop(error, seconds(), limit, `POST ${path}`);
    }
    takeAnswer(chat);
    return chat;
  }

  /** Downloads a picture by its link. @throws {CheckFailed} */
  async picture(link: string): Promise<Buffer> {
    const relative = link.startsWith("/");
    const url = relative ? `${this.url}${link}` : link;
    const shown = url.replace(/\?.*/s, "");
    if (!/^https?:$/.test(URL.parse(url)?.protocol ?? ""))
      throw new CheckFailed(
        `The picture's link (${shown.slice(0, 120)}) is no address`,
        "FILES_URL of Dify's API and worker has to be the address that people reach Dify by",
      );
    const { status, headers, bytes } = await this.#get(url);
    if (status === 200) return bytes;
    const to = [headers.location].flat()[0]?.replace(/\?.*/s, "");
    const why = to ? `to ${to}` : bytes.toString("utf8").slice(0, 120);
    if (status === 403)
      throw new CheckFailed(
        `The picture's signed link (${shown}) was refused: 403 ${why}`,
        "Dify's API and worker need the same SECRET_KEY, and clocks that agree; a link lasts 300 s",
      );
    throw new CheckFailed(
      `The picture's link (${shown}) answered ${status} ${why}`,
      "FILES_URL of Dify's API and worker has to be the address that people reach Dify by",
    );
  }

  async #get(url: string, apiKey?: string) {
    const start = performance.now();
    const limit = this.#session.input.deadlines.request;
    const { statusCode: status, headers, body } = await this.#call("GET", url, limit, apiKey);
    try {
      return { status, headers, bytes: await wholeOf(body) };
    } catch (error) {
      const { pathname, origin } = new URL(url);
      return this.#stop(error, (performance.now() - start) / 1000, limit, `GET ${pathname}`, origin);
    }
  }

  async #call(method: "GET" | "POST", url: string, limit: number, apiKey?: string, json?: unknown) {
    const start = performance.now();
    try {
      return await request(url, {
        method,
        headers: {
          ...(apiKey ? { authorization: `Bearer ${apiKey}` } : {}),
          ...(json === undefined ? {} : { "content-type": "application/json" }),
        },
        body: json === undefined ? null : JSON.stringify(json),
        dispatcher: isNear(url) ? this.#near : this.#far,
        signal: AbortSignal.any([AbortSignal.timeout(limit * 1000), this.#session.signal]),
      });
    } catch (error) {
      const { pathname, origin } = new URL(url);
      return this.#stop(error, (performance.now() - start) / 1000, limit, `${method} ${pathname}`, origin);
    }
  }

  #stop(error: unknown, seconds: number, limit: number, what: string, origin = this.url): never {
    if (error instanceof CheckFailed) throw error;
    if (this.#session.signal.aborted) throw new CallFailed("late", `${what} was interrupted`);
    if (seconds >= limit - 0.1)
      throw new CheckFailed(
        `${what} at ${origin} was not done after ${limit} s`,
        "The language model or the WebUI is slow, or Dify's worker does not run: read their logs",
      );
    if (error instanceof z.ZodError)
      throw new CheckFailed(
        `${what} at ${origin} streamed an event of a form that Dify 1.14.2 does not have (${error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`).join("; ")})`,
      );
    throw new CheckFailed(
      `${what} at ${origin} broke off: ${reason(error)}`,
      origin === this.url
        ? "Check that Dify runs and that this address leads to it"
        : "FILES_URL of Dify has to be an address that this machine reaches",
    );
  }
}

async function wholeOf(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of body) {
    length += chunk.length;
    if (length > maxBytes) throw new Error(`it answers more than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** An answer that is no stream: the words that Dify has for it. */
export class Refused extends CheckFailed {
  readonly status: number;
  readonly code: string;
  constructor(what: string, status: number, code: string, message: string) {
    super(`${what} answered ${status} ${code}: ${message}`);
    this.status = status;
    this.code = code;
  }
}

function refused(what: string, status: number, text: string): Refused {
  const { code, message } = errorBody.safeParse(jsonOf(text)).data ?? {};
  return new Refused(what, status, code ?? "", message ?? text.slice(0, 200));
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
