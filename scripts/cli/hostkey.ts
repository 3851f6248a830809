import { createHash } from "node:crypto";
import ssh2 from "ssh2";
import { enginePlace } from "../../stacks/docker/place.ts";
import type { HostSettings } from "../../stacks/schema/host.ts";
import { UserError } from "./errors.ts";
import { readSshAlias } from "./sshConfig.ts";

/** The SSH server whose key is pinned: the host's own, or the Docker host's, behind which the container is. */
export function serverOf(
  host: HostSettings,
): { address: string; port: number; hostKey: string | undefined } | undefined {
  const { hostKey } = host as { hostKey?: string };
  if (host.kind === "ssh") return host.address ? { address: host.address, port: host.port, hostKey } : undefined;
  if (host.kind === "local") return undefined;
  const { kind, address, port } = enginePlace(host);
  return kind === "ssh" ? { address, port, hostKey } : undefined;
}

export interface HostKey {
  /** `ssh-ed25519`, … */
  type: string;
  /** As in known_hosts: type and key. */
  line: string;
  /** `SHA256:…`, as ssh-keygen -l shows it. */
  fingerprint: string;
}

/**
 * Asks an SSH server for its host key, without logging in.
 * @throws UserError saying what came back
 */
export function fetchHostKey(address: string, port: number, timeoutMs = 15_000): Promise<HostKey> {
  return new Promise((resolve, reject) => {
    const client = new ssh2.Client();
    let key: HostKey | undefined;
    const fail = (what: string) => {
      const next =
        (/ENOTFOUND|EAI_AGAIN/.test(what) && nameHint(address)) ||
        "Is the box running, and are host.address and host.port those that its platform shows?";
      reject(new UserError(`${address}:${port} did not show an SSH host key: ${what}. ${next}`));
    };
    const late = setTimeout(() => {
      client.end();
      fail(`nothing came back in ${timeoutMs / 1000} s`);
    }, timeoutMs);
    client.on("error", (error) => {
      clearTimeout(late);
      if (key) resolve(key);
      else fail(error.message);
    });
    client.on("close", () => {
      clearTimeout(late);
      if (key) resolve(key);
      else fail("the connection was closed");
    });
    client.connect({
      host: address,
      port,
      username: "atelier",
      readyTimeout: timeoutMs,
      // The login is never tried: the key is all that is wanted.
      hostVerifier: (blob: Buffer) => {
        key = describeKey(blob);
        return false;
      },
    });
  });
}

/** A name that this machine's `ssh` alone knows: what to write in its place. */
function nameHint(name: string): string | undefined {
  const alias = readSshAlias(name);
  if (!alias) return undefined;
  const { through, ...said } = alias;
  const settings = Object.entries(said).map(([key, value]) => `host.${key}: ${value}`);
  const way = through === undefined ? "" : ` The way through ${through} is no setting of a stack.`;
  return `\`${name}\` is a name of your SSH configuration, which a stack does not read. What it says there, as settings: ${settings.join(", ")}.${way}`;
}

/** A public key as SSH sends it: its first string is its type. */
function describeKey(blob: Buffer): HostKey {
  const type = blob.subarray(4, 4 + blob.readUInt32BE(0)).toString("latin1");
  return {
    type,
    line: `${type} ${blob.toString("base64")}`,
    fingerprint: `SHA256:${createHash("sha256").update(blob).digest("base64").replace(/=+$/, "")}`,
  };
}

/** A line as in known_hosts, without the host's name. @throws UserError for anything else */
export function parseKey(line: string): HostKey {
  const blob = Buffer.from(line.trim().split(/\s+/)[1] ?? "", "base64");
  if (blob.length < 8)
    throw new UserError(`\`${line.trim().slice(0, 60)}\` is not an SSH public key (\`ssh-ed25519 AAAA…\`).`, 2);
  return describeKey(blob);
}
