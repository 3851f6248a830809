import { setTimeout as pause } from "node:timers/promises";
import { type Answer, type Call, Client } from "./client.ts";
import type { Input } from "./input.ts";
import { masker } from "./secrets.ts";
import type { Tunnel } from "./tunnel.ts";

/** One proof under way: its input, its connection, and where its lines go. */
export class Session {
  readonly input: Input;
  client: Client;
  readonly signal: AbortSignal;
  /** `user:password` of the API. */
  readonly login: string;
  readonly mask: (text: string) => string;
  readonly #say: (line: string) => void;
  #tunnel: Tunnel | undefined;

  constructor(input: Input, signal: AbortSignal, say: (line: string) => void) {
    this.input = input;
    this.signal = signal;
    this.client = new Client(input.url, signal);
    this.login = `${input.user}:${input.password}`;
    this.mask = masker(input);
    this.#say = say;
  }

  /** Opens the way to the WebUI, where one is needed. @throws {CallFailed} */
  async open(): Promise<void> {
    const { tunnel, url, deadlines } = this.input;
    if (!tunnel || this.#tunnel) return;
    // An SSH client, which few proofs need, takes a while to load.
    const { openTunnel } = await import("./tunnel.ts");
    this.#tunnel = await openTunnel(tunnel, url, deadlines.request);
    this.client = new Client(url, this.signal, this.#tunnel.url);
  }

  async close(): Promise<void> {
    await this.client.close();
    this.#tunnel?.close();
  }

  /** A line of progress for people. */
  say(line: string): void {
    this.#say(this.mask(line));
  }

  /** Calls with the right login, within the deadline of a call that draws nothing. */
  ask(path: string, more: Partial<Call> = {}): Promise<Answer> {
    return this.client.call({ path, login: this.login, timeout: this.input.deadlines.request * 1000, ...more });
  }

  /** Calls as a stranger: without login, unless one is given. */
  stranger(path: string, more: Partial<Call> = {}): Promise<Answer> {
    return this.client.call({ path, timeout: this.input.deadlines.request * 1000, ...more });
  }

  async sleep(milliseconds: number): Promise<void> {
    await pause(milliseconds, undefined, { signal: this.signal });
  }
}
