import { createPrivateKey } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
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
  const before = mistakes.length;
  const login = plain({
    password:
      host.password ??
      (host.passwordFile
        ? filled(secret(host.passwordFile, "passwordFile")?.replace(/[\r\n]+$/, ""), host.passwordFile, mistakes)
        : undefined) ??
      (host.passwordEnv ? variable(host.passwordEnv, "passwordEnv") : undefined),
    privateKey: host.key ?? (host.keyFile ? secret(host.keyFile, "keyFile") : undefined),
    privateKeyPassword:
      host.keyPassphrase ?? (host.keyPassphraseEnv ? variable(host.keyPassphraseEnv, "keyPassphraseEnv") : undefined),
    agent: host.agent,
  });
  const more = mistakes.length > before ? undefined : (keyMistake(host, login) ?? agentMistake(login));
  if (more !== undefined) mistakes.push(`atelier:host.${more}`);
  return login;
}

/** Why the key does not open any door, before a door is tried. The text of a key is never shown. */
function keyMistake(
  { keyFile, keyPassphrase, keyPassphraseEnv }: Partial<Omit<SshHostSettings, "kind">>,
  { privateKey, privateKeyPassword }: Login,
): string | undefined {
  if (privateKey === undefined) return undefined;
  // Loaded for a key alone: most programs have none.
  const { utils } = createRequire(import.meta.url)("ssh2") as typeof import("ssh2");
  const parsed = utils.parseKey(privateKey.trim(), privateKeyPassword);
  const name = keyFile ?? "the key";
  const key = `${keyFile ? "keyFile" : "key"}: ${name}`;
  if (!(parsed instanceof Error))
    return parsed.isPrivateKey() ? undefined : `${key} is the public half; wanted is the private one`;
  if (!/passphrase/i.test(parsed.message) && !privateKey.includes("BEGIN ENCRYPTED PRIVATE KEY"))
    return `${key} is no private key that can be used (${parsed.message}); \`ssh-keygen -p -f ${keyFile ?? "<its file>"}\` writes one in OpenSSH's own form`;
  if (privateKeyPassword === undefined)
    return `${key} is encrypted; its passphrase: host.keyPassphraseEnv (the name of a variable) or host.keyPassphrase (a secret); or host.agent: true in its place`;
  return keyPassphrase === undefined
    ? `keyPassphraseEnv: the passphrase in ${keyPassphraseEnv} does not open ${name}`
    : `keyPassphrase: it does not open ${name}`;
}

/**
 * A key of PKCS#8, as openssl and some clouds write it, in a form that ssh2 and both engines read, opened; one of another form as it is.
 * What can't be read stays, and is a mistake.
 */
function plain(login: Login): Login {
  const { privateKey, privateKeyPassword } = login;
  if (privateKey === undefined || !/^\s*-----BEGIN (ENCRYPTED )?PRIVATE KEY-----/.test(privateKey)) return login;
  try {
    const key = createPrivateKey({ key: privateKey, passphrase: privateKeyPassword });
    const type = key.asymmetricKeyType === "rsa" ? "pkcs1" : "sec1";
    const pem = key.export({ type: type as "pkcs1", format: "pem" }).toString();
    return { ...login, privateKey: pem, privateKeyPassword: undefined };
  } catch {
    return login;
  }
}

/** An agent of Windows is a pipe, which can't be looked for. */
function agentMistake({ agent }: Login): string | undefined {
  if (!agent) return undefined;
  const mend = "start one (ssh-agent), or use another way to log in";
  const socket = process.env.SSH_AUTH_SOCK;
  if (!socket) return `agent: the environment has no SSH_AUTH_SOCK, which names an agent; ${mend}`;
  if (process.platform === "win32" || existsSync(socket)) return undefined;
  return `agent: SSH_AUTH_SOCK names ${socket}, and no agent is there; ${mend}`;
}

/** Where a file of the settings is: below the home folder, or the repository's. */
export const fullPath = (path: string): string =>
  /^~[\\/]/.test(path) ? join(homedir(), path.slice(2)) : resolve(import.meta.dirname, "..", path);

/** An empty password would be none: the server would be blamed. */
function filled(password: string | undefined, file: string, mistakes: string[]): string | undefined {
  if (password === "") mistakes.push(`atelier:host.passwordFile: ${file} is empty`);
  return password;
}

function readFile(path: string, key: string, mistakes: string[]): string | undefined {
  try {
    // Editors of Windows begin a text with a mark that nobody sees.
    return readFileSync(fullPath(path), "utf8").replace(/^\ufeff/, "");
  } catch (error) {
    mistakes.push(`${key}: ${path} can't be read (${(error as NodeJS.ErrnoException).code ?? error})`);
    return undefined;
  }
}
