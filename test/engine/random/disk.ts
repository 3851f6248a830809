import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Machine, never } from "./machine.ts";
import { PROJECT, STACK } from "./model.ts";
import type { SavedState } from "./saved.ts";

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

  heldLocks(): number {
    return existsSync(this.locks) ? readdirSync(this.locks).filter((name) => name.endsWith(".json")).length : 0;
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

  /** A change of the disk: a moment of the run, and perhaps its last. Nothing else happens while it does. */
  async change<T>(path: string, whole: () => T, half: () => void): Promise<T> {
    if (this.machine.dead) return never();
    await this.machine.wait(2);
    const torn = this.machine.moment();
    if (torn === 1) half();
    if (torn === undefined || torn === 2) {
      const result = whole();
      if (path === this.stateFile) this.#seen();
      if (torn === undefined) return result;
    }
    this.machine.kill();
    return never();
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

type Call = (...args: unknown[]) => unknown;

/** The file system as the engine gets it: the real one, until its process is killed. */
export function mortalFs(): object {
  const real = process.getBuiltinModule("node:fs/promises") as unknown as Record<string, Call>;
  const atOnce = process.getBuiltinModule("node:fs") as unknown as Record<string, Call>;
  const wrapped: Record<string, Call> = {};
  const wrap = (
    name: string,
    on: (disk: Disk, path: string, call: () => unknown, args: unknown[]) => unknown,
  ): void => {
    // What a call changes is its last path.
    const place = name === "rename" || name === "link" || name === "copyFile" ? 1 : 0;
    wrapped[name] = async (...args) => {
      const disk = diskOf(args[place]);
      return disk === undefined
        ? real[name]?.(...args)
        : on(disk, String(args[place]), () => atOnce[`${name}Sync`]?.(...args), args);
    };
  };
  for (const name of ["writeFile", "rename", "unlink", "rm", "link", "copyFile", "mkdir"]) {
    wrap(name, (disk, path, call, args) =>
      disk.change(path, call, () => {
        if (name === "writeFile") writeFileSync(path, String(args[1]).slice(0, String(args[1]).length / 2));
      }),
    );
  }
  for (const name of ["readFile", "readdir", "stat"]) {
    wrap(name, (disk, _path, call) => (disk.machine.dead ? never() : call()));
  }
  return { ...real, ...wrapped, default: { ...real, ...wrapped } };
}
