import Docker from "dockerode";
import type { Login } from "../registry/logins.ts";
import { DockerFailed, explain, refused } from "./errors.ts";
import { jsonLines } from "./lines.ts";
import type { Settings } from "./settings.ts";
import { SshAgent } from "./ssh.ts";
import type { Tls } from "./tls.ts";
import { TRACE_ID, traceLines } from "./trace.ts";

/** Who waits for an answer. */
export interface Caller {
  signal: AbortSignal;
}

/** Longer than any answer of an engine that is well; pulls, builds and waits have limits of their own. */
const ANSWER_SECONDS = 120;
const HELLO_SECONDS = 45;

/** One Docker engine: every question goes through `ask`, which gives it a deadline and a failure its words. */
export class Engine {
  readonly host: string;
  readonly logins: Login[];
  readonly docker: Docker;
  readonly #agent: SshAgent | undefined;
  readonly #verify: boolean;
  readonly #tls: Tls | undefined;
  #hello: Promise<unknown> | undefined;

  /** @throws when the address is none that can be dialled */
  constructor({ host, tls, sshOpts, logins, verify }: Settings) {
    this.host = host;
    this.logins = logins;
    this.#verify = verify;
    this.#tls = tls;
    // What is not given here would come from the variables of this process, whatever the provider says.
    const base: Docker.DockerOptions = {
      host: undefined,
      port: undefined,
      socketPath: undefined,
      ca: tls?.ca,
      cert: tls?.cert,
      key: tls?.key,
      pathPrefix: "/",
    } as Docker.DockerOptions;
    const [, scheme = "", rest = ""] = /^([a-z]+):\/\/(.*)$/.exec(host) ?? [];
    if (scheme === "unix" || scheme === "npipe") {
      this.docker = new Docker({ ...base, socketPath: rest, protocol: "http" });
    } else if (scheme === "ssh") {
      this.#agent = new SshAgent(host, sshOpts);
      this.docker = new Docker({
        ...base,
        host: "docker.example.com",
        port: 80,
        protocol: "http",
        agent: this.#agent,
      } as Docker.DockerOptions);
    } else if (scheme === "tcp" || scheme === "http" || scheme === "https") {
      const { hostname, port } = new URL(`http://${rest}`);
      const secure = tls !== undefined || scheme === "https";
      this.docker = new Docker({
        ...base,
        host: hostname.replace(/^\[|\]$/g, ""),
        port: Number(port || (secure ? 2376 : 2375)),
        protocol: secure ? "https" : "http",
      });
    } else {
      throw new Error(
        `"${host}" is no address of a Docker engine: unix:///path, tcp://host:port, ssh://user@host:port or npipe:////./pipe/name`,
      );
    }
  }

  /**
   * Asks the engine something.
   * @param what completes "cannot …"
   * @param seconds how long the answer may take; 0: as long as the caller waits
   * @throws DockerFailed
   */
  async ask<T>(
    what: string,
    caller: Caller,
    question: (docker: Docker) => Promise<T>,
    seconds = ANSWER_SECONDS,
  ): Promise<T> {
    try {
      await this.#greet();
      caller.signal.throwIfAborted();
      return await within(question(this.docker), seconds, caller.signal);
    } catch (error) {
      throw explain(caller.signal.aborted ? stopped(what, this.host, caller) : error, what, this.host, this.#tls);
    }
  }

  /** Follows a stream of JSON lines (pull, push, build) to its end. @throws DockerFailed with the engine's error line */
  async follow(
    what: string,
    caller: Caller,
    stream: NodeJS.ReadableStream,
    onLine: (line: ProgressLine) => void,
  ): Promise<void> {
    let failed: DockerFailed | undefined;
    const following = (async () => {
      for await (const raw of jsonLines(stream)) {
        const line = raw as ProgressLine;
        const said = line.errorDetail?.message ?? line.error;
        if (said !== undefined) {
          failed ??= refused(what, `the Docker engine at ${this.host} said`, said, line.errorDetail?.code);
        } else if (line.id === TRACE_ID) for (const text of traceLines(line.aux)) onLine({ stream: text });
        else onLine(line);
      }
    })();
    try {
      await within(following, 0, caller.signal);
      if (failed !== undefined) throw failed;
    } catch (error) {
      throw explain(caller.signal.aborted ? stopped(what, this.host, caller) : error, what, this.host, this.#tls);
    } finally {
      (stream as NodeJS.ReadableStream & { destroy?: () => void }).destroy?.();
    }
  }

  close(): void {
    this.#agent?.destroy();
  }

  /** Once: whether somebody is there. */
  async #greet(): Promise<void> {
    if (!this.#verify) return;
    this.#hello ??= within(this.docker.ping(), HELLO_SECONDS);
    try {
      await this.#hello;
    } catch (error) {
      this.#hello = undefined;
      throw error;
    }
  }
}

/** The answer, unless it takes longer than the seconds (0: as long as it likes) or the signal comes first. */
async function within<T>(answer: Promise<T>, seconds: number, signal?: AbortSignal): Promise<T> {
  // A late failure of what nobody waits for any more must not end the process.
  answer.catch(() => {});
  let timer: NodeJS.Timeout | undefined;
  let onAbort = () => {};
  const ended = new Promise<never>((_, reject) => {
    if (seconds > 0) timer = setTimeout(() => reject(new Error(`no answer within ${seconds} s`)), seconds * 1000);
    onAbort = () => reject(signal?.reason);
    signal?.addEventListener("abort", onAbort, { once: true });
  });
  try {
    return await Promise.race([answer, ended]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  }
}

/** A line of what a pull, a push or a build says. */
export interface ProgressLine {
  id?: string;
  status?: string;
  stream?: string;
  progressDetail?: { current?: number; total?: number };
  error?: string;
  errorDetail?: { message?: string; code?: number };
  aux?: unknown;
}

function stopped(what: string, host: string, caller: Caller): DockerFailed {
  const timedOut = (caller.signal.reason as Error | undefined)?.name === "TimeoutError";
  const reason = timedOut ? "the resource's time is over (customTimeouts gives it more)" : "the update was interrupted";
  return new DockerFailed(`stopped waiting to ${what} at ${host}: ${reason}`, reason);
}
