import { existsSync, readdirSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { unwrapMap } from "../../../deploy/steps/marking.ts";
import type { PropertyMap } from "../../../values.ts";
import { type Login, readLogins } from "../registry/logins.ts";
import { readTls, type Tls } from "./tls.ts";

/** Where a Docker engine is, and how to be let in. */
export interface Settings {
  /** `unix://…`, `tcp://…`, `ssh://…`, `npipe://…`, `http(s)://…` */
  host: string;
  tls?: Tls;
  /** Words for `ssh`, before the host. */
  sshOpts: string[];
  logins: Login[];
  /** False: the engine is not asked who it is before its first use. */
  verify: boolean;
}

const KNOWN = [
  "caMaterial",
  "certMaterial",
  "certPath",
  "context",
  "disableDockerDaemonCheck",
  "host",
  "keyMaterial",
  "registryAuth",
  "sshOpts",
  "version",
];

/**
 * The settings of a docker.Provider (or of the stack's `docker:` configuration), with the variables of the Docker command line
 * where they say nothing. Lists and booleans are JSON texts in them, as the SDK sends them.
 * @throws naming what is unknown, missing or contradictory
 */
export function readSettings(config: PropertyMap, env: NodeJS.ProcessEnv = process.env): Settings {
  const given = unwrapMap(config);
  const unknown = Object.keys(given).filter((key) => !KNOWN.includes(key) && !key.startsWith("__"));
  if (unknown.length > 0)
    throw new Error(`docker.Provider has no input ${unknown.join(", ")}; it has ${KNOWN.join(", ")}.`);
  const text = (key: string, variable: string): string => {
    const value = given[key];
    return typeof value === "string" && value !== "" ? value : (env[variable] ?? "");
  };
  const host = readHost(text("host", "DOCKER_HOST"), text("context", "DOCKER_CONTEXT"));
  const material = {
    ca: text("caMaterial", "DOCKER_CA_MATERIAL"),
    cert: text("certMaterial", "DOCKER_CERT_MATERIAL"),
    key: text("keyMaterial", "DOCKER_KEY_MATERIAL"),
  };
  // The command line's variable is for whatever engine its user last worked with: it counts where nothing else is said, and TLS is spoken.
  const passedOver = Object.values(material).some((one) => one !== "") || /^(unix|npipe|ssh):/.test(host);
  return {
    host,
    tls: readTls(material, text("certPath", passedOver ? "" : "DOCKER_CERT_PATH")),
    sshOpts:
      readList(given.sshOpts, "sshOpts") ?? env.DOCKER_SSH_OPTS?.split(/\s+/).filter((word) => word !== "") ?? [],
    logins: readLogins(parse(given.registryAuth, "registryAuth"), env),
    verify: parse(given.disableDockerDaemonCheck, "disableDockerDaemonCheck") !== true,
  };
}

function readHost(host: string, context: string): string {
  if (host === "" && context !== "" && context !== "default") return contextHost(context);
  if (host !== "") return /^[a-z]+:\/\//.test(host) ? host : `tcp://${host}`;
  if (process.platform === "win32") return "npipe:////./pipe/docker_engine";
  const system = "/var/run/docker.sock";
  // Docker Desktop without the rights of an administrator.
  const own = ["run", "desktop"].map((folder) => join(homedir(), ".docker", folder, "docker.sock"));
  return `unix://${[system, ...own].find((path) => existsSync(path)) ?? system}`;
}

function contextHost(context: string): string {
  const folder = join(homedir(), ".docker", "contexts", "meta");
  const names: string[] = [];
  for (const entry of existsSync(folder) ? readdirSync(folder) : []) {
    const file = join(folder, entry, "meta.json");
    if (!existsSync(file)) continue;
    const meta = JSON.parse(readFileSync(file, "utf8")) as {
      Name?: string;
      Endpoints?: { docker?: { Host?: string } };
    };
    if (meta.Name === context && meta.Endpoints?.docker?.Host) return meta.Endpoints.docker.Host;
    names.push(String(meta.Name));
  }
  throw new Error(
    `There is no Docker context "${context}" in ${folder}; there is ${names.join(", ") || "none"}. Create it, or set the provider's host.`,
  );
}

function parse(value: unknown, key: string): unknown {
  if (typeof value !== "string" || value === "") return value === "" ? undefined : value;
  try {
    return JSON.parse(value);
  } catch {
    throw new Error(`docker.Provider's ${key} must be JSON in the stack's configuration.`);
  }
}

function readList(value: unknown, key: string): string[] | undefined {
  const list = parse(value, key);
  if (list === undefined || list === null) return undefined;
  if (!Array.isArray(list) || !list.every((item) => typeof item === "string"))
    throw new Error(`docker.Provider's ${key} must be a list of texts.`);
  return list;
}
