import { createServer, type Server, type Socket } from "node:net";
import { Client } from "ssh2";
import { CallFailed, reason } from "./failure.ts";
import { atelier } from "./hint.ts";
import type { Input } from "./input.ts";

type Host = NonNullable<Input["tunnel"]>;

/** A way through SSH to a URL that only its host can reach. */
export interface Tunnel {
  /** The same URL, as this machine reaches it. */
  url: string;
  close(): void;
}

/**
 * Opens a port on loopback that leads, through SSH, to the URL's host and port as seen from the SSH host.
 * @param seconds for the connection to stand
 * @throws {CallFailed} `unreachable`
 */
export async function openTunnel(host: Host, url: string, seconds: number): Promise<Tunnel> {
  const ssh = await connect(host, seconds);
  const target = new URL(url);
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => socket.destroy());
    const port = Number(target.port || (target.protocol === "https:" ? 443 : 80));
    ssh.forwardOut("127.0.0.1", 0, target.hostname, port, (error, stream) => {
      // Nothing listens there: for the caller the same as a connection that ends at once.
      if (error) return void socket.destroy();
      stream.on("error", () => socket.destroy());
      stream.on("close", () => socket.destroy());
      socket.pipe(stream).pipe(socket);
    });
  });
  const close = () => {
    server.close();
    for (const socket of sockets) socket.destroy();
    ssh.end();
  };
  ssh.on("close", close);
  ssh.on("error", close);
  const local = new URL(url);
  local.hostname = "127.0.0.1";
  local.port = String(await listen(server));
  return { url: local.toString().replace(/\/+$/, ""), close };
}

function connect(host: Host, seconds: number): Promise<Client> {
  const { address, port, user, password, privateKey, privateKeyPassword, agent, hostKey } = host;
  const [type = "", key = ""] = hostKey.trim().split(/\s+/);
  const socket = agent ? process.env.SSH_AUTH_SOCK : undefined;
  const ssh = new Client();
  return new Promise((resolve, reject) => {
    let strange = false;
    // Else each small packet waits up to 40 ms for the one before to be acknowledged.
    ssh.once("connect", () => ssh.setNoDelay(true));
    ssh.once("ready", () => resolve(ssh));
    ssh.once("error", (error) => {
      const what = `No SSH connection to ${user}@${address}:${port} for the tunnel (${reason(error)})`;
      const next = strange
        ? `The host's key has changed: look why, then ${atelier("trust --replace")}`
        : "Check that the host runs and that address, port and login in the stack's settings are right";
      reject(new CallFailed("unreachable", what, next));
    });
    ssh.connect({
      host: address,
      port,
      username: user,
      ...(password !== undefined && { password }),
      ...(privateKey !== undefined && { privateKey }),
      ...(privateKeyPassword !== undefined && { passphrase: privateKeyPassword }),
      ...(socket && { agent: socket }),
      // Without this a host with several keys may show another one than the pinned.
      algorithms: { serverHostKey: { prepend: hostKeyAlgorithms(type), append: [], remove: [] } },
      hostVerifier: (shown: Buffer) => {
        strange = shown.toString("base64") !== key;
        return !strange;
      },
      readyTimeout: seconds * 1000,
      keepaliveInterval: 15_000,
    });
  });
}

function hostKeyAlgorithms(type: string) {
  if (type === "ssh-rsa") return ["rsa-sha2-512" as const, "rsa-sha2-256" as const];
  const known = ["ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"] as const;
  return known.filter((name) => name === type);
}

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("a TCP server has a port");
  return address.port;
}
