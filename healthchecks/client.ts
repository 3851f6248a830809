import { Agent, request } from "undici";
import { CallFailed, reason } from "./failure.ts";
import { atelier } from "./hint.ts";

/** An answer, whatever its status. */
export interface Answer {
  status: number;
  text: string;
  /** `name=value` of every cookie that was set. */
  cookies: string[];
}

export interface Call {
  method?: "GET" | "POST";
  /** From the root of the WebUI, `/sdapi/v1/options`. */
  path: string;
  /** `user:password` sent as HTTP Basic; nothing is sent without it. */
  login?: string;
  cookies?: string[];
  json?: unknown;
  form?: Record<string, string>;
  /** Milliseconds for the whole answer. */
  timeout: number;
}

// A picture of 4096x4096 is some 50 MB in base64; more is no answer of a WebUI.
const maxBytes = 128 * 1024 * 1024;

/** Calls one WebUI. Every call has a deadline, and none outlives `signal`. */
export class Client {
  /** As people know it. */
  readonly url: string;
  readonly #base: string;
  readonly #signal: AbortSignal;
  // 2 s: the WebUI itself closes idle connections after 5 s and more, so ours is never the one that is cut.
  readonly #agent = new Agent({ connections: 8, keepAliveTimeout: 2000, headersTimeout: 0, bodyTimeout: 0 });

  /** @param base where `url` is really called, when a tunnel leads to it */
  constructor(url: string, signal: AbortSignal, base = url) {
    this.url = url;
    this.#base = base;
    this.#signal = signal;
  }

  /** @throws {CallFailed} when no whole answer came */
  async call({ method = "GET", path, login, cookies, json, form, timeout }: Call): Promise<Answer> {
    const headers: Record<string, string> = { accept: "application/json, */*" };
    if (login !== undefined) headers.authorization = `Basic ${Buffer.from(login).toString("base64")}`;
    if (cookies?.length) headers.cookie = cookies.join("; ");
    let body: string | null = null;
    if (json !== undefined) {
      headers["content-type"] = "application/json";
      body = JSON.stringify(json);
    } else if (form) {
      headers["content-type"] = "application/x-www-form-urlencoded";
      body = new URLSearchParams(form).toString();
    }
    const deadline = AbortSignal.timeout(Math.ceil(timeout));
    try {
      const answer = await request(`${this.#base}${path}`, {
        method,
        headers,
        body,
        dispatcher: this.#agent,
        signal: AbortSignal.any([deadline, this.#signal]),
      });
      const chunks: Buffer[] = [];
      let length = 0;
      for await (const chunk of answer.body as AsyncIterable<Buffer>) {
        length += chunk.length;
        if (length > maxBytes) throw new CallFailed("odd", `${method} ${path} answered more than ${maxBytes} bytes`);
        chunks.push(chunk);
      }
      return {
        status: answer.statusCode,
        text: Buffer.concat(chunks).toString("utf8"),
        cookies: cookiesOf(answer.headers),
      };
    } catch (error) {
      throw this.#explain(error, `${method} ${path}`, deadline.aborted, timeout);
    }
  }

  async close(): Promise<void> {
    await this.#agent.destroy();
  }

  #explain(error: unknown, what: string, late: boolean, timeout: number): Error {
    if (error instanceof CallFailed) return error;
    if (this.#signal.aborted) {
      const why = this.#signal.reason;
      return why instanceof Error && why.name !== "AbortError"
        ? why
        : new CallFailed("late", `${what} was interrupted`);
    }
    if (late)
      return new CallFailed("late", `${what} at ${this.url} had no answer after ${(timeout / 1000).toFixed(1)} s`);
    const code = codeOf(error);
    const never = ["ECONNREFUSED", "ENOTFOUND", "EHOSTUNREACH", "ENETUNREACH", "EAI_AGAIN", "UND_ERR_CONNECT_TIMEOUT"];
    if (never.includes(code) || code.startsWith("ERR_TLS") || code.includes("CERT")) {
      return new CallFailed(
        "unreachable",
        `${what}: no connection to ${this.url} (${reason(error) || code})`,
        `Check that the WebUI's service runs on the host (its log: ${atelier("logs")}) and that this address and port lead to it`,
        { cause: error },
      );
    }
    return new CallFailed(
      "broken",
      `${what}: ${this.url} ended the connection before the answer (${reason(error) || code})`,
      "A WebUI that dies in the middle has often run out of memory: read its log on the host",
      { cause: error },
    );
  }
}

function codeOf(error: unknown): string {
  // Several addresses for one name end in an AggregateError; its parts agree in what matters here.
  const first = error instanceof AggregateError ? error.errors[0] : error;
  return first instanceof Error && "code" in first ? String(first.code) : "";
}

function cookiesOf(headers: Record<string, string | string[] | undefined>): string[] {
  const set = headers["set-cookie"];
  const lines = set === undefined ? [] : Array.isArray(set) ? set : [set];
  return lines.map((line) => line.split(";", 1)[0]!.trim());
}
