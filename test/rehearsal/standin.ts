import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort } from "../../rehearsal/lib/ports.ts";
import { ckpt, safetensors } from "../../rehearsal/upstreams/checkpoints.ts";
import { tokenizerFiles } from "../../rehearsal/upstreams/tokenizer.ts";
import { PATIENCE_MS } from "../helpers/until.ts";

const root = join(import.meta.dirname, "..", "..");

/** A Python with the packages of a lock, the rehearsal's or another, kept between runs; or why there is none. */
export function python(packages: "rehearsal" | "gate" = "rehearsal"): { path: string; missing?: string } {
  const lock = join(root, "images", "wheels", `${packages}.txt`);
  const name = createHash("sha256").update(readFileSync(lock)).digest("hex").slice(0, 12);
  const venv = join(root, ".atelier", "test", `${packages}-${name}`);
  const path = join(venv, "bin", "python");
  if (existsSync(path)) return { path };
  try {
    execFileSync("python3", ["-c", "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))"], {
      stdio: "pipe",
    });
  } catch {
    return { path, missing: "no python3 of at least 3.10 with venv (package python3-venv)" };
  }
  // Test files run side by side: one makes it, the others wait.
  const lockFolder = `${venv}.lock`;
  mkdirSync(join(venv, ".."), { recursive: true });
  const deadline = Date.now() + 540_000;
  while (!takes(lockFolder)) {
    if (Date.now() > deadline)
      throw new Error(`${lockFolder} is another run's for 9 minutes; remove it if there is none`);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100);
  }
  try {
    if (existsSync(path)) return { path };
    const beside = `${venv}.new`;
    execFileSync("python3", ["-m", "venv", "--clear", beside], { timeout: 540_000 });
    const pip = ["-m", "pip", "install", "--quiet", "--require-hashes", "--only-binary", ":all:", "-r", lock];
    execFileSync(join(beside, "bin", "python"), pip, { timeout: 540_000, stdio: "pipe" });
    renameSync(beside, venv);
    return { path };
  } finally {
    rmSync(lockFolder, { recursive: true });
  }
}

function takes(folder: string): boolean {
  try {
    mkdirSync(folder);
    return true;
  } catch {
    return false;
  }
}

export const login = { user: "atelier", password: "Right-Password_1" };
const basic = (user: string, password: string) => `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;

export interface Answer {
  status: number;
  headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: what the server answers is what the tests are about
  json: any;
  text: string;
}

/** The stand-in WebUI in a folder of its own, laid out and started as on a host. */
export class Standin {
  readonly folder: string;
  readonly checkpoints: string;
  #python: string;
  #child: ChildProcess | undefined;
  port = 0;

  constructor(python: string, folder: string) {
    this.#python = python;
    this.folder = folder;
    this.checkpoints = join(folder, "data", "models", "Stable-diffusion");
    const webui = join(folder, "webui");
    cpSync(join(root, "rehearsal", "webui"), webui, { recursive: true });
    for (const [from, to] of [
      ["stablediffusion", "stable-diffusion-stability-ai"],
      ["generative-models", "generative-models"],
      ["k-diffusion", "k-diffusion"],
      ["BLIP", "BLIP"],
    ] as const) {
      cpSync(join(root, "rehearsal", "repositories", from), join(webui, "repositories", to), { recursive: true });
    }
    this.addCheckpoint("v1-5-pruned-emaonly.safetensors", safetensors("one"));
    this.addCheckpoint("v1-5-pruned-emaonly.ckpt", ckpt("one"));
    this.addCheckpoint("sub/other.safetensors", safetensors("other"));
    this.writeData("config.json", JSON.stringify({ sd_model_checkpoint: "v1-5-pruned-emaonly.safetensors" }));
    writeFileSync(join(folder, "credentials"), `${login.user}:${login.password}\n`, { mode: 0o600 });
    const hub = join(folder, "hf", "hub", "models--openai--clip-vit-large-patch14");
    mkdirSync(join(hub, "refs"), { recursive: true });
    mkdirSync(join(hub, "snapshots", "abc"), { recursive: true });
    writeFileSync(join(hub, "refs", "main"), "abc");
    for (const [file, text] of Object.entries(tokenizerFiles()))
      writeFileSync(join(hub, "snapshots", "abc", file), text);
  }

  addCheckpoint(name: string, content: string | Buffer): string {
    const path = join(this.checkpoints, name);
    mkdirSync(join(path, ".."), { recursive: true });
    writeFileSync(path, content);
    return createHash("sha256").update(content).digest("hex");
  }

  writeData(name: string, text: string): void {
    mkdirSync(join(this.folder, "data"), { recursive: true });
    writeFileSync(join(this.folder, "data", name), text);
  }

  tell(...lies: string[]): void {
    this.writeData("lies", lies.join(","));
  }

  /** Starts the process by the hosts' starter; `own` starts launch.py itself, with no login but what the flags say. */
  async launch(
    options: { flags?: string[]; env?: Record<string, string>; own?: boolean; port?: number } = {},
  ): Promise<void> {
    this.port = options.port ?? (await freePort());
    rmSync(join(this.folder, "log"), { force: true });
    const log = openSync(join(this.folder, "log"), "a");
    const starter = options.own
      ? join(this.folder, "webui", "launch.py")
      : join(root, "scripts", "host", "webui_start.py");
    const flags = ["--api", "--server-name", "127.0.0.1", "--port", String(this.port)]
      .concat(["--data-dir", join(this.folder, "data"), "--skip-torch-cuda-test", "--no-download-sd-model"])
      .concat(["--use-cpu", "all", "--no-half", ...(options.flags ?? [])]);
    this.#child = spawn(this.#python, [starter, ...flags], {
      stdio: ["ignore", log, log],
      cwd: join(this.folder, "webui"),
      env: {
        PATH: process.env.PATH,
        HOME: this.folder,
        HF_HOME: join(this.folder, "hf"),
        HF_HUB_OFFLINE: "1",
        PYTHONPATH: join(root, "rehearsal", "repositories", "CLIP"),
        PYTHONDONTWRITEBYTECODE: "1",
        ATELIER_CREDENTIALS: join(this.folder, "credentials"),
        ATELIER_WEBUI: join(this.folder, "webui"),
        ATELIER_STANDIN_ROUTES_SECONDS: "0.1",
        ATELIER_STANDIN_LOAD_SECONDS: "0.05",
        ATELIER_STANDIN_LINGER_SECONDS: "0.5",
        ...options.env,
      },
    });
  }

  /** Starts, and waits until the log has a line. @throws with the log's end */
  async start(options: Parameters<Standin["launch"]>[0] & { until?: RegExp } = {}): Promise<void> {
    await this.launch(options);
    await this.logged(options.until ?? /Startup time: .*Model loaded in|Model loaded in .*Startup time: /s);
  }

  async logged(line: RegExp): Promise<void> {
    const deadline = Date.now() + PATIENCE_MS;
    while (!line.test(this.log())) {
      if (Date.now() > deadline || this.#child?.exitCode !== null) {
        throw new Error(
          `no ${line} in the stand-in's log (exit code ${this.#child?.exitCode}):\n${this.log().slice(-3000)}`,
        );
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  log(): string {
    return existsSync(join(this.folder, "log")) ? readFileSync(join(this.folder, "log"), "utf8") : "";
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** A call; `body` makes it a POST, `auth: null` leaves the login away. */
  async call(
    path: string,
    options: {
      body?: unknown;
      raw?: string;
      auth?: string | null;
      method?: string;
      headers?: Record<string, string>;
      ms?: number;
    } = {},
  ): Promise<Answer> {
    const { body, raw, auth = basic(login.user, login.password) } = options;
    const text = raw ?? (body === undefined ? undefined : JSON.stringify(body));
    const response = await fetch(this.url + path, {
      method: options.method ?? (text === undefined ? "GET" : "POST"),
      body: text,
      headers: {
        ...(auth ? { authorization: auth } : {}),
        ...(text === undefined ? {} : { "content-type": "application/json" }),
        ...options.headers,
      },
      signal: AbortSignal.timeout(options.ms ?? PATIENCE_MS),
    });
    const answered = await response.text();
    let json: unknown;
    try {
      json = JSON.parse(answered);
    } catch {
      json = undefined;
    }
    return { status: response.status, headers: response.headers, json, text: answered };
  }

  api(name: string, body?: unknown): Promise<Answer> {
    return this.call(`/sdapi/v1/${name}`, body === undefined ? {} : { body });
  }

  /** Its exit code, or the signal that ended it. */
  async ended(ms = PATIENCE_MS): Promise<number | string | null> {
    const child = this.#child;
    if (!child) throw new Error("not started");
    if (child.exitCode !== null || child.signalCode !== null) return child.exitCode ?? child.signalCode;
    return new Promise((resolve, reject) => {
      const deadline = setTimeout(() => reject(new Error(`still runs after ${ms} ms`)), ms);
      child.once("exit", (code, signal) => {
        clearTimeout(deadline);
        resolve(code ?? signal);
      });
    });
  }

  signal(name: NodeJS.Signals): void {
    this.#child?.kill(name);
  }

  async stop(): Promise<void> {
    if (!this.#child) return;
    this.signal("SIGKILL");
    await this.ended();
    this.#child = undefined;
  }
}

export { basic };
