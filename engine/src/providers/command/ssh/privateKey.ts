import { createPrivateKey, type KeyObject } from "node:crypto";
import ssh2, { type ParsedKey } from "ssh2";

/**
 * A private key, of OpenSSH's own form, of PEM, or of PKCS#8 (`BEGIN PRIVATE KEY`, as clouds and openssl write it), which ssh2 does not read.
 * @param passphrase what opens an encrypted one
 * @returns the key, or what the parser said, which may quote it
 */
export function parsePrivateKey(text: string, passphrase: string | undefined): ParsedKey | Error {
  const clean = text.replaceAll("\r\n", "\n").trim();
  const form = /^-----BEGIN (ENCRYPTED )?PRIVATE KEY-----/.exec(clean);
  if (!form) return first(ssh2.utils.parseKey(clean, passphrase));
  if (form[1] && passphrase === undefined) return new Error("encrypted, and no passphrase given");
  try {
    return first(ssh2.utils.parseKey(sshForm(createPrivateKey({ key: clean, passphrase }))));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return form[1] && code !== undefined ? new Error("bad passphrase: it can't be decrypted") : (error as Error);
  }
}

/** The same key in a form that ssh2 reads. */
function sshForm(key: KeyObject): string | Buffer {
  if (key.asymmetricKeyType === "rsa") return key.export({ type: "pkcs1", format: "pem" });
  if (key.asymmetricKeyType === "ec") return key.export({ type: "sec1", format: "pem" });
  if (key.asymmetricKeyType === "ed25519") return openSsh(key.export({ format: "jwk" }));
  throw new Error(`a key of the type ${key.asymmetricKeyType}, which SSH does not have`);
}

/** OpenSSH's form of an Ed25519 key (PROTOCOL.key in its sources): nothing else holds one that ssh2 reads. */
function openSsh({ x, d }: { x?: string; d?: string }): string {
  const publicHalf = Buffer.from(x ?? "", "base64url");
  const publicKey = Buffer.concat([field("ssh-ed25519"), field(publicHalf)]);
  const check = Buffer.alloc(8);
  const secret = Buffer.concat([
    check,
    publicKey,
    field(Buffer.concat([Buffer.from(d ?? "", "base64url"), publicHalf])),
    field(""),
  ]);
  // Filled with 1, 2, 3 … to the block of 8 of the cipher `none`.
  const padding = Buffer.from(Array.from({ length: (8 - (secret.length % 8)) % 8 }, (_, index) => index + 1));
  const one = Buffer.from([0, 0, 0, 1]);
  const body = Buffer.concat([
    Buffer.from("openssh-key-v1\0"),
    field("none"),
    field("none"),
    field(""),
    one,
    field(publicKey),
    field(Buffer.concat([secret, padding])),
  ]);
  const lines = body.toString("base64").match(/.{1,70}/g) ?? [];
  return ["-----BEGIN OPENSSH PRIVATE KEY-----", ...lines, "-----END OPENSSH PRIVATE KEY-----", ""].join("\n");
}

function field(content: string | Buffer): Buffer {
  const bytes = Buffer.from(content as string);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

const first = (parsed: ParsedKey | ParsedKey[] | Error) => (Array.isArray(parsed) ? (parsed[0] as ParsedKey) : parsed);
