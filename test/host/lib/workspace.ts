import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join, resolve } from "node:path";

export const scripts = resolve(import.meta.dirname, "..", "..", "..", "scripts", "host");

/** A list is a line an item; an item that is a list has tabs between its fields. */
export type Inputs = Record<string, string | number | (string | (string | number)[])[]>;

export interface Answer {
  code: number;
  stdout: string;
  stderr: string;
  /** The JSON on standard output; empty when the step failed. */
  facts: Record<string, unknown>;
}

export interface Options {
  shell?: string[];
  /** Folders before the rest of PATH. */
  path?: string[];
  /** PATH as it is, instead. */
  onlyPath?: string;
  env?: Record<string, string>;
}

/** Inputs as a step reads them: sorted lines, backslash and newline escaped. */
export function render(inputs: Inputs): string {
  const text = (value: Inputs[string]) =>
    Array.isArray(value)
      ? value.map((item) => (Array.isArray(item) ? item.join("\t") : item)).join("\n")
      : String(value);
  return Object.keys(inputs)
    .sort()
    .map(
      (key) =>
        `${key}=${text(inputs[key] ?? "")
          .replaceAll("\\", "\\\\")
          .replaceAll("\n", "\\n")}\n`,
    )
    .join("");
}

export function collect(child: ChildProcess): Promise<Answer> {
  return new Promise((done, fail) => {
    let stdout = "";
    let stderr = "";
    child.stdout?.setEncoding("utf8").on("data", (text) => {
      stdout += text;
    });
    child.stderr?.setEncoding("utf8").on("data", (text) => {
      stderr += text;
    });
    child.on("error", fail);
    child.on("close", (code, signal) => {
      try {
        const facts = stdout.trim().startsWith("{") ? JSON.parse(stdout.trim().split("\n").pop() ?? "{}") : {};
        done({ code: code ?? (signal ? 128 : -1), stdout, stderr, facts });
      } catch (error) {
        fail(new Error(`${(error as Error).message}, in what ended with ${code ?? signal}:\n${stdout}\n${stderr}`));
      }
    });
  });
}

/** A workspace in a temporary folder, with the real scripts in its bin. */
export class Workspace {
  readonly top: string;
  readonly path: string;
  readonly bin: string;
  readonly cache: string;

  /** @param folder where it lies, such as on another disk */
  constructor(cache?: string, folder = tmpdir()) {
    this.top = mkdtempSync(join(folder, "atelier-host-"));
    this.path = join(this.top, "ws");
    this.bin = join(this.path, "bin");
    this.cache = cache ?? join(this.top, "cache");
    mkdirSync(this.path, { recursive: true });
    this.layScripts();
  }

  layScripts(): void {
    cpSync(scripts, this.bin, { recursive: true });
    execFileSync("sh", ["-c", "sha256sum -- *.sh *.py >.laid"], { cwd: this.bin });
  }

  /** Adds a file to bin (or replaces one). */
  script(name: string, text: string): void {
    writeFileSync(join(this.bin, name), text);
  }

  /** A folder of commands to stand before the real ones. */
  commands(files: Record<string, string>): string {
    const folder = mkdtempSync(join(this.top, "commands-"));
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text, { mode: 0o755 });
    return folder;
  }

  /** A PATH with all that this machine's has, but these. */
  programsBut(...names: string[]): string {
    const folder = mkdtempSync(join(this.top, "programs-"));
    // By names, not by what is there: a link in /usr/bin may lead nowhere.
    const left = new Set(names);
    for (const from of (process.env.PATH ?? "").split(delimiter).filter((path) => existsSync(path))) {
      for (const name of readdirSync(from).filter((name) => !left.has(name))) {
        symlinkSync(join(from, name), join(folder, name));
        left.add(name);
      }
    }
    return folder;
  }

  stdin(inputs: Inputs): string {
    return render({ atelier: 1, script: "0", token: "t", workspace: this.path, cache: this.cache, ...inputs });
  }

  /** Starts `sh bin/<script> <verb>` as an SSH server would: with next to nothing in its environment. */
  start(
    script: string,
    verb: string,
    inputs: Inputs | string,
    { shell = ["sh"], path = [], onlyPath, env }: Options = {},
  ) {
    const child = spawn(shell[0] as string, [...shell.slice(1), join(this.bin, script), verb], {
      env: { PATH: onlyPath ?? [...path, process.env.PATH].join(delimiter), HOME: join(this.top, "home"), ...env },
      cwd: "/",
      stdio: ["pipe", "pipe", "pipe"],
    });
    child.stdin.on("error", () => undefined);
    child.stdin.end(typeof inputs === "string" ? inputs : this.stdin(inputs));
    return child;
  }

  run(script: string, verb: string, inputs: Inputs | string, options?: Options): Promise<Answer> {
    return collect(this.start(script, verb, inputs, options));
  }

  file(...path: string[]): string {
    return readFileSync(join(this.path, ...path), "utf8");
  }

  /** Ends what the tests' services and jobs left, then the folder. */
  destroy(): void {
    for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
      try {
        if (readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(this.path)) process.kill(Number(pid), "SIGKILL");
      } catch {
        // It ended by itself.
      }
    }
    rmSync(this.top, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** Kept between the tests of one machine, so that packages are downloaded once. */
export const sharedCache = join(tmpdir(), "atelier-host-tests-cache");
