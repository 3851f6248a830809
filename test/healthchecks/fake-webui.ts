import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { crc32 } from "node:zlib";
import { PNG } from "pngjs";
import { keepLines } from "../../rehearsal/lib/lines.ts";

export const user = "atelier";
export const password = "Kq7-right_password";
export const modelFile = "v1-5-pruned-emaonly.safetensors";

type Json = Record<string, unknown>;

/** The real WebUI's recorded answers. */
export function golden(name: string): string {
  return readFileSync(new URL(`../golden/webui/${name}.json`, import.meta.url), "utf8");
}

export const modelSha256: string = JSON.parse(golden("sd-models"))[0].sha256;

export interface Reply {
  status?: number;
  body: unknown;
  headers?: Record<string, string[] | string>;
}

/**
 * Replaces the honest answer of `METHOD /path` (without query), under /sdapi only for those with the password.
 * Nothing returned: the honest one after all.
 */
export type Lie = (request: { json: Json; honest: () => Reply; call: number }) => Reply | "hang" | "cut" | undefined;

/**
 * A WebUI that answers as the recorded one did, and draws noise that depends on seed and prompt. A test
 * replaces single answers by lies.
 */
export class FakeWebui {
  readonly lies: Record<string, Lie> = {};
  /** Calls that ask for no password. */
  readonly open = new Set<string>();
  anyPassword = false;
  /** What a picture waits for. */
  held: Promise<void> = Promise.resolve();
  readonly seen: { at: number; name: string }[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;
  readonly #calls: Record<string, number> = {};

  constructor() {
    this.#server = createServer((request, response) => void this.#serve(request, response));
    keepLines(this.#server).on("connection", (socket) => {
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
    });
  }

  async start(port = 0): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(port, "127.0.0.1", resolve));
    return this;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString();
    const path = new URL(request.url ?? "/", "http://fake").pathname;
    const name = `${request.method} ${path}`;
    const basic =
      (this.anyPassword && request.headers.authorization !== undefined) ||
      request.headers.authorization === `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
    const authorised = path.startsWith("/sdapi/") ? basic : (request.headers.cookie ?? "").includes("access-token=yes");
    this.seen.push({ at: performance.now(), name });
    const call = (this.#calls[name] ?? 0) + 1;
    this.#calls[name] = call;
    const json: Json = text.startsWith("{") ? JSON.parse(text) : { form: text };
    const honest = (open: boolean): Reply => answer(name, path, json, open);
    const lie = path.startsWith("/sdapi/") && !authorised ? undefined : this.lies[name];
    const reply = lie?.({ json, honest: () => honest(true), call }) ?? honest(authorised || this.open.has(name));
    if (reply === "hang") return;
    if (reply === "cut") return void request.socket.destroy();
    if (name.endsWith("2img")) await this.held;
    const body = typeof reply.body === "string" ? reply.body : JSON.stringify(reply.body);
    response.writeHead(reply.status ?? 200, { "content-type": "application/json", ...reply.headers });
    response.end(body);
  }
}

function answer(name: string, path: string, json: Json, authorised: boolean): Reply {
  const notFound = { status: 404, body: { detail: "Not Found" } };
  if (path.startsWith("/sdapi/v1/")) {
    const known = routes[name] ?? (gets.has(name) ? () => ({ body: [] }) : undefined);
    if (!known) return notFound;
    if (!authorised)
      return { status: 401, body: { error: "HTTPException", detail: "Not authenticated", body: "", errors: "" } };
    return known(json);
  }
  if (name === "POST /login") {
    const good = json.form === new URLSearchParams({ username: user, password }).toString();
    if (!good) return { status: 400, body: { detail: "Incorrect credentials." } };
    return { body: { success: true }, headers: { "set-cookie": ["access-token=yes; HttpOnly; Path=/", "other=1"] } };
  }
  // The login page, to strangers.
  if (path === "/") return { body: authorised ? page : "<!doctype html><html></html>" };
  if (["/config", "/info"].includes(path) || path.startsWith("/file=")) {
    if (!authorised) return { status: 401, body: { detail: "Not authenticated" } };
    if (page.includes(`${path.slice(1)}?`)) return { body: "/* */" };
    return path.startsWith("/file=")
      ? { status: 404, body: { detail: "File not found" } }
      : { body: { version: "3.41.2" } };
  }
  if (path === "/internal/ping") return { body: {} };
  if (path === "/internal/sysinfo")
    return { body: { Version: "v1.10.1", Commit: "82a973c04367123ae98bd9abdf80d9eda9b910e2" } };
  if (path === "/openapi.json") return { body: golden("openapi") };
  return notFound;
}

/** As the real one writes it: gradio's own, the WebUI's, an extension's, and another server's. */
const page = `<!doctype html><html><head><link rel="stylesheet" href="https://fonts.example/css?a=1&amp;b=2" />
<link rel='stylesheet' href='file=style.css?3.5'><link rel="preload" href="file=nothing.css?1">
<script src="https://cdn.example/x.js"></script><script>window.gradio_config = {};</script>
<script type="text/javascript" src="file=script.js?1.25"></script><script type="module" src="file=extensions-builtin/Lora/javascript/a.mjs?2"></script>
</head></html>`;

const gets = new Set(
  Object.keys(JSON.parse(golden("openapi")).paths as Json)
    .filter((path) => path.startsWith("/sdapi/v1/"))
    .map((path) => `GET ${path}`),
);

const routes: Record<string, (json: Json) => Reply> = {
  "GET /sdapi/v1/options": () => ({ body: golden("options") }),
  "GET /sdapi/v1/sd-models": () => ({ body: golden("sd-models") }),
  "GET /sdapi/v1/samplers": () => ({ body: golden("samplers") }),
  "GET /sdapi/v1/progress": () => ({ body: golden("progress") }),
  "POST /sdapi/v1/interrupt": () => ({ body: {} }),
  "POST /sdapi/v1/options": () => ({ body: null }),
  "POST /sdapi/v1/refresh-checkpoints": () => ({ body: null }),
  "POST /sdapi/v1/png-info": () => ({ body: { info: "" } }),
  "POST /sdapi/v1/txt2img": (json) => drawing(json, noise(json)),
  "POST /sdapi/v1/img2img": (json) => {
    const [init] = (json.init_images ?? []) as string[];
    if (!init) return { status: 404, body: { detail: "Init image not found" } };
    const start = read(init);
    const mask = typeof json.mask === "string" ? read(json.mask) : undefined;
    const drawn = noise(json);
    if (mask) {
      for (let i = 0; i < start.data.length; i += 4) {
        if (mask.data[i] === 0) for (let c = 0; c < 4; c++) drawn.data[i + c] = start.data[i + c]!;
      }
    }
    return drawing(json, drawn);
  },
  "POST /sdapi/v1/extra-single-image": (json) => {
    if (!json.image) return { status: 500, body: { error: "HTTPException", detail: "Invalid encoded image" } };
    const small = read(json.image as string);
    const big = new PNG({ width: small.width * 2, height: small.height * 2 });
    for (let y = 0; y < big.height; y++) {
      for (let x = 0; x < big.width; x++) {
        const from = ((y >> 1) * small.width + (x >> 1)) * 4;
        big.data.set(small.data.subarray(from, from + 4), (y * big.width + x) * 4);
      }
    }
    return { body: { html_info: "", image: PNG.sync.write(big).toString("base64") } };
  },
};

export const read = (base64: string) => PNG.sync.read(Buffer.from(base64, "base64"));

/** The answer that brings a picture, with the text chunk that the WebUI writes. */
export function drawing(json: Json, png: PNG, changes: Json = {}): Reply {
  const asked = String(json.sampler_name ?? "Euler");
  const known = (JSON.parse(golden("samplers")) as { name: string }[]).some(({ name }) => name === asked);
  const info: Json = {
    ...JSON.parse(JSON.parse(golden("txt2img")).info),
    seed: json.seed,
    sampler_name: known ? asked : "DPM++ 2M",
    ...changes,
  };
  const text = `${json.prompt}\nSteps: ${json.steps}, Sampler: ${info.sampler_name}, Schedule type: ${known ? "Automatic" : "Karras"}, CFG scale: 7.0, Seed: ${info.seed}, Size: ${png.width}x${png.height}, Model hash: ${info.sd_model_hash}, Model: ${info.sd_model_name}, Version: v1.10.1`;
  const image = withText(PNG.sync.write(png), "parameters", text).toString("base64");
  return { body: { images: [image], parameters: json, info: JSON.stringify(info) } };
}

/** Noise by seed and prompt. */
export function noise(json: Json): PNG {
  const [width, height] = [Number(json.width ?? 512), Number(json.height ?? 512)];
  const png = new PNG({ width, height });
  let state = (Number(json.seed ?? 0) * 2654435761 + Buffer.byteLength(String(json.prompt)) + 1) >>> 0;
  for (let i = 0; i < png.data.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    png.data[i] = i % 4 === 3 ? 255 : state >>> 24;
  }
  return png;
}

/** Puts a text chunk behind a PNG's header: tEXt, and iTXt for what Latin-1 has not, as the WebUI's library does. */
function withText(bytes: Buffer, keyword: string, text: string): Buffer {
  const latin = Buffer.from(text, "latin1").toString("latin1") === text;
  const body = latin
    ? Buffer.concat([Buffer.from("tEXt"), Buffer.from(`${keyword}\0${text}`, "latin1")])
    : Buffer.from(`iTXt${keyword}\0\0\0\0\0${text}`);
  const chunk = Buffer.alloc(body.length + 8);
  chunk.writeUInt32BE(body.length - 4, 0);
  body.copy(chunk, 4);
  chunk.writeUInt32BE(crc32(body), body.length + 4);
  return Buffer.concat([bytes.subarray(0, 33), chunk, bytes.subarray(33)]);
}
