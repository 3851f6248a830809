import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "ssh2";
import { dial } from "./dial.ts";
import { address, type Connection, identity } from "./settings.ts";

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

/** The server said no to a channel: it has as many as it gives, or gives none. */
export class ChannelRefused extends Error {}

/** How often a channel is asked for on a connection that turns out to be dead, or of a server that has none open. */
const MAX_LOST = 3;
const MAX_REFUSED = 20;
const REFUSED_PAUSE_MS = 250;
const KEEPALIVE_MS = 10_000;

/** The connections of one update: one for each way of logging in to a host, made when first needed. */
export class Links {
  readonly #links = new Map<string, Link>();
  readonly #keepaliveMs: number;

  constructor(options: { keepaliveMs?: number } = {}) {
    this.#keepaliveMs = options.keepaliveMs ?? KEEPALIVE_MS;
  }

  of(connection: Connection): Link {
    const key = identity(connection);
    const known = this.#links.get(key);
    if (known) return known;
    const link = new Link(connection, this.#keepaliveMs);
    this.#links.set(key, link);
    return link;
  }

  /** Ends every connection, also those being made. */
  close(): void {
    for (const link of this.#links.values()) link.close();
    this.#links.clear();
  }
}

/** One connection to one host, shared by all its commands and made again when it has dropped. */
export class Link {
  readonly connection: Connection;
  readonly #keepaliveMs: number;
  readonly #stop = new AbortController();
  readonly #waiters = new Set<Waiter>();
  #client: Promise<Client> | undefined;
  #dialling: AbortController | undefined;
  /** Channels that are open or being opened; `#limit` is what the server was seen to give. */
  #open = 0;
  #opening = 0;
  #limit = Number.POSITIVE_INFINITY;
  #queue: (() => void)[] = [];

  constructor(connection: Connection, keepaliveMs: number) {
    this.connection = connection;
    this.#keepaliveMs = keepaliveMs;
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
        } else if (client === undefined || isAlive(client) || ++lost >= MAX_LOST) throw error;
      }
    }
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
      if (this.#waiters.size === 0) this.#dialling?.abort();
    }
  }

  #dial(): Promise<Client> {
    if (this.#client) return this.#client;
    const dialling = new AbortController();
    const client = dial(this.connection, {
      signal: dialling.signal,
      onRetry: (text) => {
        for (const waiter of this.#waiters) waiter.onRetry(text);
      },
      keepaliveMs: this.#keepaliveMs,
    });
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
