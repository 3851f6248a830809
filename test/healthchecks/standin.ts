import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort, waitForPort } from "../../rehearsal/lib/ports.ts";
import { ckpt, safetensors } from "../../rehearsal/upstreams/checkpoints.ts";
import { tokenizerFiles } from "../../rehearsal/upstreams/tokenizer.ts";
import { PATIENCE_MS } from "../helpers/until.ts";
import { python } from "../rehearsal/standin.ts";
import { modelFile, password, user } from "./fake-webui.ts";

const root = join(import.meta.dirname, "..", "..");
/** A Python that can run the stand-in WebUI, or the reason why this machine has none. */
export function standinPython(): { python: string } | { missing: string } {
  const { path, missing } = python();
  return missing === undefined ? { python: path } : { missing };
}

const model = safetensors("proof");
export const standinModel = { file: modelFile, sha256: createHash("sha256").update(model).digest("hex") };

/** The stand-in WebUI of the rehearsal, as a service starts it, in a folder of its own. */
export class Standin {
  readonly folder = mkdtempSync(join(tmpdir(), "atelier-standin-"));
  /** More entries of config.json and more launch flags, from the next start on. */
  options: Record<string, unknown> = {};
  flags: string[] = [];
  readonly #python: string;
  #child: ChildProcess | undefined;
  #port = 0;

  constructor(python: string) {
    this.#python = python;
    const webui = join(this.folder, "webui");
    cpSync(join(root, "rehearsal", "webui"), webui, { recursive: true });
    for (const name of ["generative-models", "BLIP", "k-diffusion"]) this.#repository(name, name);
    this.#repository("stablediffusion", "stable-diffusion-stability-ai");
    const models = join(this.folder, "data", "models", "Stable-diffusion");
    mkdirSync(models, { recursive: true });
    writeFileSync(join(models, modelFile), model);
    writeFileSync(join(models, modelFile.replace("safetensors", "ckpt")), ckpt("proof"));
    writeFileSync(join(this.folder, "credentials"), `${user}:${password}`, { mode: 0o600 });
    const hub = join(this.folder, "hf", "hub", "models--openai--clip-vit-large-patch14");
    mkdirSync(join(hub, "refs"), { recursive: true });
    mkdirSync(join(hub, "snapshots", "rev"), { recursive: true });
    writeFileSync(join(hub, "refs", "main"), "rev");
    for (const [name, text] of Object.entries(tokenizerFiles()))
      writeFileSync(join(hub, "snapshots", "rev", name), text);
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Sets the lies; most of them take effect at once, those of the start with the next one. */
  tell(...lies: string[]): void {
    writeFileSync(join(this.folder, "data", "lies"), lies.join(","));
  }

  /**
   * Starts the process, without waiting for anything.
   * @param by `starter`, as our service does; or `launch`, by the WebUI's own launch.py, as people do by hand
   */
  async launch(env: Record<string, string> = {}, by: "starter" | "launch" = "starter"): Promise<void> {
    this.#port = await freePort();
    // As the config step leaves it; a run may have written its own choice over it.
    writeFileSync(
      join(this.folder, "data", "config.json"),
      JSON.stringify({ ...this.options, sd_model_checkpoint: modelFile }),
    );
    const log = openSync(join(this.folder, "log"), "a");
    const credentials = join(this.folder, "credentials");
    const program =
      by === "starter"
        ? [join(root, "scripts", "host", "webui_start.py")]
        : [
            join(this.folder, "webui", "launch.py"),
            "--api-auth",
            `${user}:${password}`,
            "--gradio-auth-path",
            credentials,
          ];
    const flags = [
      "--api",
      "--server-name",
      "127.0.0.1",
      "--port",
      String(this.#port),
      "--data-dir",
      join(this.folder, "data"),
      ...this.flags,
    ];
    this.#child = spawn(this.#python, [...program, ...flags], {
      stdio: ["ignore", log, log],
      env: {
        PATH: process.env.PATH,
        HOME: this.folder,
        HF_HOME: join(this.folder, "hf"),
        HF_HUB_OFFLINE: "1",
        PYTHONPATH: join(root, "rehearsal", "repositories", "CLIP"),
        PYTHONDONTWRITEBYTECODE: "1",
        ATELIER_CREDENTIALS: credentials,
        ATELIER_WEBUI: join(this.folder, "webui"),
        ...env,
      },
    });
  }

  /** Starts, and waits for the port. @throws with the log's end */
  async start(env: Record<string, string> = {}): Promise<void> {
    await this.launch(env);
    if (!(await waitForPort(this.#port, PATIENCE_MS)))
      throw new Error(`the stand-in did not start:\n${this.log().slice(-2000)}`);
  }

  log(): string {
    return readFileSync(join(this.folder, "log"), "utf8");
  }

  async stop(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (!child || child.exitCode !== null) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await ended;
  }

  async remove(): Promise<void> {
    await this.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** A stand-in extension as the sources step lays it: a checkout with a branch and a remote. */
  addExtension(name: string): void {
    const folder = join(this.folder, "data", "extensions", name);
    cpSync(join(root, "rehearsal", "repositories", name), folder, { recursive: true });
    const git = (...words: string[]) => execFileSync("git", ["-C", folder, ...words], { stdio: "pipe" });
    git("init", "-q", "-b", "pinned");
    git("remote", "add", "origin", `https://github.com/rehearsal/${name}.git`);
    git("add", ".");
    git("-c", "user.name=REHEARSAL", "-c", "user.email=rehearsal@localhost", "commit", "-q", "-m", "REHEARSAL");
  }

  #repository(from: string, to: string): void {
    cpSync(join(root, "rehearsal", "repositories", from), join(this.folder, "webui", "repositories", to), {
      recursive: true,
    });
  }
}
