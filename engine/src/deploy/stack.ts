import {
  decodeCheckpoint,
  emptySnapshot,
  encodeCheckpoint,
  freshManifest,
  parseState,
  verifyIntegrity,
} from "../checkpoint.ts";
import { settingFaults } from "../configTypes.ts";
import type { OpType } from "../events.ts";
import type { SecretFilter } from "../masking.ts";
import type { EngineOptions, UpdateResult } from "../options.ts";
import { hasSecureValue, loadProject, loadStackSettings, type Project, resolveConfig } from "../project.ts";
import type { Snapshot } from "../resource.ts";
import { PassphraseSecrets } from "../secrets.ts";
import { FileStore, type StackName, type UpdateRecord } from "../store.ts";
import { STACK_TYPE } from "../urn.ts";
import type { PropertyMap } from "../values.ts";
import { cacheDirOr } from "./program/process.ts";

/** Plain values, keys `project:name`. */
export type StackConfig = Record<string, { value: string; secret: boolean }>;

export interface FinishedRun {
  kind: UpdateRecord["kind"];
  result: UpdateResult["result"];
  changes: Partial<Record<OpType, number>>;
  /** Milliseconds since the epoch. */
  started: number;
  message: string;
}

/** A stack opened for one operation: its project and settings at once, its state when asked for. */
export class Stack {
  readonly name: string;
  readonly project: Project;
  readonly config: StackConfig;
  /** What the settings lack of what Pulumi.yaml declares: a program must not run with them. */
  readonly configFaults: string[];
  readonly cacheDir: string;
  readonly #store: FileStore;
  readonly #rawConfig: Record<string, unknown>;
  readonly #secretTexts: string[];
  readonly #unlock: () => Promise<void>;
  readonly #secretsOf: (salt: string | undefined) => Promise<PassphraseSecrets>;
  #secrets: Promise<PassphraseSecrets> | undefined;

  /**
   * Reads project and settings, and takes the lock.
   * @param how `tell` shows a warning: a dead holder's lock was cleared
   * @throws StackLocked; WrongPassphrase; an error that names the file and what is wrong in it
   */
  static async open(
    options: Pick<
      EngineOptions,
      "projectDir" | "stack" | "backend" | "passphrase" | "config" | "secretConfig" | "cacheDir"
    > & { project?: Project | undefined },
    how: { lock: boolean; tell: (message: string) => void },
  ): Promise<Stack> {
    const { project = await loadProject(options.projectDir) } = options;
    const settings = await loadStackSettings(project, options.stack);
    const store = await FileStore.open(options.backend, project.dir);
    const passphrase = once(options.passphrase);
    const opened = new Map<string, Promise<PassphraseSecrets>>();
    const secretsOf = (salt = settings.encryptionSalt): Promise<PassphraseSecrets> => {
      const known = opened.get(salt ?? "");
      if (known !== undefined) return known;
      const made = passphrase().then((text) =>
        salt === undefined ? PassphraseSecrets.create(text) : PassphraseSecrets.open(text, salt),
      );
      made.catch(() => {});
      opened.set(salt ?? "", made);
      return made;
    };
    const secrets = hasSecureValue(settings) && settings.encryptionSalt !== undefined ? await secretsOf() : undefined;
    const resolved = resolveConfig(project, settings, secrets);
    const config: StackConfig = {};
    for (const [key, value] of Object.entries(resolved.values)) {
      config[key] = { value, secret: resolved.secretKeys.includes(key) };
    }
    const { secretTexts } = resolved;
    const override = (key: string, value: string, hidden: boolean): void => {
      const full = key.includes(":") ? key : `${project.name}:${key}`;
      const secret = hidden || (config[full]?.secret ?? false);
      config[full] = { value, secret };
      if (secret) secretTexts.push(value);
    };
    for (const [key, value] of Object.entries(options.config ?? {})) override(key, value, false);
    for (const [key, value] of Object.entries(options.secretConfig ?? {})) override(key, value, true);
    const configFaults = settingFaults(project.name, project.declared, (key) => {
      const setting = config[key];
      const written = settings.config[key];
      // What was written as a list or an object is one; what was given as a text may be the JSON of one.
      const type = project.declared[key]?.type;
      const structured = isStructured(written) || (written === undefined && (type === "array" || type === "object"));
      return setting && { secret: setting.secret, content: structured ? parsed(setting.value) : setting.value };
    });
    const lock = how.lock
      ? await store.lock({ project: project.name, stack: options.stack }, (holder) =>
          how.tell(
            `Cleared the lock of process ${holder.pid}, which no longer runs. It held the stack since ${holder.timestamp}.`,
          ),
        )
      : undefined;
    return new Stack({
      name: options.stack,
      project,
      config,
      configFaults,
      cacheDir: cacheDirOr(options.cacheDir),
      store,
      rawConfig: settings.config,
      secretTexts,
      unlock: async () => lock?.release(),
      secretsOf,
    });
  }

  private constructor(parts: {
    name: string;
    project: Project;
    config: StackConfig;
    configFaults: string[];
    cacheDir: string;
    store: FileStore;
    rawConfig: Record<string, unknown>;
    secretTexts: string[];
    unlock: () => Promise<void>;
    secretsOf: (salt: string | undefined) => Promise<PassphraseSecrets>;
  }) {
    this.name = parts.name;
    this.project = parts.project;
    this.config = parts.config;
    this.configFaults = parts.configFaults;
    this.cacheDir = parts.cacheDir;
    this.#store = parts.store;
    this.#rawConfig = parts.rawConfig;
    this.#secretTexts = parts.secretTexts;
    this.#unlock = parts.unlock;
    this.#secretsOf = parts.secretsOf;
  }

  /** Makes the secrets of the settings known to a filter: each as a whole, and what is secret inside of it. */
  tellSecrets(filter: SecretFilter): void {
    for (const { value, secret } of Object.values(this.config)) if (secret) filter.addText(value);
    for (const text of this.#secretTexts) filter.addSetting(text);
  }

  /** The stack's state; of a stack that is new, an empty one. @throws when it is broken, or its secrets can't be read */
  async load(): Promise<Snapshot> {
    const { state } = await this.loading({ write: false });
    return await state;
  }

  /**
   * The same in two parts: this resolves when the file is read and its key is being made, in a thread of its own, for as long as a
   * program takes to start.
   * @param how with `write`, a new stack's key is made too
   */
  async loading(how: { write: boolean }): Promise<{ state: Promise<Snapshot> }> {
    const text = await this.#store.load(this.#place);
    if (text === undefined && how.write) void this.key();
    // A wrong or missing passphrase is told by the first save.
    this.#secrets?.catch(() => {});
    const state = text === undefined ? Promise.resolve(emptySnapshot()) : this.#decode(text);
    state.catch(() => {});
    return { state };
  }

  async #decode(text: string): Promise<Snapshot> {
    const path = this.#store.fileOf(this.#place);
    const { snapshot, secrets } = await decodeCheckpoint(text, ({ salt }) => this.#secretsOf(salt), path);
    if (secrets !== undefined) this.#secrets = Promise.resolve(secrets);
    verifyIntegrity(snapshot);
    return snapshot;
  }

  /** The state's file as it is, nothing of it looked at; undefined: there is none. @throws when it is no JSON */
  async loadForm(): Promise<Record<string, unknown> | undefined> {
    const text = await this.#store.load(this.#place);
    return text === undefined ? undefined : parseState(text, this.#store.fileOf(this.#place));
  }

  /**
   * A state from elsewhere, as this stack's: its secrets keep their own key, which this stack's passphrase has to open.
   * @throws when it is no state, or its secrets can't be read
   */
  async adopt(text: string): Promise<Snapshot> {
    const { snapshot, secrets } = await decodeCheckpoint(text, ({ salt }) => this.#secretsOf(salt));
    // A state that names no key gets the one that the stack has.
    if (secrets !== undefined) this.#secrets = Promise.resolve(secrets);
    return snapshot;
  }

  /** What decrypts the state's secrets; undefined: it has no key yet. @throws when the passphrase does not open it */
  async decrypter(): Promise<((ciphertext: string) => string) | undefined> {
    await this.load();
    const secrets = await this.#secrets;
    return secrets && ((ciphertext) => secrets.decryptValue(ciphertext));
  }

  /** Past updates, the latest first. */
  history(): Promise<UpdateRecord[]> {
    return this.#store.history(this.#place);
  }

  /**
   * Saves the state under another name, with the history, and forgets the old one, of which `.bak` and the backups stay.
   * @throws when there is a stack of that name
   */
  async rename(to: string, snapshot: Snapshot): Promise<void> {
    const place = { project: this.project.name, stack: to };
    const lock = await this.#store.lock(place);
    try {
      if ((await this.#store.load(place)) !== undefined) throw new Error(`There is a stack "${to}" already.`);
      await this.#write(place, snapshot);
      await this.#store.moveHistory(this.#place, place);
      await this.#store.retire(this.#place);
    } finally {
      await lock.release();
    }
  }

  /**
   * The outputs of another stack of the same backend, secrets marked.
   * @param reference `organization/<project>/<stack>`, or the short name of one of this project
   * @throws when it is not there, or this stack's passphrase does not open it
   */
  async outputsOf(reference: string): Promise<PropertyMap> {
    const place = placeOf(reference, this.project.name);
    const text = await this.#store.load(place);
    if (text === undefined) {
      const known = (await this.#store.list()).map(({ project, stack }) => `organization/${project}/${stack}`);
      throw new Error(
        `There is no stack "${reference}" in this backend. It has: ${known.join(", ") || "none"}. A reference reads ` +
          "organization/<project>/<stack>.",
      );
    }
    try {
      const { snapshot } = await decodeCheckpoint(text, ({ salt }) => this.#secretsOf(salt), this.#store.fileOf(place));
      return snapshot.resources.find((state) => state.type === STACK_TYPE && !state.delete)?.outputs ?? {};
    } catch (error) {
      throw new Error(`The stack "${reference}" can't be read: ${(error as Error).message}`, { cause: error });
    }
  }

  save(snapshot: Snapshot): Promise<void> {
    return this.#write(this.#place, snapshot);
  }

  /** What its state's secrets are encrypted with; of a new stack, made when first asked for. @throws WrongPassphrase */
  key(): Promise<PassphraseSecrets> {
    this.#secrets ??= this.#secretsOf(undefined);
    return this.#secrets;
  }

  async #write(place: StackName, snapshot: Snapshot): Promise<void> {
    const secrets = await this.key();
    const manifest = { ...snapshot.manifest, ...freshManifest(snapshot.manifest.version) };
    const file = encodeCheckpoint({ ...snapshot, manifest }, { ...place, secrets });
    await this.#store.save(place, file);
  }

  /** Notes the run in the history, with a backup of the state. */
  async record({ kind, result, changes, started, message }: FinishedRun): Promise<void> {
    await this.#store.recordUpdate(this.#place, {
      kind,
      startTime: Math.floor(started / 1000),
      endTime: Math.floor(Date.now() / 1000),
      message,
      environment: {},
      config: this.#rawConfig,
      result: result === "succeeded" ? "succeeded" : "failed",
      resourceChanges: changes,
    });
  }

  /** Gives the lock back. */
  close(): Promise<void> {
    return this.#unlock();
  }

  get #place(): StackName {
    return { project: this.project.name, stack: this.name };
  }
}

/** Neither a text nor `{secure: …}`, which stands for one. */
function isStructured(written: unknown): boolean {
  if (typeof written !== "object" || written === null) return false;
  return Array.isArray(written) || !(Object.keys(written).length === 1 && "secure" in written);
}

/** JSON's value, or the text where it is none. */
export function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** @throws when the reference is of another form than the file backend knows */
function placeOf(reference: string, project: string): StackName {
  const parts = reference.split("/");
  const stack = parts.at(-1) ?? "";
  const known =
    parts.length <= 3 && (parts.length === 1 || parts[0] === "organization") && parts.every((part) => part !== "");
  if (!known) {
    throw new Error(
      `"${reference}" is no reference to a stack of this backend. Write organization/<project>/<stack>, or the name of a stack of this project.`,
    );
  }
  return { project: parts.length === 3 ? (parts[1] as string) : project, stack };
}

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => {
    made ??= make();
    return made;
  };
}
