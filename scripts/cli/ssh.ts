import { connect } from "node:net";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { unwrapMap } from "@atelier/engine/deploy/steps/marking";
import ssh2, { type Client, type ClientChannel, type ConnectConfig } from "ssh2";
import { cache, workspace } from "../../stacks/docker/place.ts";
import type { SshHostSettings } from "../../stacks/schema/host.ts";
import { hint } from "./commands/command.ts";
import { isOnHost, listResources } from "./engines/state.ts";
import { messageOf, UserError } from "./errors.ts";
import { readIfThere } from "./files.ts";
import { startMachine } from "./machine.ts";
import { hostKeyFile, stackHome } from "./paths.ts";
import { connection } from "./platform.ts";
import type { Stack } from "./stack.ts";

/** The host of a stack, dialled: for what no resource does. One connection; it has to be closed. */
export interface Session {
  /** `user@address:port` */
  where: string;
  workspace: string;
  cache: string;
  /** Runs a command; its exit code and streams. */
  run(command: string, stdin?: string): Promise<{ code: number; stdout: string; stderr: string }>;
  /** Runs a command whose output is told as it comes; aborted, its standard input ends, which has to end it. */
  follow(
    command: string,
    tell: (text: string) => void,
    signal: AbortSignal,
  ): Promise<{ code: number; stdout: string; stderr: string }>;
  /** Runs a command with a stream on its standard input. */
  send(command: string, source: Readable): Promise<void>;
  /** Connections to `port` of the host's loopback come to `to` of this machine's. Gives the port: another where that one is taken. */
  forward(port: number, to: number): Promise<number>;
  /** A channel to `port` of the host's loopback; rejects where nothing listens. */
  reach(port: number): Promise<ClientChannel>;
  onClose(listener: () => void): void;
  close(): void;
}

/** Seconds until a host that does not answer is given up. */
const patience = 20;

interface Dialled {
  address: string;
  port: number;
  user: string;
  hostKey: string;
  login: Pick<ConnectConfig, "password" | "privateKey" | "passphrase" | "agent">;
}

interface Place extends Dialled {
  workspace: string;
  cache: string;
  /** The host behind which it is. */
  jump?: Dialled | undefined;
}

/** Logs in; `sock` is the way there, where another host leads to it. */
async function dial(stack: string, place: Dialled, where: string, sock?: ClientChannel): Promise<Client> {
  const client = new ssh2.Client();
  let offered = false;
  // Else each small packet waits up to 40 ms for the one before to be acknowledged.
  client.once("connect", () => client.setNoDelay(true));
  const { password } = place.login;
  // Some servers take a password as the answer to a question alone.
  client.on("keyboard-interactive", (_name, _instructions, _language, prompts, answer) =>
    answer(prompts.length === 1 && /pass|密码/i.test(prompts[0]?.prompt ?? "") ? [password ?? ""] : []),
  );
  await new Promise<void>((resolve, reject) => {
    const fail = (error: Error) => {
      const why = offered
        ? `it shows another host key than the pinned one; if the box is a new one: ${hint("trust", stack)} --replace`
        : messageOf(error);
      reject(
        new UserError(
          `${where} can't be reached: ${why}. Is the box running, and are address, port and login still right?`,
        ),
      );
    };
    client.once("ready", resolve).once("close", () => fail(new Error("it closed the connection before the login")));
    // The listener stays: a second error, such as the socket's end after a time-out, would end the process.
    client.on("error", (error) => {
      fail(error);
      client.destroy();
    });
    client.connect({
      host: place.address,
      port: place.port,
      username: place.user,
      ...place.login,
      tryKeyboard: password !== undefined,
      ...(sock && { sock }),
      readyTimeout: patience * 1000,
      keepaliveInterval: 15_000,
      hostVerifier: (key: Buffer) => {
        const parsed = ssh2.utils.parseKey(key);
        const shown = (parsed instanceof Error ? key : parsed.getPublicSSH()).toString("base64");
        offered = shown !== place.hostKey.split(" ")[1];
        return !offered;
      },
    });
  });
  return client;
}

/** A channel to an address as the other end sees it. */
const reach = (client: Client, where: string, { address, port }: { address: string; port: number }) =>
  new Promise<ClientChannel>((resolve, reject) =>
    client.forwardOut("127.0.0.1", 0, address, port, (error, channel) =>
      error ? reject(new UserError(`${where} reaches no ${address}:${port}: ${error.message}.`)) : resolve(channel),
    ),
  );

/**
 * Dials the host of a stack, as its program would.
 * @throws UserError when it can't be reached, refuses the login, or shows another key than the pinned one
 */
export async function openSession(stack: Stack): Promise<Session> {
  const place = await placeOf(stack);
  const where = `${place.user}@${place.address}:${place.port}`;
  const jump =
    place.jump && (await dial(stack.name, place.jump, `${place.jump.user}@${place.jump.address}:${place.jump.port}`));
  let client: Client;
  try {
    client = await dial(stack.name, place, where, jump && (await reach(jump, "The Docker host", place)));
  } catch (error) {
    jump?.end();
    throw error;
  }
  client.once("close", () => jump?.end());
  return {
    where,
    workspace: place.workspace,
    cache: place.cache,
    run: (command, stdin) => run(client, where, command, stdin),
    follow: (command, tell, signal) => follow(client, where, command, { tell, signal }),
    send: (command, source) => send(client, where, command, source),
    forward: (port, to) => forward(client, where, port, to),
    reach: (port) => reach(client, where, { address: "127.0.0.1", port }),
    onClose: (listener) => void client.once("close", listener),
    close: () => void client.end(),
  };
}

async function placeOf(stack: Stack): Promise<Place> {
  const { host } = stack.settings;
  if (host.kind === "local") {
    await startMachine(stack);
    const facts = JSON.parse(readIfThere(join(stackHome(stack.name), "host", "host.json")) ?? "{}") as Place & {
      privateKey: string;
    };
    return { ...facts, login: { privateKey: facts.privateKey } };
  }
  if (host.kind === "docker") return containerPlace(stack);
  if (!host.address) return rentedPlace(stack, host);
  const hostKey = host.hostKey ?? readIfThere(hostKeyFile(stack.name))?.trim();
  if (!hostKey)
    throw new UserError(`No key is pinned for ${host.address}:${host.port}: npx atelier trust --stack ${stack.name}`);
  const { address, port, user } = host;
  return { address, port, user, hostKey, ...folders(host), login: await loginOf(stack, host) };
}

const folders = ({ workspace, cache = `${workspace}/cache` }: SshHostSettings) => ({ workspace, cache });

async function loginOf({ name }: Stack, host: SshHostSettings): Promise<Dialled["login"]> {
  const { password, privateKey, privateKeyPassword, agentSocketPath } = await connection(name, host);
  return { password, privateKey, passphrase: privateKeyPassword, agent: agentSocketPath };
}

/** What the rental said was known to an update: the state has it. The login of the settings wins, as it does there. */
async function rentedPlace(stack: Stack, host: SshHostSettings): Promise<Place> {
  const known = await lastConnection(stack.name);
  if (!known)
    throw new UserError(`The host of stack \`${stack.name}\` is rented by \`up\`: only then it has an address.`);
  const own = await loginOf(stack, host);
  const said = dialled(known);
  return { ...said, ...folders(host), ...(Object.values(own).some(Boolean) && { login: own }) };
}

/** The container's address and keys were made by an update: the state has them. */
async function containerPlace({ name }: Stack): Promise<Place> {
  const known = await lastConnection(name);
  if (!known)
    throw new UserError(`The host of stack \`${name}\` is a container, which \`up\` makes: it is not there yet.`);
  const { proxy } = known;
  return { ...dialled(known), workspace, cache, jump: proxy && dialled(proxy) };
}

/** How the last update dialled the host; undefined where it made nothing there. */
async function lastConnection(stack: string): Promise<(Connection & { proxy?: Connection }) | undefined> {
  const found = (await listResources(stack)).find((state) => isOnHost(state) && state.inputs.connection);
  return found && (unwrapMap(found.inputs).connection as unknown as Connection & { proxy?: Connection });
}

interface Connection {
  host: string;
  port: number;
  user: string;
  hostKey?: string;
  password?: string;
  privateKey?: string;
  privateKeyPassword?: string;
}

function dialled({ host, port, user, hostKey = "", ...told }: Connection): Dialled {
  const { password, privateKey, privateKeyPassword: passphrase } = told;
  const agent = privateKey || password ? undefined : process.env.SSH_AUTH_SOCK;
  return { address: host, port, user, hostKey, login: { password, privateKey, passphrase, agent } };
}

/** A server gives few channels at once, and takes a moment to give one back. */
function exec(client: Client, where: string, command: string, triesLeft = 20): Promise<ClientChannel> {
  return new Promise((resolve, reject) => {
    client.exec(command, (error, channel) => {
      if (!error) return resolve(channel);
      if (triesLeft === 0 || !/open failure/i.test(error.message))
        return reject(new UserError(`${where} refused a command: ${error.message}`));
      setTimeout(() => exec(client, where, command, triesLeft - 1).then(resolve, reject), 250);
    });
  });
}

async function run(client: Client, where: string, command: string, stdin?: string): ReturnType<Session["run"]> {
  const channel = await exec(client, where, marked(command));
  const ended = heard(channel);
  channel.end(stdin);
  return ended;
}

async function follow(
  client: Client,
  where: string,
  command: string,
  { tell, signal }: { tell: (text: string) => void; signal: AbortSignal },
): ReturnType<Session["run"]> {
  const channel = await exec(client, where, marked(command));
  const end = () => void channel.end();
  if (signal.aborted) end();
  else signal.addEventListener("abort", end, { once: true });
  return heard(channel, tell).finally(() => signal.removeEventListener("abort", end));
}

/** Stands before what a command itself says: a start-up file of the login may greet on standard output. */
const MARK = "atelier-answers:";
const marked = (command: string): string => `echo ${MARK}; ${command}`;

/** What a command says until its end; to `tell` as it comes, where that is given. */
function heard(channel: ClientChannel, tell?: (text: string) => void): ReturnType<Session["run"]> {
  return new Promise((resolve) => {
    let [stdout, stderr] = ["", ""];
    const hear =
      tell ??
      ((text: string) => {
        stdout += text;
      });
    let greeting: string | undefined = "";
    channel.setEncoding("utf8").on("data", (text: string) => {
      if (greeting === undefined) return hear(text);
      greeting += text;
      const at = greeting.indexOf(`${MARK}\n`);
      if (at < 0) return;
      hear(greeting.slice(at + MARK.length + 1));
      greeting = undefined;
    });
    channel.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
    });
    channel.on("close", (code: number | null) => resolve({ code: code ?? -1, stdout, stderr }));
  });
}

async function send(client: Client, where: string, command: string, source: Readable): Promise<void> {
  const channel = await exec(client, where, command);
  await new Promise<void>((resolve, reject) => {
    let stderr = "";
    channel.resume();
    channel.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
    });
    channel.on("close", (code: number | null) =>
      code === 0 ? resolve() : reject(new UserError(`${where}: ${stderr.trim() || "the line dropped"}`)),
    );
    pipeline(source, channel).catch(reject);
  });
}

async function forward(client: Client, where: string, port: number, to: number): Promise<number> {
  client.on("tcp connection", (_details, accept) => {
    const remote = accept();
    const local = connect(to, "127.0.0.1");
    local.on("error", () => remote.destroy());
    remote.on("error", () => local.destroy());
    local.pipe(remote).pipe(local);
  });
  const listen = (wanted: number) =>
    new Promise<number>((resolve, reject) =>
      client.forwardIn("127.0.0.1", wanted, (error, got) => (error ? reject(error) : resolve(wanted || got))),
    );
  try {
    return await listen(port).catch(() => listen(0));
  } catch (error) {
    throw new UserError(`${where} forwards no port to this machine (${messageOf(error)}).`);
  }
}
