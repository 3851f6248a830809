import { createHash } from "node:crypto";
import { isMap, type PropertyValue } from "../../../values.ts";
import { reveal } from "../plain.ts";

/** One SSH server and how to log in to it. */
export interface Endpoint {
  user: string;
  host: string;
  port: number;
  password?: string;
  privateKey?: string;
  privateKeyPassword?: string;
  agentSocketPath?: string;
  /** The server's public key as in authorized_keys. Undefined: any key is taken. */
  hostKey?: string;
  /** How many failed attempts are followed by another; -1: any number. */
  dialErrorLimit: number;
  /** Seconds for one attempt, login included; 0: no limit. */
  perDialTimeout: number;
}
export interface Connection extends Endpoint {
  proxy?: Endpoint;
}

/** Reads a `connection` input, checked or from a state. Throws where user, host or port are no such thing. */
export function readConnection(value: PropertyValue | undefined): Connection {
  const plain = reveal(value ?? null);
  const connection = readEndpoint(plain, "connection");
  return isMap(plain) && isMap(plain.proxy)
    ? { ...connection, proxy: readEndpoint(plain.proxy, "connection.proxy") }
    : connection;
}

function readEndpoint(value: PropertyValue, path: string): Endpoint {
  if (!isMap(value) || typeof value.host !== "string") throw new Error(`${path}.host is missing in the resource`);
  const string = (key: string): string | undefined => {
    const item = value[key];
    return typeof item === "string" ? item : undefined;
  };
  const number = (key: string, fallback: number): number => {
    const item = value[key];
    return typeof item === "number" ? item : fallback;
  };
  const port = number("port", 22);
  if (!Number.isInteger(port) || port < 1 || port > 65535) throw new Error(`${path}.port is ${port}, not 1 to 65535`);
  return {
    user: string("user") ?? "root",
    host: value.host,
    port,
    password: string("password"),
    privateKey: string("privateKey"),
    privateKeyPassword: string("privateKeyPassword"),
    agentSocketPath: string("agentSocketPath"),
    hostKey: string("hostKey"),
    dialErrorLimit: number("dialErrorLimit", 10),
    perDialTimeout: number("perDialTimeout", 15),
  };
}

/** `user@host:port`, for messages. */
export function address(endpoint: Endpoint): string {
  const host = endpoint.host.includes(":") ? `[${endpoint.host}]` : endpoint.host;
  return `${endpoint.user}@${host}:${endpoint.port}`;
}

/** The same for two connections only if they log in to the same place in the same way. A hash: keys of maps get printed. */
export function identity(connection: Connection): string {
  const parts = (endpoint: Endpoint) => Object.entries(endpoint).filter(([key]) => key !== "proxy");
  return createHash("sha256")
    .update(JSON.stringify([parts(connection), connection.proxy ? parts(connection.proxy) : null]))
    .digest("hex");
}
