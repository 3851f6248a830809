import type { Client, ClientChannel } from "ssh2";

/** The server said no to a channel: it has as many as it gives, or gives none. */
export class ChannelRefused extends Error {}

/**
 * What ssh2 keeps to itself. Its `exec` opens the session and asks for environment and command in one go, without
 * hearing whether a variable was refused; opening the session by hand lets us ask. The version is pinned, and a test
 * fails when these names change.
 */
interface Internals {
  _chanMgr: { add(callback: OnOpen): number };
  _protocol: {
    session(channel: number, window: number, packet: number): void;
    env(channel: number, name: string, value: string, wantReply: boolean): void;
    exec(channel: number, command: string, wantReply: boolean): void;
    signal(channel: number, name: string): void;
  };
}
type OnOpen = ((error: Error | undefined, channel: Session) => void) & { type?: string };
export type Session = ClientChannel & {
  _callbacks: ((failed: boolean | Error) => void)[];
  outgoing: { id: number; state: string };
  incoming: { state: string };
  subtype?: string;
};

const WINDOW = 2 * 1024 * 1024;
const PACKET = 32 * 1024;

/** Opens a bare session. Throws ChannelRefused where the server says no. */
export function openSession(client: Client): Promise<Session> {
  return openChannel(client, (callback) => {
    const { _chanMgr, _protocol } = client as unknown as Internals;
    const opened: OnOpen = callback;
    opened.type = "session";
    const channel = _chanMgr.add(opened);
    if (channel === -1) throw new Error("no free channel number on this connection");
    _protocol.session(channel, WINDOW, PACKET);
  });
}

/** Opens something over the connection, and fails when the connection ends before there is an answer. */
export function openChannel<Channel>(
  client: Client,
  open: (callback: (error: Error | undefined, channel: Channel) => void) => void,
): Promise<Channel> {
  return new Promise((resolve, reject) => {
    const lost = () => reject(new Error("the connection dropped before a session was open"));
    client.once("close", lost);
    open((error, channel) => {
      client.off("close", lost);
      if (!error) return resolve(channel);
      const { reason } = error as { reason?: unknown };
      reject(typeof reason === "number" ? new ChannelRefused(error.message) : error);
    });
  });
}

/** Asks for one environment variable; true if the server takes it. */
export function requestEnv(session: Session, client: Client, name: string, value: string): Promise<boolean> {
  return request(session, () => protocol(client).env(session.outgoing.id, name, value, true));
}

/** Starts the command; false if the server refuses. Never answers when the connection drops: watch the channel's end. */
export function requestExec(session: Session, client: Client, command: string): Promise<boolean> {
  session.subtype = "exec";
  return request(session, () => protocol(client).exec(session.outgoing.id, command, true));
}

/** Sends a signal to the running command; ssh2's own does so only while standard input is open. */
export function sendSignal(session: Session, client: Client, name: string): void {
  if (session.outgoing.state === "open" || session.outgoing.state === "eof") {
    protocol(client).signal(session.outgoing.id, name);
  }
}

function request(session: Session, send: () => void): Promise<boolean> {
  return new Promise((resolve) => {
    if (session.outgoing.state !== "open") return resolve(false);
    session._callbacks.push((failed) => resolve(failed === false));
    send();
  });
}

function protocol(client: Client): Internals["_protocol"] {
  return (client as unknown as Internals)._protocol;
}
