import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Machine, never } from "./machine.ts";
import { PROJECT, STACK } from "./model.ts";
import type { SavedState } from "./saved.ts";

/** The file system itself, also where a test has put `mortalFs` in its place. */
const real = process.getBuiltinModule("node:fs/promises");

/** A process number that no machine gives out: a dead holder's. */
const DEAD_PID = 0x7fffffff;

/** A folder of state as one run sees it. When the run is killed it stays as it was at that moment, and the next run gets a copy. */
export class Disk {
  readonly dir: string;
  readonly machine: Machine;
  /** The state as it lies on the disk now. */
  saved: SavedState | undefined;
  readonly #onSave: (state: SavedState, text: string) => void;

  /** @param onSave told of every state that is in the file, at the moment when it is */
  constructor(dir: string, machine: Machine, onSave: (state: SavedState, text: string) => void) {
    this.dir = dir;
    this.machine = machine;
    this.#onSave = onSave;
    mkdirSync(dir, { recursive: true });
    const text = this.text();
    this.saved = text === undefined ? undefined : parse(text);
    mounted.set(dir, this);
  }

  get stateFile(): string {
    return join(this.dir, ".pulumi", "stacks", PROJECT, `${STACK}.json`);
  }

  get locks(): string {
    return join(this.dir, ".pulumi", "locks", "organization", PROJECT, STACK);
  }

  text(): string | undefined {
    return existsSync(this.stateFile) ? readFileSync(this.stateFile, "utf8") : undefined;
  }

  /** Every file with its content, as one text. */
  listing(): string {
    const files = existsSync(this.dir) ? readdirSync(this.dir, { recursive: true, withFileTypes: true }) : [];
    return files
      .filter((file) => file.isFile())
      .map((file) => join(file.parentPath, file.name))
      .sort()
      .map((path) => `${path.slice(this.dir.length)}\n${readFileSync(path, "utf8")}\n`)
      .join("");
  }

  /** Names of files of one kind in the whole folder. */
  files(pattern: RegExp): string[] {
    return readdirSync(this.dir, { recursive: true })
      .map(String)
      .filter((path) => pattern.test(path));
  }

  /** The folder for the run after a kill: what lay there at that moment, its lock that of a process that is gone. */
  copyTo(dir: string): void {
    cpSync(this.dir, dir, { recursive: true });
    const locks = join(dir, this.locks.slice(this.dir.length));
    for (const name of existsSync(locks) ? readdirSync(locks) : []) {
      const path = join(locks, name);
      writeFileSync(path, readFileSync(path, "utf8").replace(`"pid":${process.pid},`, `"pid":${DEAD_PID},`));
    }
  }

  unmount(): void {
    mounted.delete(this.dir);
  }

  /** One call of the file system: a moment of the run, and perhaps its last. */
  async change(path: string, whole: () => Promise<unknown>, half: () => void): Promise<unknown> {
    if (this.machine.dead) return never();
    const torn = this.machine.moment();
    if (torn === 1) half();
    if (torn === 0 || torn === 1) return never();
    const result = await whole();
    if (path === this.stateFile) this.#seen();
    return this.machine.dead ? never() : result;
  }

  #seen(): void {
    const text = this.text();
    if (text === undefined) return;
    this.saved = parse(text);
    this.#onSave(this.saved, text);
  }
}

const mounted = new Map<string, Disk>();

function parse(text: string): SavedState {
  return (JSON.parse(text) as { checkpoint: { latest: SavedState } }).checkpoint.latest;
}

function diskOf(path: unknown): Disk | undefined {
  const dir = typeof path === "string" ? /^.*\/disk-\d+(?=\/|$)/.exec(path)?.[0] : undefined;
  return dir === undefined ? undefined : mounted.get(dir);
}

type Call = (...args: unknown[]) => Promise<unknown>;

/** The file system as the engine gets it: the real one, until its process is killed. */
export function mortalFs(): object {
  const changes = ["writeFile", "rename", "unlink", "rm", "link", "copyFile", "mkdir"] as const;
  const reads = ["readFile", "readdir", "stat"] as const;
  const wrapped: Record<string, Call> = {};
  for (const name of changes) {
    const call = real[name] as unknown as Call;
    wrapped[name] = (...args) => {
      // What a call makes is its last path.
      const path = String(name === "rename" || name === "link" || name === "copyFile" ? args[1] : args[0]);
      const disk = diskOf(path);
      if (disk === undefined) return call(...args);
      const half = (): void => {
        if (name === "writeFile") writeFileSync(path, String(args[1]).slice(0, String(args[1]).length / 2));
      };
      return disk.change(path, () => call(...args), half);
    };
  }
  for (const name of reads) {
    const call = real[name] as unknown as Call;
    wrapped[name] = async (...args) => {
      const disk = diskOf(args[0]);
      if (disk?.machine.dead) return never();
      const result = await call(...args);
      return disk?.machine.dead ? never() : result;
    };
  }
  return { ...real, ...wrapped, default: { ...real, ...wrapped } };
}
