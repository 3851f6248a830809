import { randomUUID } from "node:crypto";
import type { Duplex } from "node:stream";
import { Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData } from "@grpc/grpc-js";
import { fieldsOf } from "../client/wire.ts";
import type { Login } from "../registry/logins.ts";
import { registryOf } from "../registry/reference.ts";
import type { Call } from "../resources/resource.ts";

/** BuildKit asks back while it builds: for the login to a registry, and whether we are still there. */
export interface Session {
  id: string;
  end: () => void;
}

const CREDENTIALS = "/moby.filesync.v1.Auth/Credentials";
const HEALTH = "/grpc.health.v1.Health/Check";
/** `status: SERVING` */
const SERVING = Buffer.from([0x08, 0x01]);

/**
 * Opens the connection over which BuildKit asks.
 * @param loginFor each registry gets its own login, and no other's
 */
export async function openSession(loginFor: (registry: string) => Login | undefined, call: Call): Promise<Session> {
  const id = randomUUID();
  const socket = await call.engine.ask("open a BuildKit session", call, (docker) => {
    const options = {
      method: "POST",
      path: "/session",
      hijack: true,
      headers: {
        Upgrade: "h2c",
        "X-Docker-Expose-Session-Uuid": id,
        "X-Docker-Expose-Session-Name": "atelier",
        "X-Docker-Expose-Session-Grpc-Method": [CREDENTIALS, HEALTH],
      },
      statusCodes: { 101: true, 200: true, 400: "refused", 500: "server error" },
    };
    return new Promise<Duplex>((resolve, reject) => {
      docker.modem.dial(options as never, (error: unknown, answer: unknown) =>
        error ? reject(error) : resolve(answer as Duplex),
      );
    });
  });
  const server = new Server();
  const plain = (bytes: Buffer) => bytes;
  const unary = (path: string) => ({
    path,
    requestStream: false as const,
    responseStream: false as const,
    requestSerialize: plain,
    requestDeserialize: plain,
    responseSerialize: plain,
    responseDeserialize: plain,
  });
  server.addService(
    { credentials: unary(CREDENTIALS), health: unary(HEALTH) },
    {
      credentials: (asked: ServerUnaryCall<Buffer, Buffer>, answer: sendUnaryData<Buffer>) => {
        const login = loginFor(registryOf(readText(asked.request)));
        answer(
          null,
          login === undefined ? Buffer.alloc(0) : Buffer.concat([field(1, login.username), field(2, login.password)]),
        );
      },
      health: (_asked: ServerUnaryCall<Buffer, Buffer>, answer: sendUnaryData<Buffer>) => answer(null, SERVING),
    },
  );
  socket.on("error", () => {});
  server.createConnectionInjector(ServerCredentials.createInsecure()).injectConnection(socket);
  return {
    id,
    end: () => {
      server.forceShutdown();
      socket.destroy();
    },
  };
}

/** The first field of a message, a text. */
function readText(message: Buffer): string {
  const [first] = fieldsOf(message);
  return first?.number === 1 ? first.bytes.toString("utf8") : "";
}

function field(number: number, value: string): Buffer {
  const bytes = Buffer.from(value);
  const length: number[] = [];
  for (let rest = bytes.length; ; rest >>>= 7) {
    length.push(rest > 0x7f ? (rest & 0x7f) | 0x80 : rest);
    if (rest <= 0x7f) break;
  }
  return Buffer.concat([Buffer.from([(number << 3) | 2, ...length]), bytes]);
}
