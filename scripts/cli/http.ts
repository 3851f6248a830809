import { EnvHttpProxyAgent, fetch, type Response } from "undici";

// This machine's own proxy variables count here, as they do for git and pip; node's own fetch would not look at them.
let agent: EnvHttpProxyAgent | undefined;

/** What goes past this machine's proxy: what its variables say, and the machine itself, which a proxy would look for on its own. */
export const pastProxy = (env: NodeJS.ProcessEnv = process.env): string =>
  [env.no_proxy || env.NO_PROXY, "localhost,127.0.0.1,::1"].filter(Boolean).join(",");

/** A request from this machine. `seconds` is the deadline until the last byte. */
export function request(
  url: string,
  options: {
    method?: "GET" | "HEAD";
    headers?: Record<string, string>;
    redirect?: "follow" | "manual";
    seconds: number;
    signal?: AbortSignal | undefined;
  },
): Promise<Response> {
  agent ??= new EnvHttpProxyAgent({ noProxy: pastProxy() });
  const { seconds, signal, headers, ...rest } = options;
  const deadline = AbortSignal.timeout(seconds * 1000);
  return fetch(withoutLogin(url), {
    ...rest,
    headers: { ...loginOf(url), ...headers },
    dispatcher: agent,
    signal: signal ? AbortSignal.any([deadline, signal]) : deadline,
  });
}

/** Ends all lines to servers: one that a proxy was asked for, and has not opened, outlives its request, and this process with it. */
export async function endRequests(): Promise<void> {
  await agent?.destroy();
  agent = undefined;
}

/** An address as it may be shown: this machine's own index may hold a login, as pip has it. */
export const withoutLogin = (url: string): string => url.replace(/^(https?:\/\/)[^/?#]*@/, "$1");

function loginOf(url: string): Record<string, string> {
  const { username, password } = new URL(url);
  const words = [username, password].map(decodeURIComponent).join(":");
  return words === ":" ? {} : { authorization: `Basic ${Buffer.from(words).toString("base64")}` };
}

/** Why a request came to nothing, in words. */
export function whyFailed(error: unknown): string {
  const { name, message, cause } = error as Error & { cause?: Error };
  return name === "TimeoutError" ? "no answer in time" : (cause?.message ?? message);
}

/** Runs `work` on every item, `limit` at a time; the results in order. */
export async function inParallel<T, R>(
  items: readonly T[],
  limit: number,
  work: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const worker = async () => {
    while (next < items.length) {
      const index = next++;
      results[index] = await work(items[index] as T);
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker));
  return results;
}
