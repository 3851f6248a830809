import { type FSWatcher, readdirSync, readFileSync, readlinkSync, watch } from "node:fs";
import { join } from "node:path";

/** A secret that was seen where none may be. */
export interface Catch {
  /** The secret's name. */
  mark: string;
  where: string;
}

/** How often processes and folders are looked through: shorter than a shell takes to start. */
const LOOK_MS = 10;

/**
 * Searches for marked secrets: in texts, in folders, in the arguments and environments of processes while they run, and in every
 * file that comes and goes in a folder.
 */
export class Net {
  /** Each one once for a place. */
  readonly #catches = new Map<string, Catch>();
  readonly #marks: [name: string, forms: Buffer[]][];
  readonly #watchers: FSWatcher[] = [];
  readonly #timers: NodeJS.Timeout[] = [];
  /** By process: what was seen of it already. */
  readonly #seen = new Map<string, string>();
  /** What was looked at at all: a search that found nothing because it read nothing proves nothing. */
  readonly looked = { files: 0, processes: new Set<string>(), bytes: 0 };

  /** @param marks by name, texts that are nowhere by chance */
  constructor(marks: Record<string, string>) {
    this.#marks = Object.entries(marks).map(([name, text]) => [name, [Buffer.from(text), ...base64Of(text)]]);
  }

  get catches(): Catch[] {
    return [...this.#catches.values()];
  }

  text(where: string, text: string | Buffer): void {
    const bytes = typeof text === "string" ? Buffer.from(text) : text;
    this.looked.bytes += bytes.length;
    for (const [mark, forms] of this.#marks) {
      if (forms.some((form) => bytes.includes(form))) this.#catches.set(`${mark} ${where}`, { mark, where });
    }
  }

  /** Every file below a folder, links not followed. */
  folder(folder: string, leaveOut: (path: string) => boolean = () => false): void {
    for (const entry of list(folder)) {
      const path = join(folder, entry.name);
      if (leaveOut(path)) continue;
      this.text(`the name of ${path}`, entry.name);
      if (entry.isDirectory()) this.folder(path, leaveOut);
      else if (entry.isFile()) this.#file(path);
    }
  }

  /**
   * Every file that comes into a folder, however short its life, from now on.
   * @param every how often the whole folder is looked through besides, in milliseconds
   */
  watchFolder(folder: string, every = LOOK_MS * 10): void {
    const look = () => this.folder(folder);
    this.#watchers.push(
      watch(folder, { recursive: true }, (_, name) => {
        if (name !== null) this.#file(join(folder, name));
      }),
    );
    this.#timers.push(setInterval(look, every));
  }

  /** Arguments and environment of everything that runs below a process, from now on. */
  watchProcesses(root: number): void {
    const timer = setInterval(() => {
      if (read(`/proc/${root}/stat`) === undefined) clearInterval(timer);
      else this.#processes(root);
    }, LOOK_MS);
    this.#timers.push(timer);
  }

  /** Looks a last time. */
  stop(): void {
    for (const watcher of this.#watchers.splice(0)) watcher.close();
    for (const timer of this.#timers.splice(0)) clearInterval(timer);
  }

  #file(path: string): void {
    const bytes = read(path);
    if (bytes === undefined) return;
    this.looked.files++;
    this.text(path, bytes);
  }

  #processes(root: number): void {
    for (const pid of below(root)) {
      const cmdline = read(`/proc/${pid}/cmdline`)?.toString() ?? "";
      // Before its exec a child is its parent, and is looked at again after it.
      if (cmdline === "" || this.#seen.get(pid) === cmdline) continue;
      this.#seen.set(pid, cmdline);
      // Before whose it is: an exec between the two would make it the parent's.
      const environment = read(`/proc/${pid}/environ`) ?? "";
      const program = programOf(pid);
      this.looked.processes.add(program);
      this.text(`arguments of ${program}`, cmdline);
      this.text(`environment of ${program}`, environment);
    }
  }
}

/** Every process below one, itself too. */
export function below(root: number): string[] {
  const all = (pid: string): string[] => {
    const threads = list(`/proc/${pid}/task`).map(
      ({ name }) => read(`/proc/${pid}/task/${name}/children`)?.toString() ?? "",
    );
    return [pid, ...threads.flatMap((children) => children.split(" ").filter((child) => child !== "")).flatMap(all)];
  };
  return all(String(root));
}

/** The program that a process runs; "?": it has ended. */
export const programOf = (pid: string): string => attempt(() => readlinkSync(`/proc/${pid}/exe`)) ?? "?";

// Files and processes end while they are looked at.
function attempt<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch {
    return undefined;
  }
}
const read = (path: string) => attempt(() => readFileSync(path));
const list = (folder: string) => attempt(() => readdirSync(folder, { withFileTypes: true })) ?? [];

/** The text inside a base64 text, at each of the three places it can have to the groups of three bytes. */
function base64Of(text: string): Buffer[] {
  return [0, 1, 2].map((before) => {
    const whole = Buffer.concat([Buffer.alloc(before), Buffer.from(text)]).toString("base64");
    // What a neighbour's bits are part of is left out on both sides.
    return Buffer.from(whole.slice(before === 0 ? 0 : before + 1, -4));
  });
}
