import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import type { DockerHostSettings, SshHostSettings } from "./schema/host.ts";

/** How a host lets somebody in. One of password, privateKey and agent; none of a box whose rental says it. */
export interface Login {
  password?: string | undefined;
  privateKey?: string | undefined;
  privateKeyPassword?: string | undefined;
  agent?: boolean | undefined;
}

/** The login that the settings name, with the files and variables that they point to. Mistakes are added to the list. */
export function readLogin(settings: SshHostSettings | DockerHostSettings, mistakes: string[]): Login {
  // A Docker host is logged in to without a password, as Docker's own client does.
  const host: Partial<Omit<SshHostSettings, "kind">> = settings;
  const secret = (path: string, name: string) => readFile(path, `atelier:host.${name}`, mistakes);
  const variable = (name: string, key: string) => {
    const value = process.env[name];
    if (!value)
      mistakes.push(`atelier:host.${key}: the environment has no ${name}; set it, or use another way to log in`);
    return value;
  };
  return {
    password:
      host.password ??
      (host.passwordFile ? secret(host.passwordFile, "passwordFile")?.replace(/\r?\n$/, "") : undefined) ??
      (host.passwordEnv ? variable(host.passwordEnv, "passwordEnv") : undefined),
    privateKey: host.key ?? (host.keyFile ? secret(host.keyFile, "keyFile") : undefined),
    privateKeyPassword:
      host.keyPassphrase ?? (host.keyPassphraseEnv ? variable(host.keyPassphraseEnv, "keyPassphraseEnv") : undefined),
    agent: host.agent,
  };
}

function readFile(path: string, key: string, mistakes: string[]): string | undefined {
  const full = path.startsWith("~/") ? join(homedir(), path.slice(2)) : resolve(import.meta.dirname, "..", path);
  try {
    return readFileSync(full, "utf8");
  } catch (error) {
    mistakes.push(`${key}: ${path} can't be read (${(error as NodeJS.ErrnoException).code ?? error})`);
    return undefined;
  }
}
