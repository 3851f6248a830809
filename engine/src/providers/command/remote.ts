import type { Client } from "ssh2";
import { SecretFilter } from "../../masking.ts";
import type { CallContext } from "../../provider.ts";
import type { PropertyMap } from "../../values.ts";
import { CommandFailed, ConnectionLost } from "./errors.ts";
import { previousOutput, type Streams } from "./local.ts";
import { Output } from "./output.ts";
import { text, textMap } from "./plain.ts";
import type { Links } from "./ssh/link.ts";
import { openSession, requestEnv, requestExec, type Session, sendSignal } from "./ssh/session.ts";
import { address, readConnection } from "./ssh/settings.ts";

type Call = Pick<CallContext, "signal" | "log">;

/** Above this a server drops the connection or the kernel the command, with no word of why. */
const LONGEST_VARIABLE = 100 * 1024;
const LONGEST_COMMAND = 200 * 1024;
/** Between closing the channel of a stopped command and letting it go. */
const CLOSE_MS = 500;

/**
 * Runs one command on the host of `inputs.connection`, and waits until its channel is closed.
 * @throws CommandFailed for anything but exit 0; ConnectionLost when nobody knows how it ended; DialFailed
 */
export async function runRemote(
  command: string,
  inputs: PropertyMap,
  previous: Streams,
  call: Call,
  links: Links,
): Promise<Streams> {
  const connection = readConnection(inputs.connection);
  const where = address(connection);
  if (Buffer.byteLength(command) > LONGEST_COMMAND) {
    throw new Error(
      `the command for ${where} is ${Buffer.byteLength(command)} bytes long, more than an SSH server takes (${LONGEST_COMMAND}): pass the data on stdin`,
    );
  }
  const { channel, client, release } = await links.of(connection).lease(openSession, {
    signal: call.signal,
    onRetry: (line) => call.log({ stream: "info", text: line, ephemeral: true }),
  });
  const output = new Output(call.log, text(inputs, "logging"));
  const running = new Running(channel, client, output, call.signal);
  try {
    await setEnvironment(channel, client, inputs, previous, where, call);
    const end = await running.exec(command, text(inputs, "stdin") ?? "");
    output.end();
    const shown = () => {
      const filter = new SecretFilter();
      filter.addSecrets(inputs);
      return [filter.apply(command), filter.apply(output.all())] as const;
    };
    if (end.kind === "lost") throw new ConnectionLost(where, end.reason, ...shown());
    if (end.kind === "failed") throw new CommandFailed(end.cause, ...shown(), end.exitCode);
    return { stdout: output.of("stdout"), stderr: output.of("stderr") };
  } finally {
    running.close();
    release();
  }
}

/** Sets the resource's own variables, or fails; those of the last run are tried, and a refusal is a warning. */
async function setEnvironment(
  channel: Session,
  client: Client,
  inputs: PropertyMap,
  previous: Streams,
  where: string,
  call: Call,
): Promise<void> {
  const ask = async (name: string, value: string) =>
    Buffer.byteLength(value) <= LONGEST_VARIABLE && (await requestEnv(channel, client, name, value));
  // All are sent before the first answer is awaited: the order of answers is that of the questions.
  const own = Object.entries(textMap(inputs, "environment")).map(async ([name, value]) => ({
    name,
    size: Buffer.byteLength(value),
    taken: await ask(name, value),
  }));
  const last = Object.entries(previousOutput(inputs, previous)).map(async ([name, value]) => ({
    name,
    taken: await ask(name, value),
  }));
  for (const { name, size, taken } of await Promise.all(own)) {
    if (taken) continue;
    const why =
      size > LONGEST_VARIABLE
        ? `its value is ${size} bytes long, more than ${LONGEST_VARIABLE}: pass it on stdin`
        : `the SSH server does not accept it. Add "AcceptEnv ${name}" to its sshd_config, or pass the value on stdin`;
    throw new Error(`could not set environment variable "${name}" on ${where}: ${why}`);
  }
  for (const { name, taken } of await Promise.all(last)) {
    if (taken) continue;
    call.log({
      stream: "warning",
      text: `${name} was not set on ${where}: its SSH server needs "AcceptEnv ${name}", and takes ${LONGEST_VARIABLE} bytes at most. Without it the command can't see what its last run said (addPreviousOutputInEnv: false turns this off).`,
    });
  }
}

type End = { kind: "done" } | { kind: "failed"; cause: string; exitCode?: number } | { kind: "lost"; reason: string };

/** A command on its channel, from exec to the channel's end. */
class Running {
  readonly #channel: Session;
  readonly #client: Client;
  readonly #signal: AbortSignal;
  readonly #ended: Promise<End>;
  #refused = false;

  constructor(channel: Session, client: Client, output: Output, signal: AbortSignal) {
    this.#channel = channel;
    this.#client = client;
    this.#signal = signal;
    channel.on("data", (data: Buffer) => output.push("stdout", data));
    channel.stderr.on("data", (data: Buffer) => output.push("stderr", data));
    // A command that does not read its input closes its end: no fault of anyone.
    channel.on("error", () => {});
    this.#ended = this.#watch();
  }

  async exec(command: string, stdin: string): Promise<End> {
    void requestExec(this.#channel, this.#client, command).then((taken) => {
      if (!taken) this.#refused = true;
      if (!taken && this.#channel.outgoing.state === "open") this.#channel.close();
    });
    this.#channel.end(stdin);
    return await this.#ended;
  }

  close(): void {
    // On a line that is gone, compression throws.
    if (this.#channel.incoming.state !== "closed") this.#channel.close();
  }

  #watch(): Promise<End> {
    const channel = this.#channel;
    return new Promise((resolve) => {
      let status: { code: number | null; signal?: string } | undefined;
      let dropped: string | undefined;
      let open = 2;
      let over = false;
      let told = false;
      // Some servers end the connection with its command: what was told by then is all.
      const lose = (reason: string) => {
        told ||= status !== undefined && channel.incoming.state !== "open";
        if (!told) dropped ??= reason;
      };
      const onError = (error: Error) => lose(error.message);
      const onClose = () => {
        lose("the server closed the connection");
        // The channel's own end may follow in this tick, after data that is still on its way.
        setTimeout(finish, 50);
      };
      const onAbort = () => {
        // OpenSSH passes signals on for other users than root only; a root's command lives on without its streams.
        sendSignal(channel, this.#client, "TERM");
        channel.close();
        setTimeout(finish, CLOSE_MS).unref();
      };
      const finish = () => {
        this.#client.off("close", onClose);
        this.#client.off("error", onError);
        this.#signal.removeEventListener("abort", onAbort);
        resolve(this.#verdict(status, dropped));
      };
      const half = () => {
        if (--open > 0) return;
        // Closed from this side only: the line is gone, whatever status came before.
        if (channel.outgoing.state !== "closed" && !told) dropped ??= "the connection dropped";
        finish();
      };
      channel.on("exit", (code: number | null, signal?: string) => {
        status = { code, signal };
        if (over) channel.close();
      });
      // Node calls this when both directions have ended; ssh2 then closes the channel, but the status may be still to come.
      channel.destroy = () => {
        over = true;
        if (status !== undefined) channel.close();
        return channel;
      };
      channel.once("close", half);
      channel.stderr.once("close", half);
      this.#client.once("close", onClose);
      this.#client.on("error", onError);
      this.#signal.addEventListener("abort", onAbort, { once: true });
      if (this.#signal.aborted) onAbort();
    });
  }

  #verdict(status: { code: number | null; signal?: string } | undefined, dropped: string | undefined): End {
    if (this.#signal.aborted) {
      return {
        kind: "failed",
        cause: "stopped, as the update was interrupted or the resource's time is over (it may still run on the host)",
      };
    }
    if (dropped !== undefined) return { kind: "lost", reason: dropped };
    if (this.#refused) return { kind: "failed", cause: "the SSH server refused to run commands for this user" };
    if (status === undefined) return { kind: "lost", reason: "the channel ended without an exit status" };
    if (status.code === 0) return { kind: "done" };
    if (status.code !== null) {
      return { kind: "failed", cause: `Process exited with status ${status.code}`, exitCode: status.code };
    }
    const name = (status.signal ?? "").replace(/^SIG/, "");
    return { kind: "failed", cause: `Process exited with status ${128 + (numbers[name] ?? 0)} from signal ${name}` };
  }
}

const numbers: Record<string, number> = {
  HUP: 1,
  INT: 2,
  QUIT: 3,
  ILL: 4,
  ABRT: 6,
  FPE: 8,
  KILL: 9,
  SEGV: 11,
  PIPE: 13,
  ALRM: 14,
  TERM: 15,
};
