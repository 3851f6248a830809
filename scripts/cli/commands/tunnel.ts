import { createServer, type Server, type Socket } from "node:net";
import { messageOf, UsageError, UserError } from "../errors.ts";
import { openSession, type Session } from "../ssh.ts";
import { openStack, type Stack } from "../stack.ts";
import { type Context, hint } from "./command.ts";

/**
 * `atelier tunnel`: the WebUI of a host on a port of this machine's loopback, through SSH, until Ctrl-C. The host is dialled as an update dials it;
 * a line that drops is made again by the next connection.
 */
export async function tunnel({ options, terminal, interrupt }: Context): Promise<number> {
  if (options.args.length > 0) throw new UsageError(`\`tunnel\` takes no \`${options.args.join(" ")}\`.`);
  const wanted = portOf(options.port);
  const stack = openStack(options.stack);
  const { host, webui } = stack.settings;
  if (host.kind === "local")
    throw new UserError(`The WebUI of stack \`${stack.name}\` is on this machine: ${hint("status", stack.name)}`);
  const line = new Line(stack);
  const server = createServer({ noDelay: true }, (socket) => {
    socket.on("error", () => socket.destroy());
    line.join(socket, webui.port).catch((error) => {
      terminal.line(messageOf(error));
      socket.destroy();
    });
  });
  try {
    // Before anything is promised: the host lets us in, and something listens there.
    await interrupt.orLeave(line.probe(webui.port));
    const port = await listen(server, wanted ?? webui.port, wanted !== undefined);
    const url = `http://127.0.0.1:${port}`;
    if (options.json) terminal.answer(JSON.stringify({ stack: stack.name, host: await line.where(), url, port }));
    terminal.line(`${terminal.colours.cyan(url)} is the WebUI on ${await line.where()}, until Ctrl-C.`);
    terminal.line(`Its login: ${hint("outputs", stack.name)} --show-secrets`);
    interrupt.say = () => {};
    await interrupt.untilPressed();
    return 130;
  } finally {
    server.close();
    line.close();
  }
}

function portOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const port = Number(text);
  if (!Number.isInteger(port) || port < 1 || port > 65535)
    throw new UsageError(`--port is a number from 1 to 65535, not \`${text}\`.`);
  return port;
}

/** Listens on loopback; where the usual port is taken, on a free one, but a port that was asked for is not replaced. */
async function listen(server: Server, port: number, asked: boolean): Promise<number> {
  const on = (port: number) =>
    new Promise<number>((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, "127.0.0.1", () => {
        server.off("error", reject);
        resolve((server.address() as { port: number }).port);
      });
    });
  try {
    return await on(port);
  } catch (error) {
    if (asked)
      throw new UserError(`Port ${port} of this machine can't be listened on: ${messageOf(error)}. Another: --port`);
    return on(0);
  }
}

/** The connection to the host that all connections of browsers share. */
class Line {
  readonly #stack: Stack;
  #session: Promise<Session> | undefined;
  readonly #sockets = new Set<Socket>();

  constructor(stack: Stack) {
    this.#stack = stack;
  }

  async where(): Promise<string> {
    return (await this.#open()).where;
  }

  /** @throws UserError where the host can't be reached, or nothing listens on the port there */
  async probe(port: number): Promise<void> {
    const session = await this.#open();
    try {
      (await session.reach(port)).destroy();
    } catch (error) {
      throw new UserError(`${messageOf(error)} Does the WebUI run? ${hint("status", this.#stack.name)}`);
    }
  }

  async join(socket: Socket, port: number): Promise<void> {
    this.#sockets.add(socket);
    socket.once("close", () => this.#sockets.delete(socket));
    const channel = await (await this.#open()).reach(port);
    channel.on("error", () => socket.destroy());
    channel.once("close", () => socket.destroy());
    socket.once("close", () => channel.destroy());
    socket.pipe(channel).pipe(socket);
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#session?.then((session) => session.close()).catch(() => {});
  }

  #open(): Promise<Session> {
    if (this.#session) return this.#session;
    const opening = openSession(this.#stack);
    this.#session = opening;
    const forget = () => {
      if (this.#session === opening) this.#session = undefined;
    };
    opening.then((session) => session.onClose(forget), forget);
    return opening;
  }
}
