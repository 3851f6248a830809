import { type ChildProcess, spawn } from "node:child_process";
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { Agent, createServer, type IncomingMessage, request, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "../../../rehearsal/lib/ports.ts";
import { until } from "../../helpers/until.ts";
import { scripts } from "./workspace.ts";

export const login = "atelier:Right-Password_1";
export const basic = (words: string) => `Basic ${Buffer.from(words).toString("base64")}`;

export interface Call {
  method?: string;
  headers?: Record<string, string>;
  /** What is not text is sent as JSON. */
  body?: unknown;
  /** null: a stranger. */
  auth?: string | null;
  signal?: AbortSignal;
}

export interface Reply {
  status: number;
  headers: IncomingMessage["headers"];
  text: string;
  // biome-ignore lint/suspicious/noExplicitAny: what the gate answers is what the tests are about
  json: any;
}

/** As Dify's Stable Diffusion tool 0.0.7 calls: the headers of python-requests, and none of a JSON body. */
export const tool = { "user-agent": "python-requests/2.34.2", "accept-encoding": "gzip, deflate", accept: "*/*" };

/** Its txt2img, short of what is of no matter here. `model`: the tool's own parameter, '' where only the credential has one. */
export const toolPicture = (model: string, more: object = {}) => ({
  ...{ prompt: "a cat", negative_prompt: "", seed: -1, steps: 20, width: 512, height: 512 },
  override_settings: { sd_model_checkpoint: model },
  ...{ override_settings_restore_afterwards: true, firstphase_width: 0, firstphase_height: 0, lora: "", model },
  ...more,
});

/** The real gate as a process, before whatever listens on `inner`. */
export class Gate {
  readonly folder = mkdtempSync(join(tmpdir(), "atelier-gate-"));
  readonly webuiLog = join(this.folder, "webui.log");
  port = 0;
  #child: ChildProcess | undefined;
  #said = "";
  #closed = false;
  readonly #python: string;

  constructor(python: string) {
    this.#python = python;
    writeFileSync(join(this.folder, "credentials"), `${login}\n`, { mode: 0o600 });
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  async start(inner: number, more: object = {}, env: Record<string, string> = {}): Promise<void> {
    this.port = await freePort();
    const config = {
      ...{
        listen: "127.0.0.1",
        port: this.port,
        inner_port: inner,
        webui_log: this.webuiLog,
        log: join(this.folder, "gate.log"),
      },
      ...{ credentials: join(this.folder, "credentials"), queue: 2, deadline: 110, interrupt: true, ...more },
    };
    writeFileSync(join(this.folder, "gate.json"), JSON.stringify(config));
    this.#child = spawn(this.#python, [join(scripts, "gate.py"), join(this.folder, "gate.json")], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { PATH: process.env.PATH, PYTHONDONTWRITEBYTECODE: "1", TMPDIR: this.folder, ...env },
    });
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream?.on("data", (data: Buffer) => {
        this.#said += data;
      });
    // Its last words are here by then.
    this.#closed = false;
    this.#child.once("close", () => {
      this.#closed = true;
    });
    await until("the gate listens", () => {
      if (this.#closed) throw new Error(`the gate ended: ${this.#said}`);
      return this.log().includes("listening on");
    });
  }

  /** Its exit code and what it said; for a start that fails. */
  async ended(): Promise<{ code: number | null; said: string }> {
    await until("the gate ended", () => this.#closed);
    return { code: this.#child?.exitCode ?? null, said: this.#said };
  }

  log(): string {
    const path = join(this.folder, "gate.log");
    return existsSync(path) ? readFileSync(path, "utf8") : "";
  }

  /** Adds to the WebUI's log. */
  webuiSays(text: string): void {
    appendFileSync(this.webuiLog, text);
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  call(path: string, call: Call = {}): Promise<Reply> {
    return callTo(this.port, path, call);
  }

  api(name: string, body?: unknown, more: Call = {}): Promise<Reply> {
    return this.call(`/sdapi/v1/${name}`, body === undefined ? more : { body, ...more });
  }

  /** As many as this stand in line. */
  async waiting(count: number): Promise<void> {
    await until(`${count} wait`, async () => (await this.call("/internal/gate")).json.waiting === count);
  }

  async stop(): Promise<void> {
    const child = this.#child;
    if (child && child.exitCode === null && child.signalCode === null) {
      const gone = new Promise((done) => child.once("exit", done));
      child.kill("SIGTERM");
      const late = setTimeout(() => child.kill("SIGKILL"), 8000);
      await gone;
      clearTimeout(late);
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** A request as it is, without what fetch would add. */
export function callTo(
  port: number,
  path: string,
  { method, headers = {}, body, auth = basic(login), signal }: Call,
): Promise<Reply> {
  const data = body === undefined || typeof body === "string" || Buffer.isBuffer(body) ? body : JSON.stringify(body);
  return new Promise((done, fail) => {
    const asked = request(
      {
        ...{ host: "127.0.0.1", port, path, method: method ?? (data === undefined ? "GET" : "POST"), signal },
        agent: new Agent({ keepAlive: false }),
        headers: {
          ...(auth ? { authorization: auth } : {}),
          ...(data === undefined ? {} : { "content-length": String(Buffer.byteLength(data)) }),
          ...headers,
        },
      },
      (answer) => {
        const pieces: Buffer[] = [];
        answer.on("data", (piece: Buffer) => pieces.push(piece));
        answer.on("error", fail);
        answer.on("end", () => {
          const text = Buffer.concat(pieces).toString("utf8");
          let json: unknown;
          try {
            json = JSON.parse(text);
          } catch {
            json = undefined;
          }
          done({ status: answer.statusCode ?? 0, headers: answer.headers, text, json });
        });
      },
    );
    asked.on("error", fail);
    // A connection that became another protocol's: no answer follows.
    asked.on("upgrade", (answer, socket) => {
      socket.destroy();
      done({ status: answer.statusCode ?? 0, headers: answer.headers, text: "", json: undefined });
    });
    asked.end(data);
  });
}

export interface Asked {
  name: string;
  headers: IncomingMessage["headers"];
  // biome-ignore lint/suspicious/noExplicitAny: what the gate sends is what the tests are about
  body: any;
  raw: Buffer;
}

type Answer = { status?: number; json?: unknown; text?: string; headers?: Record<string, string> } | undefined;
export type Handler = (asked: Asked, response: ServerResponse) => Answer | Promise<Answer>;

/** A small WebUI on a port of its own: what it was asked, and the answers that a test gives it. Knows three checkpoints and can be told to hold a picture. */
export class Inner {
  readonly asked: Asked[] = [];
  port = 0;
  set = "v1-5.safetensors [0123456789]";
  /** Files that can't be loaded: it answers 200 and keeps the old one. */
  readonly broken = new Set<string>();
  /** Pictures under way, the oldest first; each is drawn once it is let go. */
  readonly held: { body: Asked["body"]; finish: () => void; interrupted: boolean }[] = [];
  holds = false;
  /** What somebody at its page draws meanwhile: ours then waits behind it. */
  busyWith: string | undefined;
  readonly own: Record<string, Handler> = {};
  readonly #server: Server;

  constructor() {
    this.#server = createServer(async (request, response) => {
      const pieces: Buffer[] = [];
      try {
        for await (const piece of request) pieces.push(piece as Buffer);
      } catch {
        return;
      }
      const raw = Buffer.concat(pieces);
      let body: unknown;
      try {
        body = JSON.parse(raw.toString());
      } catch {
        body = undefined;
      }
      const path = (request.url ?? "").split("?")[0];
      const asked = { name: `${request.method} ${path}`, headers: request.headers, body, raw };
      this.asked.push(asked);
      const handler = this.own[asked.name] ?? this.#usual[asked.name];
      const answer = handler ? await handler(asked, response) : { status: 404, json: { detail: "Not Found" } };
      if (!answer || response.headersSent) return;
      const text = answer.text ?? JSON.stringify(answer.json);
      response.writeHead(answer.status ?? 200, { "content-type": "application/json", ...answer.headers });
      response.end(text);
    });
  }

  async start(): Promise<number> {
    await new Promise<void>((done) => this.#server.listen(this.port, "127.0.0.1", done));
    this.port = (this.#server.address() as AddressInfo).port;
    return this.port;
  }

  async stop(): Promise<void> {
    for (const { finish } of this.held) finish();
    this.#server.closeAllConnections();
    await new Promise((done) => this.#server.close(done));
  }

  /** What was asked of it by this name. */
  of(name: string): Asked[] {
    return this.asked.filter((asked) => asked.name === name);
  }

  /** So many pictures are under way in it. */
  async draws(count: number): Promise<void> {
    await until(`${count} under way`, () => this.held.length === count);
  }

  readonly #models = ["v1-5.safetensors", "v1-5.ckpt", "sub/other.safetensors"].map((name, index) => ({
    title: index === 1 ? name : `${name} [${index}123456789]`,
    model_name: name.replace("/", "_").replace(/\.\w+$/, ""),
    hash: index === 1 ? null : `${index}123456789`,
    sha256: index === 1 ? null : `${index}123456789${"a".repeat(54)}`,
    filename: `/models/${name}`,
    config: null,
  }));

  readonly #draw: Handler = async ({ body }) => {
    const drawing = { body, finish: () => {}, interrupted: false };
    if (this.holds) {
      const held = new Promise<void>((done) => {
        drawing.finish = done;
      });
      this.held.push(drawing);
      await held;
      this.held.splice(this.held.indexOf(drawing), 1);
    }
    return { json: { images: ["aGk="], parameters: body, info: "{}", interrupted: drawing.interrupted } };
  };

  readonly #usual: Record<string, Handler> = {
    "GET /sdapi/v1/sd-models": () => ({ json: this.#models }),
    "GET /sdapi/v1/options": () => ({ json: { sd_model_checkpoint: this.set, samples_format: "png" } }),
    "GET /sdapi/v1/progress": () => {
      const job = this.busyWith ?? (this.held.length ? "scripts_txt2img" : "");
      return { json: { progress: 0, state: { job, sampling_step: 7, sampling_steps: 20 } } };
    },
    "POST /internal/progress": ({ body }) => {
      const active = this.busyWith === undefined && this.held[0]?.body?.force_task_id === body.id_task;
      return { json: { active, queued: !active, completed: false } };
    },
    "POST /sdapi/v1/interrupt": () => {
      const drawing = this.held[0];
      if (drawing) {
        drawing.interrupted = true;
        drawing.finish();
      }
      return { json: {} };
    },
    "POST /sdapi/v1/options": ({ body }) => {
      const wanted = body?.sd_model_checkpoint;
      if (wanted === undefined) return { json: null };
      const model = this.#models.find(({ title }) => title.replace(/ \[.*/, "") === wanted);
      if (!model)
        return {
          status: 500,
          json: { error: "RuntimeError", detail: "", body: "", errors: `model '${wanted}' not found` },
        };
      if (!this.broken.has(wanted)) this.set = model.title;
      return { json: null };
    },
    "POST /sdapi/v1/txt2img": this.#draw,
    "POST /sdapi/v1/img2img": this.#draw,
    "POST /sdapi/v1/extra-single-image": this.#draw,
    "GET /": () => ({ text: "<html>the page</html>", headers: { "content-type": "text/html" } }),
  };
}
