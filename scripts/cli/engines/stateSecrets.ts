import { type FSWatcher, watch } from "node:fs";
import { dirname } from "node:path";
import { SecretFilter } from "@atelier/engine/masking";
import { PassphraseSecrets } from "@atelier/engine/secrets";
import { SIGNATURE_KEY } from "@atelier/engine/signatures";
import { type PropertyValue, Secret } from "@atelier/engine/values";
import { makeFolder, readIfThere } from "../files.ts";

/**
 * The secrets of a state that the official CLI is writing, learned from each version of its file: the CLI itself masks what the
 * settings mark, and lets through what a command prints of any other secret. It saves a resource's inputs before it calls the
 * provider, so what a command prints is known before it is printed.
 */
export class StateSecrets {
  readonly #file: string;
  readonly #passphrase: string;
  readonly #filter = new SecretFilter();
  readonly #known = new Set<string>();
  readonly #watcher: FSWatcher;
  #key: { salt: string; secrets: Promise<PassphraseSecrets> } | undefined;
  /** Everything that was read is learned. */
  #learned: Promise<void> = Promise.resolve();
  #last = "";
  /** Nothing is read before: a large state is not read more often than its writer can bear. */
  #notBefore = 0;
  #late: NodeJS.Timeout | undefined;

  /** @param file of the state; it need not be there yet */
  constructor(file: string, passphrase: string) {
    this.#file = file;
    this.#passphrase = passphrase;
    makeFolder(dirname(file));
    this.#watcher = watch(dirname(file), () => this.#read());
    this.#watcher.on("error", () => {});
    this.#read();
  }

  /**
   * The value with each secret in its texts masked.
   * @param certain true: once all that was written until now is known, however often a large state is read for it
   */
  async mask<T>(value: T, { certain }: { certain: boolean }): Promise<T> {
    if (certain) this.#notBefore = 0;
    this.#read();
    await this.#learned;
    return this.#filter.applyDeep(value);
  }

  close(): void {
    clearTimeout(this.#late);
    this.#watcher.close();
  }

  #read(): void {
    clearTimeout(this.#late);
    const began = performance.now();
    if (began < this.#notBefore) {
      this.#late = setTimeout(() => this.#read(), this.#notBefore - began).unref();
      return;
    }
    // The version before too: two may be written between two looks.
    for (const path of [`${this.#file}.bak`, this.#file]) {
      const text = readIfThere(path);
      if (text === undefined || text === this.#last) continue;
      this.#last = text;
      this.#learned = this.#learned.then(() => this.#learn(text)).catch(() => {});
    }
    const took = performance.now() - began;
    if (took > 10) this.#notBefore = began + took * 5;
  }

  async #learn(text: string): Promise<void> {
    const fresh = [...text.matchAll(/"ciphertext":"(v1:[^"]+)"/g)]
      .map((match) => match[1] as string)
      .filter((ciphertext) => !this.#known.has(ciphertext));
    const salt = /"state":\{"salt":"([^"]+)"/.exec(text)?.[1];
    if (fresh.length === 0 || salt === undefined) return;
    if (this.#key?.salt !== salt) this.#key = { salt, secrets: PassphraseSecrets.open(this.#passphrase, salt) };
    const secrets = await this.#key.secrets;
    for (const ciphertext of fresh) {
      this.#known.add(ciphertext);
      this.#filter.addSecrets(new Secret(withoutSignatures(JSON.parse(secrets.decryptValue(ciphertext)))));
    }
  }
}

/** Signatures mark what kind of value something is, and are the same in every state. */
function withoutSignatures(value: PropertyValue): PropertyValue {
  if (Array.isArray(value)) return value.map(withoutSignatures);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key]) => key !== SIGNATURE_KEY)
      .map(([key, element]) => [key, withoutSignatures(element as PropertyValue)]),
  );
}
