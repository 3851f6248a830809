import { createHash } from "node:crypto";
import ssh2 from "ssh2";
import { DialFailed } from "../errors.ts";
import { address, type Endpoint } from "./settings.ts";

/** The key that a server must show. */
export interface PinnedKey {
  type: string;
  blob: Buffer;
}

/** Reads a pinned key: a line as in authorized_keys or known_hosts' last two fields. */
export function readHostKey(endpoint: Endpoint): PinnedKey | undefined {
  if (endpoint.hostKey === undefined) return undefined;
  for (const line of endpoint.hostKey.split("\n")) {
    const match = /(?:^|\s)((?:ssh|ecdsa)-[\w@.-]+|sk-[\w@.-]+)\s+([A-Za-z0-9+/]+=*)/.exec(line);
    const [, type, base64] = match ?? [];
    if (type === undefined || base64 === undefined) continue;
    const parsed = ssh2.utils.parseKey(`${type} ${base64}`);
    if (!(parsed instanceof Error)) return { type, blob: Buffer.from(base64, "base64") };
  }
  throw new DialFailed(
    "settings",
    `cannot read connection.hostKey of ${address(endpoint)}: it must be one line "<type> <base64>" as ssh-keyscan prints it after the host's name`,
  );
}

/** As `ssh-keygen -l` shows it. */
export function fingerprint(blob: Buffer): string {
  return `SHA256:${createHash("sha256").update(blob).digest("base64").replace(/=+$/, "")}`;
}

/** The type's name, from the key itself. */
function keyType(blob: Buffer): string {
  return blob.subarray(4, 4 + blob.readUInt32BE(0)).toString("latin1");
}

/** The host key algorithms to ask for: those of the pinned key first, so that the server shows that one if it has it. */
export function hostKeyAlgorithms(pinned: PinnedKey | undefined): string[] {
  const mine = pinned === undefined ? [] : pinned.type === "ssh-rsa" ? RSA : [pinned.type];
  return [...new Set([...mine, ...ALL])];
}

const RSA = ["rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"];
const ALL = ["ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", ...RSA];

export function mismatch(endpoint: Endpoint, pinned: PinnedKey, shown: Buffer): DialFailed {
  return new DialFailed(
    "hostKey",
    `the host key of ${address(endpoint)} is not the pinned one: expected ${pinned.type} ${fingerprint(pinned.blob)}, ` +
      `the server shows ${keyType(shown)} ${fingerprint(shown)}. Nothing was sent to it. If the host was set up anew, ` +
      "compare the second with the host's own (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub) and pin it; otherwise " +
      "someone stands between.",
  );
}
