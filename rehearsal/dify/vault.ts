import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { writeWhole } from "../lib/files.ts";

/** What lies sealed in the state's file: as the real one keeps its credentials, by a key of its own beside them. */
const sealed = new Set(["credentials", "token", "refreshTokens"]);
const prefix = "sealed:";

/** The state's JSON, with the secrets in it encrypted by the key in a file. */
export class Vault {
  readonly #key: Buffer;

  /** @param path of the key; made at first use */
  constructor(path: string) {
    if (!existsSync(path)) writeWhole(path, randomBytes(32).toString("hex"), 0o600);
    this.#key = Buffer.from(readFileSync(path, "utf8"), "hex");
  }

  write(value: unknown): string {
    return JSON.stringify(value, (name, each) => (sealed.has(name) ? this.#seal(JSON.stringify(each)) : each), 1);
  }

  /** undefined for what is no JSON: what is cut off counts as absent. @throws when the key is another one */
  read(text: string): unknown {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      return undefined;
    }
    return this.#open(value);
  }

  #open(value: unknown): unknown {
    if (typeof value === "string" && value.startsWith(prefix)) return JSON.parse(this.#unseal(value));
    if (Array.isArray(value)) return value.map((each) => this.#open(each));
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, this.#open(each)]));
  }

  #seal(text: string): string {
    const nonce = randomBytes(12);
    const cipher = createCipheriv("aes-256-gcm", this.#key, nonce);
    const body = Buffer.concat([cipher.update(text, "utf8"), cipher.final()]);
    return prefix + Buffer.concat([nonce, cipher.getAuthTag(), body]).toString("base64");
  }

  #unseal(text: string): string {
    const bytes = Buffer.from(text.slice(prefix.length), "base64");
    const decipher = createDecipheriv("aes-256-gcm", this.#key, bytes.subarray(0, 12));
    decipher.setAuthTag(bytes.subarray(12, 28));
    return Buffer.concat([decipher.update(bytes.subarray(28)), decipher.final()]).toString("utf8");
  }
}
