import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject, pbkdf2, randomBytes } from "node:crypto";
import { promisify } from "node:util";
import type { Secret } from "./values.ts";

const ROUNDS = 1_000_000;
const KEY_BYTES = 32;
const SALT_BYTES = 8;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
/** What a salt's second half decrypts to when the passphrase is right. */
const PROOF = "pulumi";

const stretch = promisify(pbkdf2);

/** As a key object: given a buffer, Node takes five times as long for each of a state's secrets. */
async function keyOf(passphrase: string, salt: Buffer): Promise<KeyObject> {
  return createSecretKey(await stretch(passphrase, salt, ROUNDS, KEY_BYTES, "sha256"));
}

export class WrongPassphrase extends Error {
  constructor() {
    super(
      "The passphrase does not open this stack's secrets. Give the one with which the stack was made " +
        "(PULUMI_CONFIG_PASSPHRASE, or a file named by PULUMI_CONFIG_PASSPHRASE_FILE).",
    );
    this.name = "WrongPassphrase";
  }
}

/** Where a secret stands in the state, so that an unchanged value there keeps its ciphertext. */
export interface SecretPlace {
  /** The secret as an object: the same object with the same text has the same ciphertext. */
  secret?: Secret;
  /** `<urn>#inputs.a.b`: what was read from here is used again when a new run gives the same text. */
  path?: string;
}

/**
 * Pulumi's passphrase secrets: AES-256-GCM under a key that PBKDF2 makes of passphrase and salt.
 * Making the key takes about a second in a thread of its own; everything after it is immediate.
 */
export class PassphraseSecrets {
  /** `v1:<salt>:v1:<nonce>:<proof>`, as it stands in `encryptionsalt` and in the checkpoint. */
  readonly salt: string;
  readonly #key: KeyObject;
  readonly #bySecret = new WeakMap<Secret, { plaintext: string; ciphertext: string }>();
  readonly #byPath = new Map<string, Map<string, string>>();

  private constructor(salt: string, key: KeyObject) {
    this.salt = salt;
    this.#key = key;
  }

  /** Secrets with a fresh salt, for a new stack. */
  static async create(passphrase: string): Promise<PassphraseSecrets> {
    const bytes = randomBytes(SALT_BYTES);
    const key = await keyOf(passphrase, bytes);
    return new PassphraseSecrets(`v1:${bytes.toString("base64")}:${encrypt(key, PROOF)}`, key);
  }

  /**
   * The secrets of a stack that has a salt.
   * @throws WrongPassphrase; or an error that says what is wrong with the salt
   */
  static async open(passphrase: string, salt: string): Promise<PassphraseSecrets> {
    const match = /^v1:([A-Za-z0-9+/=]+):(v1:.+)$/.exec(salt);
    if (match === null) {
      const version = salt.split(":", 1)[0];
      throw new Error(
        version === "v1"
          ? "The stack's encryption salt is malformed (expected v1:<salt>:v1:<nonce>:<proof>). Restore it from version control or a backup."
          : `The stack's encryption salt is of version "${version}"; this engine knows v1.`,
      );
    }
    const key = await keyOf(passphrase, Buffer.from(match[1]!, "base64"));
    let proof: string;
    try {
      proof = decrypt(key, match[2]!);
    } catch {
      throw new WrongPassphrase();
    }
    if (proof !== PROOF) throw new WrongPassphrase();
    return new PassphraseSecrets(salt, key);
  }

  /**
   * Encrypts a state value.
   * @param plaintext the JSON text of the value: a text is encrypted with its quotes
   */
  encryptValue(plaintext: string, { secret, path }: SecretPlace = {}): string {
    const known = secret && this.#bySecret.get(secret);
    if (known?.plaintext === plaintext) return known.ciphertext;
    const ciphertext = (path && this.#byPath.get(path)?.get(plaintext)) || encrypt(this.#key, plaintext);
    this.#remember(plaintext, ciphertext, { secret, path });
    return ciphertext;
  }

  /** @returns the JSON text of the value */
  decryptValue(ciphertext: string): string {
    return decrypt(this.#key, ciphertext);
  }

  /** Remembers which ciphertext a value in the state has, so that it stays as long as the value does. */
  remember(plaintext: string, ciphertext: string, place: SecretPlace): void {
    this.#remember(plaintext, ciphertext, place);
  }

  /** Encrypts a setting: its plain text, without JSON around it. */
  encryptConfig(plaintext: string): string {
    return encrypt(this.#key, plaintext);
  }

  decryptConfig(ciphertext: string): string {
    return decrypt(this.#key, ciphertext);
  }

  #remember(plaintext: string, ciphertext: string, { secret, path }: SecretPlace): void {
    if (secret) this.#bySecret.set(secret, { plaintext, ciphertext });
    if (path === undefined) return;
    let texts = this.#byPath.get(path);
    if (texts === undefined) {
      texts = new Map();
      this.#byPath.set(path, texts);
    }
    texts.set(plaintext, ciphertext);
  }
}

function encrypt(key: KeyObject, plaintext: string): string {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv("aes-256-gcm", key, nonce);
  const sealed = Buffer.concat([cipher.update(plaintext, "utf8"), cipher.final(), cipher.getAuthTag()]);
  return `v1:${nonce.toString("base64")}:${sealed.toString("base64")}`;
}

function decrypt(key: KeyObject, text: string): string {
  const [version, nonceText, sealedText, ...more] = text.split(":");
  if (version !== "v1" || nonceText === undefined || sealedText === undefined || more.length > 0) {
    throw new Error(
      "A ciphertext is malformed (expected v1:<nonce>:<ciphertext>). Restore the file from version control or a backup.",
    );
  }
  const [nonce, sealed] = [Buffer.from(nonceText, "base64"), Buffer.from(sealedText, "base64")];
  if (nonce.length !== NONCE_BYTES || sealed.length < TAG_BYTES) {
    throw new Error("A ciphertext is cut short. Restore the file from version control or a backup.");
  }
  const decipher = createDecipheriv("aes-256-gcm", key, nonce, { authTagLength: TAG_BYTES });
  decipher.setAuthTag(sealed.subarray(-TAG_BYTES));
  try {
    return decipher.update(sealed.subarray(0, -TAG_BYTES), undefined, "utf8") + decipher.final("utf8");
  } catch {
    throw new Error(
      "A secret does not decrypt with this stack's key: it was encrypted for another stack, or the file is damaged. Set it anew.",
    );
  }
}
