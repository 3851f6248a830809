import { copyFile, link, mkdir, readdir, readFile, rename, rm, stat, unlink } from "node:fs/promises";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { parse as parseYaml } from "yaml";
import { copyBeside, TEMPORARY, writeBeside } from "./files.ts";
import { type Lock, type LockHolder, takeLock } from "./lock.ts";
import { refuseLost } from "./lostState.ts";
import { absent, newestOf, readState, STATE_ENDINGS } from "./stateFile.ts";

export { type Lock, type LockHolder, StackLocked } from "./lock.ts";

const LAYOUT_VERSION = 1;
const STATE_FILE = /^(.+)\.json(?:\.gz|\.zst)?$/;

/** What follows the name of a state in that of a file that is about to be one, or its `.bak`. */
const TEMPORARY_STATE = /^(\.gz|\.zst)?(\.bak)?\.\d+(\.\d+)?\.tmp$/;

export interface StackName {
  project: string;
  stack: string;
}

/** One past update, as Pulumi's history has it; times in seconds since the epoch. */
export interface UpdateRecord {
  kind: "update" | "refresh" | "destroy" | "import" | "resource-import" | "rename";
  startTime: number;
  endTime: number;
  message: string;
  environment: Record<string, string>;
  /** As it stands in the stack's settings: secrets encrypted. */
  config: Record<string, unknown>;
  result: "succeeded" | "failed";
  resourceChanges: Partial<Record<string, number>>;
}

/** Pulumi's file backend: the states of stacks, their locks, history and backups under `<folder>/.pulumi`. */
export class FileStore {
  /** The folder `.pulumi`. */
  readonly root: string;
  /** The file that this object has saved last. */
  #written: string | undefined;

  private constructor(root: string) {
    this.root = root;
  }

  /**
   * The store of a `file://` URL; its folder need not exist yet.
   * @param baseDir what a relative URL (`file://state`, `file://./state`) is relative to
   * @throws when the URL is none of a file, or the folder holds another layout
   */
  static async open(url: string, baseDir: string): Promise<FileStore> {
    const match = /^file:\/\/([^?#]+)/.exec(url);
    if (match === null) {
      throw new Error(
        `The backend "${url}" is not covered by the embedded engine, which keeps state in files (file://<folder>). ` +
          "Use the official CLI for it: --engine pulumi.",
      );
    }
    let path = decodeURIComponent(match[1]!);
    if (/^\/[A-Za-z]:[\\/]/.test(path)) path = path.slice(1);
    const folder = path === "~" || path.startsWith("~/") ? join(homedir(), path.slice(1)) : resolve(baseDir, path);
    const store = new FileStore(join(folder, ".pulumi"));
    await store.#checkLayout();
    return store;
  }

  /**
   * The text of a stack's state, decompressed; undefined: there is no such stack.
   * @throws when there was one, and its file is gone
   */
  async load(name: StackName): Promise<string | undefined> {
    const file = await this.#newest(name);
    if (file !== undefined) return readState(file);
    const history = this.#path("history", name.project, name.stack);
    await refuseLost(this.#base(name), history, await names(history));
    return undefined;
  }

  /** Writes a stack's state; the one before stays beside it as `.bak`. Call it one at a time, under the stack's lock. */
  async save(name: StackName, text: string | Uint8Array): Promise<void> {
    const file = `${this.#base(name)}.json`;
    // A run saves after every step: what it wrote itself needs no looking for.
    const before = this.#written === file ? file : await this.#newest(name);
    if (this.#written === undefined) await this.#writeMeta();
    // Side by side: a step waits for its save, and each call of the file system is a turn of a busy loop.
    await writeBeside(file, text, before === undefined ? undefined : keepBackup(before));
    if (before !== undefined && before !== file) {
      await unlink(before);
      await rm(`${before}.attrs`, { force: true });
    }
    this.#written = file;
  }

  /** All stacks, or those of one project, sorted. */
  async list(project?: string): Promise<StackName[]> {
    const found: StackName[] = [];
    for (const folder of project === undefined ? await names(this.#path("stacks")) : [project]) {
      const stacks = (await names(this.#path("stacks", folder))).map((file) => STATE_FILE.exec(file)?.[1]);
      for (const stack of new Set(stacks)) if (stack !== undefined) found.push({ project: folder, stack });
    }
    return found.sort((a, b) => `${a.project}/${a.stack}`.localeCompare(`${b.project}/${b.stack}`, "en"));
  }

  /**
   * Takes a stack's lock, and sweeps up what a killed writer left.
   * @param onCleared told of each lock that was removed because its process on this machine is dead
   * @throws StackLocked
   */
  async lock(name: StackName, onCleared?: (holder: LockHolder) => void): Promise<Lock> {
    const lock = await takeLock(
      this.#path("locks", "organization", checked(name.project), checked(name.stack)),
      name.stack,
      onCleared,
    );
    await this.#sweep(name);
    return lock;
  }

  /** Runs something under the stack's lock, and gives the lock back whatever comes of it. */
  async withLock<T>(name: StackName, run: () => Promise<T>, onCleared?: (holder: LockHolder) => void): Promise<T> {
    const lock = await this.lock(name, onCleared);
    try {
      return await run();
    } finally {
      await lock.release();
    }
  }

  /** Adds an update, failed ones too, to the history, with a copy of the state as it is now, and a backup of that. */
  async recordUpdate(name: StackName, update: UpdateRecord): Promise<void> {
    const nanoseconds = BigInt(Date.now()) * 1_000_000n + (process.hrtime.bigint() % 1_000_000n);
    const { kind, startTime, message, environment, config, result, endTime, resourceChanges } = update;
    const record = { kind, startTime, message, environment, config, version: 0, result, endTime, resourceChanges };
    const prefix = this.#path("history", name.project, name.stack, `${name.stack}-${nanoseconds}`);
    await writeBeside(`${prefix}.history.json`, JSON.stringify(record, plainIntegers));
    const file = await this.#newest(name);
    if (file === undefined) return;
    const checkpoint = `${prefix}.checkpoint.json`;
    if (file.endsWith(".json")) await copyBeside(file, checkpoint);
    else await writeBeside(checkpoint, (await this.load(name)) ?? "");
    await copyBeside(checkpoint, this.#path("backups", name.project, name.stack, `${name.stack}.${nanoseconds}.json`));
  }

  /** Past updates, the latest first. */
  async history(name: StackName): Promise<UpdateRecord[]> {
    const folder = this.#path("history", checked(name.project), checked(name.stack));
    const files = (await names(folder)).filter((file) => file.endsWith(".history.json")).sort();
    const texts = await Promise.all(files.reverse().map((file) => readFile(join(folder, file), "utf8")));
    return texts.map((text) => JSON.parse(text) as UpdateRecord);
  }

  /** Forgets a stack: its state, `.bak` and history. Its backups stay. */
  async remove(name: StackName): Promise<void> {
    this.#written = undefined;
    for (const ending of STATE_ENDINGS) {
      const file = this.#base(name) + ending;
      // The official CLI keeps a file of attributes beside each of its own.
      for (const end of ["", ".bak", ".attrs", ".bak.attrs"]) await rm(file + end, { force: true });
    }
    await rm(this.#path("history", name.project, name.stack), { recursive: true, force: true });
  }

  /** Gives a stack's history to another name. */
  async moveHistory(from: StackName, to: StackName): Promise<void> {
    const [old, folder] = [from, to].map((name) => this.#path("history", checked(name.project), checked(name.stack)));
    for (const file of await names(old as string)) {
      if (!file.startsWith(`${from.stack}-`)) continue;
      await mkdir(folder as string, { recursive: true });
      await rename(
        join(old as string, file),
        join(folder as string, `${to.stack}-${file.slice(from.stack.length + 1)}`),
      );
    }
    await rm(old as string, { recursive: true, force: true });
  }

  /** Takes a stack's state away; it stays as `.bak`. */
  async retire(name: StackName): Promise<void> {
    this.#written = undefined;
    const file = await this.#newest(name);
    if (file !== undefined) await rename(file, `${file}.bak`);
  }

  /** Where a stack's state lies, for messages. */
  fileOf(name: StackName): string {
    return `${this.#base(name)}.json`;
  }

  /** Removes what a killed writer has left half-written, in every folder that only the holder of the lock writes to. */
  async #sweep({ project, stack }: StackName): Promise<void> {
    const others = { prefixes: [""], end: TEMPORARY };
    const places = [
      { folder: this.#path("stacks", project), prefixes: [`.${stack}.json`, `${stack}.json`], end: TEMPORARY_STATE },
      { folder: this.#path("history", project, stack), ...others },
      { folder: this.#path("backups", project, stack), ...others },
    ];
    for (const { folder, prefixes, end } of places) {
      for (const file of await names(folder)) {
        const half = prefixes.some((prefix) => file.startsWith(prefix) && end.test(file.slice(prefix.length)));
        if (half) await rm(join(folder, file), { force: true });
      }
    }
  }

  #path(...parts: string[]): string {
    return join(this.root, ...parts);
  }

  #base({ project, stack }: StackName): string {
    return this.#path("stacks", checked(project), checked(stack));
  }

  #newest(name: StackName): Promise<string | undefined> {
    return newestOf(STATE_ENDINGS.map((ending) => this.#base(name) + ending));
  }

  async #checkLayout(): Promise<void> {
    const meta = await readFile(this.#path("meta.yaml"), "utf8").catch(absent);
    const version = meta === undefined ? undefined : ((parseYaml(meta) ?? {}) as { version?: unknown }).version;
    const isLegacy = meta === undefined && (await names(this.#path("stacks"))).some((file) => STATE_FILE.test(file));
    if (isLegacy || version === 0) {
      throw new Error(
        `${this.root} has the layout without projects of old releases. Upgrade it once: pulumi state upgrade.`,
      );
    }
    if (meta !== undefined && version !== LAYOUT_VERSION) {
      throw new Error(
        `${this.root} has the layout version ${String(version)}; the embedded engine knows ${LAYOUT_VERSION}. Use the official CLI: --engine pulumi.`,
      );
    }
  }

  async #writeMeta(): Promise<void> {
    const file = this.#path("meta.yaml");
    if ((await stat(file).catch(absent)) === undefined) await writeBeside(file, `version: ${LAYOUT_VERSION}\n`);
  }
}

/** Keeps the file as `.bak` without copying it, where the file system can. */
async function keepBackup(file: string): Promise<void> {
  const temporary = `${file}.bak.${process.pid}.tmp`;
  try {
    await link(file, temporary);
  } catch {
    await rm(temporary, { force: true });
    await copyFile(file, temporary);
  }
  await rename(temporary, `${file}.bak`);
  // Both names of one file, as a kill before the save leaves them: then the renaming has done nothing.
  await unlink(temporary).catch(absent);
}

/** Names come into paths: nothing in them may leave the folder. */
function checked(name: string): string {
  if (/^[A-Za-z0-9_.-]{1,100}$/.test(name) && !/^\.+$/.test(name)) return name;
  throw new Error(`"${name}" is no name of a stack or project: use letters, digits, "-", "_" and ".", 100 at most.`);
}

async function names(folder: string): Promise<string[]> {
  return readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return [];
    throw error;
  });
}

/** Settings hold integers of any size; JSON's writer knows only doubles. */
function plainIntegers(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? Number(value) : value;
}
