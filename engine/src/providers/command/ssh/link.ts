import type { Duplex } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "ssh2";
import { dial, forward, ProxyFailed } from "./dial.ts";
import { ChannelRefused } from "./session.ts";
import { address, type Connection, type Endpoint, identity } from "./settings.ts";

/** Who waits for a connection or a channel: stopped by the signal, told of retries. */
export interface Waiter {
  signal: AbortSignal;
  onRetry: (text: string) => void;
}

/** An open channel, and how to give its place back. */
export interface Lease<Channel> {
  channel: Channel;
  client: Client;
  release: () => void;
}

/** How often a channel is asked for on a connection that turns out to be dead, or of a server that has none open. */
const MAX_LOST = 3;
const MAX_REFUSED = 20;
const REFUSED_PAUSE_MS = 250;
const KEEPALIVE_MS = 10_000;

/**
 * The connections of one update: one for each way of logging in to a host, made when first needed. Hosts behind one proxy share
 * one connection to it.
 */
export class Links {
  readonly #links = new Map<string, Link>();
  readonly #keepaliveMs: number;

  constructor(options: { keepaliveMs?: number } = {}) {
    this.#keepaliveMs = options.keepaliveMs ?? KEEPALIVE_MS;
  }

  of(connection: Connection): Link {
    return this.#get(identity(connection), connection, "Dial");
  }

  /** The connection to a proxy: never the one that commands on it run over, whose channels a server may count. */
  #proxy(proxy: Endpoint): Link {
    return this.#get(`proxy ${identity(proxy)}`, proxy, "Dial proxy");
  }

  #get(key: string, connection: Connection, name: string): Link {
    const known = this.#links.get(key);
    if (known) return known;
    const { proxy } = connection;
    const link = new Link(connection, {
      keepaliveMs: this.#keepaliveMs,
      name: proxy ? "Dial from proxy" : name,
      ...(proxy && { proxy: this.#proxy(proxy) }),
    });
    this.#links.set(key, link);
    return link;
  }

  /** Ends every connection, also those being made. */
  close(): void {
    for (const link of this.#links.values()) link.close();
    this.#links.clear();
  }
}

interface LinkOptions {
  keepaliveMs: number;
  /** How its retries are named. */
  name: string;
  proxy?: Link;
}

/** One connection to one host, shared by all its commands and made again when it has dropped. */
export class Link {
  readonly connection: Connection;
  readonly #options: LinkOptions;
  readonly #stop = new AbortController();
  readonly #waiters = new Set<Waiter>();
  #client: Promise<Client> | undefined;
  #dialling: AbortController | undefined;
  /** The login that was begun before anybody asked for it, and is not done; how many are still to hear what came of it. */
  #begun: { login: Promise<Client>; owed: number } | undefined;
  /** Channels that are open or being opened; `#limit` is what the server was seen to give. */
  #open = 0;
  #opening = 0;
  #limit = Number.POSITIVE_INFINITY;
  #queue: (() => void)[] = [];

  constructor(connection: Connection, options: LinkOptions) {
    this.connection = connection;
    this.#options = options;
  }

  /**
   * Opens a channel by `open`, waiting in line while the server gives no more of them, on a new connection if the old
   * one is gone. Once `open` has answered, a lost connection is the caller's: it alone knows whether something ran.
   */
  async lease<Channel>(open: (client: Client) => Promise<Channel>, waiter: Waiter): Promise<Lease<Channel>> {
    let lost = 0;
    let refused = 0;
    for (;;) {
      await this.#place(waiter.signal);
      this.#opening++;
      let client: Client | undefined;
      try {
        client = await this.#connect(waiter);
        const channel = await open(client);
        this.#opening--;
        this.#open++;
        let released = false;
        const release = () => {
          if (released) return;
          released = true;
          this.#open--;
          this.#wake();
        };
        return { channel, client, release };
      } catch (error) {
        this.#opening--;
        this.#wake();
        if (waiter.signal.aborted || this.#stop.signal.aborted) throw error;
        if (error instanceof ChannelRefused) {
          if (this.#open > 0) this.#limit = Math.max(1, this.#open);
          else if (++refused > MAX_REFUSED) throw this.#refusal(error);
          else await sleep(REFUSED_PAUSE_MS, undefined, { signal: waiter.signal });
        } else if (client === undefined || isAlive(client)) throw error;
        else if (++lost >= MAX_LOST) throw this.#dropped();
      }
    }
  }

  /**
   * Begins to log in, for somebody who asks for a channel soon. A failure before that is told to all for whom it was begun: a server
   * that has refused a login is not to see it once more.
   */
  begin(): void {
    if (this.#stop.signal.aborted) return;
    if (this.#begun !== undefined) this.#begun.owed++;
    if (this.#begun !== undefined || this.#client !== undefined) return;
    const begun = { login: this.#dial(), owed: 1 };
    this.#begun = begun;
    // Done, it is the connection as any other, which may drop before it is asked for.
    const done = () => {
      if (this.#begun === begun) this.#begun = undefined;
    };
    begun.login.then(done, () => {});
  }

  close(): void {
    this.#stop.abort();
    this.#dialling?.abort();
    this.#client?.then(
      (client) => client.end(),
      () => {},
    );
    this.#client = undefined;
  }

  async #connect(waiter: Waiter): Promise<Client> {
    waiter.signal.throwIfAborted();
    this.#stop.signal.throwIfAborted();
    this.#waiters.add(waiter);
    let onAbort = () => {};
    const aborted = new Promise<never>((_, reject) => {
      onAbort = () => reject(new Error("stopped while connecting"));
      waiter.signal.addEventListener("abort", onAbort, { once: true });
    });
    try {
      return await Promise.race([this.#dial(), aborted]);
    } finally {
      waiter.signal.removeEventListener("abort", onAbort);
      this.#waiters.delete(waiter);
      if (this.#waiters.size === 0 && this.#begun === undefined) this.#dialling?.abort();
    }
  }

  #dial(): Promise<Client> {
    const begun = this.#begun;
    if (begun !== undefined && --begun.owed === 0) this.#begun = undefined;
    const known = begun?.login ?? this.#client;
    if (known !== undefined) return known;
    const dialling = new AbortController();
    const waiter: Waiter = {
      signal: dialling.signal,
      onRetry: (text) => {
        for (const each of this.#waiters) each.onRetry(text);
      },
    };
    const { proxy, ...named } = this.#options;
    const through = proxy && (() => this.#through(proxy, waiter));
    const client = dial(this.connection, { ...waiter, ...named, through });
    const forget = () => {
      if (this.#client !== client) return;
      this.#client = undefined;
      this.#limit = Number.POSITIVE_INFINITY;
      this.#wake();
    };
    this.#client = client;
    this.#dialling = dialling;
    client
      .then((connected) => {
        this.#dialling = undefined;
        if (!isAlive(connected)) return forget();
        connected.once("close", forget);
        connected.on("error", forget);
      })
      .catch(forget);
    return client;
  }

  /** The way to this host from its proxy, which is given back when it ends. */
  async #through(proxy: Link, waiter: Waiter): Promise<Duplex> {
    let reached = false;
    const open = (client: Client) => {
      reached = true;
      return forward(client, proxy.connection, this.connection);
    };
    try {
      const { channel, release } = await proxy.lease(open, waiter);
      channel.once("close", release);
      return channel;
    } catch (error) {
      throw reached ? error : new ProxyFailed(error);
    }
  }

  async #place(signal: AbortSignal): Promise<void> {
    while (this.#open + this.#opening >= this.#limit) {
      signal.throwIfAborted();
      await new Promise<void>((resolve) => {
        this.#queue.push(resolve);
        signal.addEventListener("abort", () => resolve(), { once: true });
      });
    }
  }

  /** All who wait look again: few do, and a place lost to one who has given up would never come back. */
  #wake(): void {
    const queue = this.#queue;
    this.#queue = [];
    for (const resolve of queue) resolve();
  }

  #dropped(): Error {
    return new Error(
      `${address(this.connection)} lets the user in, and ends the connection before a session is open, ${MAX_LOST} times in a row. ` +
        "Check that the user may log in there (/etc/nologin, a limit of logins), and the log of its SSH server.",
    );
  }

  #refusal(error: Error): Error {
    return new Error(
      `${address(this.connection)} opens no session (${error.message}) although none is open on this connection. ` +
        "Check MaxSessions and ForceCommand in its sshd_config, and that the user may run commands.",
    );
  }
}

function isAlive(client: Client): boolean {
  const { _sock: socket } = client as unknown as { _sock?: { writable: boolean; destroyed?: boolean } };
  return socket?.writable === true && socket.destroyed !== true;
}
