import { encodeAsset } from "./assetForm.ts";
import { setKey } from "./signatures.ts";
import { TextSet } from "./textSet.ts";
import {
  Archive,
  Asset,
  isMap,
  type PropertyMap,
  type PropertyValue,
  ResourceReference,
  Secret,
  Unknown,
} from "./values.ts";

const SECRET_WORD = "[secret]";
const UNKNOWN_WORD = "[unknown]";

/** As part of an output, a shorter one says nothing of where it came from: "postgres" would make secrets of image names. */
const SHORTEST_ECHO = 9;

/** A text of more lines is a program or a page, whose short lines ("pass", "start") are words of any sentence. */
const FEW_LINES = 20;

/** Of a text of this length, in characters, it is remembered that nothing was found in it; not of a command's long output, which comes once. */
const REMEMBERED = { least: 1000, most: 100_000 };
/** How many are remembered: whoever follows a log for days must not fill the memory. */
const MOST_REMEMBERED = 500;

const LONG_WORD = /[\w+/-]{16,}/g;

/** Commits and sha256 sums: errors are about them, and whoever has one learns nothing from it. */
const CHECKSUM = /^([0-9a-f]{40}|[0-9a-f]{64})$/;

/** What makes the name of one thing another than its neighbour's, as an abbreviated commit does: too short to be a key. */
const NAME_ENDING = /-[0-9a-f]{8}$/;

/** An id that other resources have too: made a secret where they show it, it would change all that leans on them. */
const ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Whether a word changes between small, great and digits as often as random ones do, and names hardly ever. */
function looksRandom(word: string): boolean {
  if (CHECKSUM.test(word)) return false;
  const named = word.replace(NAME_ENDING, "");
  const turns = named.match(/[a-z](?=[A-Z\d])|[A-Z](?=\d)|\d(?=[a-zA-Z])/g)?.length ?? 0;
  return turns >= 4 && turns >= named.length / 5;
}

/**
 * Where a docker.Image keeps its inputs once more, marked as a whole: what is secret in them is marked where they stand first,
 * and the rest (a folder's name, a platform) would blot out ordinary words.
 */
const REPEATED_INPUTS = "__inputs";

/** What a connection shows of itself even when the whole of it is marked secret: without it no error could say where. */
const PLAIN_IN_CONNECTION = new Set([
  "host",
  "port",
  "user",
  "hostKey",
  "agentSocketPath",
  "dialErrorLimit",
  "perDialTimeout",
]);

/** The properties as plain JSON for events and displays: nothing of a secret is left in it. */
export function maskForEvent(map: PropertyMap): Record<string, unknown> {
  const masked: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(map)) setKey(masked, key, maskValue(value));
  return masked;
}

export function maskValue(value: PropertyValue): unknown {
  if (value instanceof Secret) return SECRET_WORD;
  if (value instanceof Unknown) return UNKNOWN_WORD;
  if (value instanceof Asset || value instanceof Archive) return encodeAsset(value);
  if (value instanceof ResourceReference) return typeof value.id === "string" ? value.id : value.urn;
  if (Array.isArray(value)) return value.map(maskValue);
  return isMap(value) ? maskForEvent(value) : value;
}

/** The same of a login to a registry of images. */
const PLAIN_IN_LOGIN = new Set(["server", "username"]);

/** Knows the secret texts of a run, and takes them out of any text that is about to be shown. */
export class SecretFilter {
  readonly #secrets = new Set<string>();
  /** Every form of every secret. */
  readonly #texts = new TextSet();
  /** Those that are in no text by chance. */
  readonly #telling = new TextSet();
  /** Long texts without any of them: a step's events show its old and new inputs and outputs, in which each stands several times. */
  readonly #clear = new Set<string>();

  /** Remembers every text inside the secrets of these values. */
  addSecrets(value: PropertyValue): void {
    // A number inside a secret object is a port or a size, and would blot out every other one that looks like it.
    if (value instanceof Secret && typeof value.element === "number") this.addText(String(value.element));
    else if (value instanceof Secret) this.#addInner(value.element);
    else if (Array.isArray(value)) for (const element of value) this.addSecrets(element);
    else if (isMap(value)) {
      for (const [key, element] of Object.entries(value)) if (key !== REPEATED_INPUTS) this.addSecrets(element);
    }
  }

  /**
   * Remembers one secret text: as it is, line by line, as JSON or a URL would write it, and what in it looks like a secret of its
   * own: a command with a token in it is one secret to the engine, and the token is what the command prints.
   */
  addText(secret: string): void {
    if (this.#secrets.has(secret)) return;
    this.#secrets.add(secret);
    this.#clear.clear();
    const all = secret.split(/\r?\n/).map((line) => line.trim());
    const lines = all.length > FEW_LINES ? all.filter((line) => line.length >= SHORTEST_ECHO) : all;
    const tokens = secret.match(LONG_WORD)?.filter(looksRandom) ?? [];
    for (const text of [secret.trim(), ...tokens.filter((token) => !ID.test(token))]) {
      if (text.length >= SHORTEST_ECHO) for (const form of formsOf(text)) this.#telling.add(form);
    }
    for (const text of [secret, secret.trim(), ...lines, ...tokens]) {
      for (const form of formsOf(text)) this.#texts.add(form);
    }
  }

  /** Remembers a secret of the settings: its text, and where that is JSON, every text inside. */
  addSetting(text: string): void {
    this.addText(text);
    if (!/^\s*[[{]/.test(text)) return;
    try {
      this.addSecrets(new Secret(JSON.parse(text) as PropertyValue));
    } catch {
      // It only begins like JSON.
    }
  }

  /** The text with each known secret in it replaced by the word `[secret]`. */
  apply(text: string): string {
    const { least, most } = REMEMBERED;
    if (text.length < least || text.length > most) return this.#texts.replaceIn(text, SECRET_WORD);
    if (this.#clear.has(text)) return text;
    const masked = this.#texts.replaceIn(text, SECRET_WORD);
    if (this.#clear.size >= MOST_REMEMBERED) this.#clear.clear();
    if (masked === text) this.#clear.add(text);
    return masked;
  }

  /** Whether the text holds a known secret that is long enough not to be there by chance. */
  repeats(text: string): boolean {
    return this.#telling.isIn(text);
  }

  /** The same for every string inside a JSON value, keys included. */
  applyDeep<T>(value: T): T {
    return this.#deep(value) as T;
  }

  #deep(value: unknown): unknown {
    if (typeof value === "string") return this.apply(value);
    if (Array.isArray(value)) return value.map((element) => this.#deep(element));
    if (typeof value !== "object" || value === null) return value;
    const object: Record<string, unknown> = {};
    for (const [key, element] of Object.entries(value)) setKey(object, this.apply(key), this.#deep(element));
    return object;
  }

  #addInner(value: PropertyValue): void {
    if (typeof value === "string") this.addText(value);
    else if (value instanceof Secret) this.addSecrets(value);
    else if (value instanceof Asset && "text" in value.source) this.addText(value.source.text);
    else if (Array.isArray(value)) for (const element of value) this.#addInner(element);
    else if (isMap(value)) {
      const plain = plainKeys(value);
      for (const [key, element] of Object.entries(value)) {
        if (!plain?.has(key) || element instanceof Secret) this.#addInner(element);
      }
    }
  }
}

/** The keys of an object that is secret as a whole, but for who and where. Undefined: all of it is. */
function plainKeys(value: PropertyMap): Set<string> | undefined {
  if (Object.hasOwn(value, "host")) return PLAIN_IN_CONNECTION;
  return Object.hasOwn(value, "username") && Object.hasOwn(value, "password") ? PLAIN_IN_LOGIN : undefined;
}

/** How the same text looks inside JSON, inside JSON within JSON, as Go's encoder writes it, and inside a URL. */
function formsOf(text: string): string[] {
  const json = JSON.stringify(text).slice(1, -1);
  const go = json.replace(/[<>&]/g, (c) => `\\u00${c.charCodeAt(0).toString(16)}`);
  return [...new Set([text, json, JSON.stringify(json).slice(1, -1), go, encode(text)])];
}

function encode(text: string): string {
  try {
    return encodeURIComponent(text);
  } catch {
    // A lone surrogate: no URL can hold it.
    return text;
  }
}
