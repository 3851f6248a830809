import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { DOCKER_HUB, registryOf } from "./reference.ts";

/** Who one is to one registry. */
export interface Login {
  /** A host with its port, `docker.io` for Docker Hub. */
  registry: string;
  /** With `http://` only where the address says so. */
  url: string;
  username: string;
  password: string;
}

/** What an engine wants to know in X-Registry-Auth. */
export interface AuthConfig {
  username: string;
  password: string;
  serveraddress: string;
}

/**
 * The logins of a provider's `registryAuth`.
 * @param value a list of `{ address, username, password, configFile, configFileContent, authDisabled }`
 * @throws naming what is wrong with it; no password is in the text
 */
export function readLogins(value: unknown, env: NodeJS.ProcessEnv): Login[] {
  if (value === undefined || value === null) return [];
  const list = Array.isArray(value) ? value : [value];
  return list.flatMap((item: unknown, index) => {
    const at = `registryAuth[${index}]`;
    if (typeof item !== "object" || item === null)
      throw new Error(`docker.Provider's ${at} must be an object with an address.`);
    const entry = item as Record<string, unknown>;
    const known = ["address", "username", "password", "configFile", "configFileContent", "authDisabled"];
    const unknown = Object.keys(entry).filter((key) => !known.includes(key) && key !== "__defaults");
    if (unknown.length > 0)
      throw new Error(`docker.Provider's ${at} has no ${unknown.join(", ")}; it has ${known.join(", ")}.`);
    const text = (key: string, otherwise = ""): string =>
      typeof entry[key] === "string" && entry[key] !== "" ? (entry[key] as string) : otherwise;
    const address = text("address");
    if (address === "") throw new Error(`docker.Provider's ${at} needs an address, such as "ghcr.io".`);
    const url = /^https?:\/\//.test(address) ? address : `https://${address}`;
    const registry = registryOf(address);
    if (entry.authDisabled === true) return [];
    const username = text("username", env.DOCKER_REGISTRY_USER);
    const password = text("password", env.DOCKER_REGISTRY_PASS);
    if (username !== "" && password !== "") return [{ registry, url, username, password }];
    const content = text("configFileContent");
    const file = text("configFile", dockerConfigFile(env)).replace(/^~(?=\/)/, homedir());
    const found = loginIn(content !== "" ? content : readText(file), registry);
    if (found === undefined) {
      throw new Error(
        `docker.Provider's ${at} gives no username and password for ${address}, and ${content !== "" ? "its configFileContent" : file} has none either.`,
      );
    }
    return [{ ...found, url }];
  });
}

/** The login for a registry in the user's own Docker configuration; undefined: there is none. */
export function ownLogin(registry: string, env: NodeJS.ProcessEnv = process.env): Login | undefined {
  return loginIn(readText(dockerConfigFile(env)), registry);
}

export function authConfig(login: Login | undefined): AuthConfig | undefined {
  if (login === undefined) return undefined;
  const { username, password, registry } = login;
  return { username, password, serveraddress: registry === DOCKER_HUB ? "https://index.docker.io/v1/" : registry };
}

function dockerConfigFile(env: NodeJS.ProcessEnv): string {
  const place = env.DOCKER_CONFIG || join(homedir(), ".docker");
  return place.endsWith(".json") ? place : join(place, "config.json");
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "{}";
  }
}

function loginIn(content: string, registry: string): Login | undefined {
  let config: { auths?: Record<string, { auth?: string }>; credHelpers?: Record<string, string>; credsStore?: string };
  try {
    config = JSON.parse(content);
  } catch {
    throw new Error("the Docker configuration file is not JSON");
  }
  for (const [address, entry] of Object.entries(config.auths ?? {})) {
    if (registryOf(address) !== registry || !entry.auth) continue;
    const [username = "", ...rest] = Buffer.from(entry.auth, "base64").toString().split(":");
    return { registry, url: `https://${registry}`, username, password: rest.join(":") };
  }
  const listed = Object.keys(config.auths ?? {}).some((address) => registryOf(address) === registry);
  const helper = config.credHelpers?.[registry] ?? (listed ? config.credsStore : undefined);
  if (helper !== undefined) {
    throw new Error(
      `the login for ${registry} is kept by the credential helper "${helper}", which the embedded engine does not ask: give username and password`,
    );
  }
  return undefined;
}
