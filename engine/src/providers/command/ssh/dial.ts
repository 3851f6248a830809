import type { Duplex } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import ssh2, { type Client, type ConnectConfig } from "ssh2";
import { DialFailed } from "../errors.ts";
import { loginMethods, type Method } from "./credentials.ts";
import { hostKeyAlgorithms, mismatch, readHostKey } from "./hostkey.ts";
import { makeThrifty } from "./packets.ts";
import { ChannelRefused, openChannel } from "./session.ts";
import { address, type Endpoint } from "./settings.ts";

export interface DialOptions {
  signal: AbortSignal;
  /** Told of each failed attempt that is followed by another. */
  onRetry: (text: string) => void;
  /** Milliseconds between two keep-alives, three of which may stay unanswered. */
  keepaliveMs: number;
  /** How the retries are named: `Dial 1/10 failed: retrying`. */
  name: string;
  /** Opens a TCP connection to the endpoint from the proxy. @throws DialFailed, ProxyFailed */
  through?: (() => Promise<Duplex>) | undefined;
}

/** There is no connection to the proxy itself, which was tried as often as its own limit allows. */
export class ProxyFailed extends Error {
  readonly reason: unknown;
  constructor(reason: unknown) {
    super("no connection to the proxy");
    this.reason = reason;
  }
}

/** Pauses between attempts: from 0.1 s, half as long again each time, at most 5 s. */
const FIRST_PAUSE_MS = 100;
const PAUSE_GROWTH = 1.5;
const LONGEST_PAUSE_MS = 5000;
/** A box that is just starting may not have its keys yet, hence one more try; more would look like guessing to it. */
const CREDENTIALS_RETRIES = 1;
const CREDENTIALS_PAUSE_MS = 1000;

const AES = ["aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes192-ctr", "aes256-ctr"] as const;

/** Logs in, trying again as often as `dialErrorLimit` allows. */
export async function dial(endpoint: Endpoint, options: DialOptions): Promise<Client> {
  const { name, through } = options;
  try {
    return await retry(endpoint, name, options, async () => connect(endpoint, options, await through?.()));
  } catch (error) {
    throw error instanceof ProxyFailed ? error.reason : error;
  }
}

async function retry(
  endpoint: Endpoint,
  what: string,
  options: DialOptions,
  attempt: () => Promise<Client>,
): Promise<Client> {
  let pause = FIRST_PAUSE_MS;
  let refused = 0;
  for (let failures = 1; ; failures++) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof DialFailed) || options.signal.aborted) throw error;
      const limit = endpoint.dialErrorLimit;
      const final =
        error.kind === "settings" ||
        error.kind === "hostKey" ||
        (error.kind === "credentials" && ++refused > CREDENTIALS_RETRIES) ||
        (limit >= 0 && failures > limit);
      if (final) throw failures > 1 ? withCount(error, failures) : error;
      options.onRetry(`${what} ${failures}/${limit < 0 ? "inf" : limit} failed: retrying`);
      // Not all at the same moment: a server that takes few logins at once (MaxStartups) would refuse the same ones each time.
      const wait = error.kind === "credentials" ? CREDENTIALS_PAUSE_MS : pause * (0.5 + Math.random());
      pause = Math.min(pause * PAUSE_GROWTH, LONGEST_PAUSE_MS);
      await sleep(wait, undefined, { signal: options.signal });
    }
  }
}

function withCount(error: DialFailed, failures: number): DialFailed {
  return new DialFailed(error.kind, `after ${failures} failed attempts: ${error.message}`);
}

/** One attempt: the TCP connection, the key exchange, the login. */
function connect(endpoint: Endpoint, options: DialOptions, sock?: Duplex): Promise<Client> {
  const pinned = readHostKey(endpoint);
  const methods = loginMethods(endpoint);
  const tried: string[] = [];
  let accepted: string[] | undefined;
  let wrongKey: Buffer | undefined;
  const queue = methods.values();

  const config: ConnectConfig = {
    host: endpoint.host,
    port: endpoint.port,
    username: endpoint.user,
    readyTimeout: endpoint.perDialTimeout * 1000,
    keepaliveInterval: options.keepaliveMs,
    keepaliveCountMax: 3,
    algorithms: {
      serverHostKey: hostKeyAlgorithms(pinned) as NonNullable<ConnectConfig["algorithms"]>["serverHostKey"],
      // Node's own AES first: chacha20 costs a WebAssembly module at the start.
      cipher: [...AES, "chacha20-poly1305@openssh.com"],
    },
    hostVerifier: (key: Buffer) => {
      if (pinned === undefined || pinned.blob.equals(key)) return true;
      wrongKey = key;
      return false;
    },
    authHandler: (left, _partial, next) => {
      if (Array.isArray(left)) accepted = left;
      for (const method of queue) {
        const type = method.auth.type === "agent" ? "publickey" : method.auth.type;
        if (accepted !== undefined && type !== "none" && !accepted.includes(type)) continue;
        tried.push(method.name);
        return next(method.auth);
      }
      // The types do not know that false ends the list.
      return next(false as never);
    },
    ...(sock ? { sock } : {}),
  };

  return new Promise((resolve, reject) => {
    const client = new ssh2.Client();
    // Every command on the connection listens for its end: Node would warn of the eleventh.
    client.setMaxListeners(0);
    const abort = () => fail(new Error("stopped while connecting"));
    const settle = () => options.signal.removeEventListener("abort", abort);
    const fail = (error: Error) => {
      settle();
      client.destroy();
      reject(error);
    };
    const explain = (error: Error & { level?: string; code?: string }): Error => {
      if (pinned !== undefined && wrongKey !== undefined) return mismatch(endpoint, pinned, wrongKey);
      if (error.level === "client-authentication") return refusal(endpoint, tried, accepted, methods);
      return unreachable(endpoint, error);
    };
    // From the first packet: else each small one of the login waits up to 40 ms for the one before to be acknowledged.
    client.once("connect", () => client.setNoDelay(true));
    client.once("ready", () => {
      settle();
      resolve(client);
    });
    // The listener stays: an error without one would end the process.
    client.on("error", (error: Error & { level?: string }) => {
      // An agent that fails is one method less; the next one is tried.
      if (error.level !== "agent") fail(explain(error));
    });
    client.once("close", () => fail(explain(new Error("the server closed the connection before the login was done"))));
    options.signal.addEventListener("abort", abort, { once: true });
    if (options.signal.aborted) return abort();
    client.connect(config);
    makeThrifty(client);
  });
}

function refusal(endpoint: Endpoint, tried: string[], accepted: string[] | undefined, methods: Method[]): DialFailed {
  const offered = accepted === undefined ? "" : ` The server accepts: ${accepted.join(", ") || "nothing more"}.`;
  const asked = methods.map(({ refusal }) => refusal?.()).filter((text) => text !== undefined);
  return new DialFailed(
    "credentials",
    `${address(endpoint)} refused the login. Tried: ${tried.join(", ") || "nothing"}.${offered} ${asked.map((text) => `${text} `).join("")}` +
      "Check user and password, or that the key's public half is in the user's ~/.ssh/authorized_keys on the host.",
  );
}

function unreachable(endpoint: Endpoint, error: Error & { code?: string }): DialFailed {
  const foreign = /no matching (.*)/i.exec(error.message)?.[1];
  if (foreign !== undefined) {
    return new DialFailed(
      "settings",
      `the SSH server of ${address(endpoint)} allows no ${foreign} that is known here. Allow more of its kind in the server's settings (sshd_config: Ciphers, MACs, KexAlgorithms, HostKeyAlgorithms).`,
    );
  }
  const silent = /handshake/i.test(error.message) && /time/i.test(error.message);
  const said = silent
    ? `no SSH answer within ${endpoint.perDialTimeout} s`
    : error.message || (error.code ?? "no reason");
  return new DialFailed(
    "network",
    `cannot connect to ${address(endpoint)}: ${said}. Check that the host is up, and that address and port are those of its SSH server.`,
  );
}

/** A TCP connection from the proxy to the endpoint. @throws DialFailed */
export async function forward(proxy: Client, from: Endpoint, to: Endpoint): Promise<Duplex> {
  try {
    return await openChannel<Duplex>(proxy, (callback) =>
      proxy.forwardOut("127.0.0.1", 0, to.host, to.port, (error, channel) => callback(error, channel)),
    );
  } catch (error) {
    if (!(error instanceof ChannelRefused)) throw error;
    throw new DialFailed("network", `${address(from)} does not forward to ${address(to)}: ${error.message}`);
  }
}
