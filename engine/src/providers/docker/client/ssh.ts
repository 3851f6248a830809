import { type ChildProcess, spawn } from "node:child_process";
import { Agent, type ClientRequestArgs } from "node:http";
import { Duplex } from "node:stream";

/** sshd lets in few at once who are not logged in yet (MaxStartups, 10 by default). */
const MAX_CONNECTIONS = 6;
const CONNECT_SECONDS = 30;

/**
 * Connections to a Docker engine through `ssh … docker system dial-stdio`, as the Docker command line makes them: with the
 * user's own keys, agent, jump hosts and known_hosts. OpenSSH verifies the host's key; an unknown one is refused, as nobody
 * can be asked.
 */
export class SshAgent extends Agent {
  readonly #children = new Set<ChildProcess>();
  readonly #args: string[];

  /** @throws when the URL is none that ssh can dial */
  constructor(url: string, sshOpts: string[]) {
    super({ keepAlive: true, maxSockets: MAX_CONNECTIONS });
    this.#args = sshArguments(url, sshOpts);
  }

  override createConnection(_options: ClientRequestArgs): Duplex {
    const child = spawn("ssh", this.#args, { stdio: ["pipe", "pipe", "pipe"], windowsHide: true });
    this.#children.add(child);
    child.once("close", () => this.#children.delete(child));
    return new SshStream(child);
  }

  override destroy(): void {
    super.destroy();
    for (const child of this.#children) child.kill();
    this.#children.clear();
  }
}

/** Exported for its test. */
export function sshArguments(url: string, sshOpts: string[]): string[] {
  const { protocol, username, password, hostname, port, pathname, search } = new URL(url);
  if (protocol !== "ssh:" || hostname === "") throw new Error(`"${url}" is not of the form ssh://user@host:port`);
  if (password !== "") throw new Error("a password in an ssh:// address is not taken: log in by key or agent");
  if (search !== "") throw new Error(`"${url}" has a query, which ssh:// does not take`);
  const socket = pathname === "" || pathname === "/" ? [] : ["--host", `unix://${pathname}`];
  return [
    // The user's own words first: of two the first counts.
    ...sshOpts,
    ...["-o", "BatchMode=yes", "-o", `ConnectTimeout=${CONNECT_SECONDS}`, "-T"],
    // A line that died without a word would be waited for as long as TCP does.
    ...["-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=3"],
    ...(username === "" ? [] : ["-l", decodeURIComponent(username)]),
    ...(port === "" ? [] : ["-p", port]),
    ...["--", hostname.replace(/^\[|\]$/g, ""), "docker", ...socket, "system", "dial-stdio"],
  ];
}

/** A child's streams as the socket that HTTP wants. */
class SshStream extends Duplex {
  readonly #child: ChildProcess;
  #said = "";

  constructor(child: ChildProcess) {
    super();
    this.#child = child;
    child.stderr?.on("data", (data: Buffer) => {
      this.#said = (this.#said + data.toString()).slice(-2000);
    });
    child.stdout?.on("data", (data: Buffer) => {
      if (!this.push(data)) child.stdout?.pause();
    });
    child.stdin?.on("error", () => {});
    child.once("error", (error) =>
      this.destroy(new Error(`ssh could not be started: ${error.message}. Install OpenSSH's client.`)),
    );
    child.once("close", (code) => {
      if (code === 0 || this.destroyed) this.push(null);
      else this.destroy(new Error(`ssh ended with exit code ${code}: ${this.#said.trim() || "it said nothing"}`));
    });
  }

  override _read(): void {
    this.#child.stdout?.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    if (this.#child.stdin?.write(chunk)) done();
    else if (this.#child.stdin?.destroyed === false) this.#child.stdin.once("drain", () => done());
    else done();
  }

  override _final(done: () => void): void {
    this.#child.stdin?.end(done);
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#child.kill();
    done(error);
  }

  /** What HTTP asks of a socket, and a pipe has not. */
  setKeepAlive(): this {
    return this;
  }
  setNoDelay(): this {
    return this;
  }
  setTimeout(): this {
    return this;
  }
  ref(): this {
    return this;
  }
  unref(): this {
    return this;
  }
}
