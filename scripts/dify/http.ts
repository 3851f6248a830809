import { Agent, type Dispatcher, EnvHttpProxyAgent, FormData, request } from "undici";
import { DifyError, unreachable } from "./errors.ts";

export type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";

export interface Answer {
  status: number;
  text: string;
  /** Of the cookies that were set, name and value. */
  cookies: Map<string, string>;
  /** Dify's version, which it says with every answer. */
  version: string | undefined;
}

export interface Sending {
  method: Method;
  url: string;
  headers?: Record<string, string>;
  json?: unknown;
  form?: FormData;
  /** Until the last byte of the answer. */
  seconds: number;
}

// A graph of a big app is some 100 kB; more than this is no answer of a console.
const maxBytes = 32 * 1024 * 1024;
const agents = new Map<boolean, Dispatcher>();

/** Dialled directly; for any other address this machine's own proxy variables count. */
export const isNear = (url: string): boolean => /^(localhost|127\.[\d.]+|\[::1\])$/.test(new URL(url).hostname);

/** A line for each request: Dify's API itself drops one that was idle for 2 s, and may do so under the next request on it. */
export const oneEach = { pipelining: 0 };

function agentFor(url: string): Dispatcher {
  const near = isNear(url);
  const options = { ...oneEach, connect: { timeout: 10_000 } };
  const agent = agents.get(near) ?? (near ? new Agent(options) : new EnvHttpProxyAgent(options));
  agents.set(near, agent);
  return agent;
}

/**
 * One request and its whole answer, whatever its status.
 * @throws DifyError when no whole answer came in time
 */
export async function send({ method, url, headers = {}, json, form, seconds }: Sending): Promise<Answer> {
  const what = `${method} ${new URL(url).pathname} at ${new URL(url).origin}`;
  const deadline = AbortSignal.timeout(seconds * 1000);
  try {
    const answer = await request(url, {
      method,
      headers: { accept: "application/json", ...headers, ...(json === undefined ? {} : jsonHeader) },
      body: form ?? (json === undefined ? null : JSON.stringify(json)),
      dispatcher: agentFor(url),
      signal: deadline,
    });
    const chunks: Buffer[] = [];
    let length = 0;
    for await (const chunk of answer.body as AsyncIterable<Buffer>) {
      length += chunk.length;
      if (length > maxBytes) throw new DifyError(`${what} answered more than ${maxBytes} bytes.`);
      chunks.push(chunk);
    }
    return {
      status: answer.statusCode,
      text: Buffer.concat(chunks).toString("utf8"),
      cookies: cookiesOf(answer.headers["set-cookie"]),
      version: [answer.headers["x-version"]].flat()[0],
    };
  } catch (error) {
    if (error instanceof DifyError) throw error;
    const why = deadline.aborted ? `no whole answer within ${seconds} s` : reason(error);
    // Waiting makes no certificate better.
    if (isDistrust(error))
      throw new DifyError(
        `${what}: ${why}. If a CA of your own signed its certificate, name that CA's certificate (a PEM file) in NODE_EXTRA_CA_CERTS for this command.`,
        {},
        { cause: error },
      );
    throw new DifyError(
      `${what}: ${why}. Is it running, and does its address lead to it from this machine (dify.url)?`,
      { code: unreachable },
      { cause: error },
    );
  }
}

const jsonHeader = { "content-type": "application/json" };

/** Several addresses of one name end in an AggregateError without words of its own. */
function reason(error: unknown): string {
  const first = error instanceof AggregateError ? error.errors[0] : error;
  return first instanceof Error ? first.message || first.name : String(first);
}

/** Whether it is a certificate that Node does not take. */
const isDistrust = (error: unknown): boolean => /CERT|SIGNATURE/.test(String((error as { code?: unknown }).code ?? ""));

function cookiesOf(set: string | string[] | undefined): Map<string, string> {
  const pairs = [set ?? []].flat().map((line) => {
    const pair = line.split(";", 1)[0] ?? "";
    const at = pair.indexOf("=");
    return [pair.slice(0, at).trim(), pair.slice(at + 1).trim()] as const;
  });
  return new Map(pairs);
}

/** Ends the connections that are open. */
export async function closeAll(): Promise<void> {
  await Promise.all([...agents.values()].map((agent) => agent.destroy()));
  agents.clear();
}

export { FormData };
