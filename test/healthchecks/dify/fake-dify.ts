import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { endsKeptLines } from "../../helpers/faults.ts";
import { password, user } from "../fake-webui.ts";

type Event = Record<string, unknown> & { event: string };
export type Mode = "agent-chat" | "advanced-chat";

/** A stream as the real Dify wrote it, without its times. */
function golden(mode: Mode): Event[] {
  const name = mode === "agent-chat" ? "sse-agent" : "sse-chatflow";
  const text = readFileSync(new URL(`../../golden/dify/${name}.jsonl`, import.meta.url), "utf8");
  return text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Event);
}

export const keys = {
  "agent-chat": "app-agentagentagentagent00",
  "advanced-chat": "app-chatflowchatflowchat0",
} as const;
export const prompt = "a red fox in fresh snow, golden hour, highly detailed, 35mm photo";

/** What a test changes of a chat: the stream's events, the picture's bytes, the answer in place of a stream. */
export interface Lies {
  events?: (events: Event[]) => Event[];
  picture?: (png: Buffer) => Buffer;
  pictureStatus?: number;
  /** Links without a host, as with an empty FILES_URL. */
  relative?: boolean;
  chat?: { status: number; body: unknown };
  info?: { status: number; body: unknown };
  /** Leaves the stream open behind its last event. */
  open?: boolean;
  /** Serves the picture's link by itself. */
  serve?: (response: ServerResponse) => void;
}

/** A Dify whose apps draw with a WebUI, and stream what the real one streamed. */
export class FakeDify {
  lies: Lies = {};
  /** Seeds that the tool draws with, one a picture. */
  seed = 1000;
  size = 64;
  readonly #webui: string;
  readonly #pictures = new Map<string, Buffer>();
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;

  constructor(webui: string) {
    this.#webui = webui;
    this.#server = createServer((request, response) => {
      this.#serve(request, response).catch((error: unknown) => response.destroy(error as Error));
    });
    endsKeptLines(this.#server).on("connection", (socket) => {
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
    });
  }

  async start(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return this;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = new URL(request.url ?? "/", "http://fake").pathname;
    const json = (status: number, body: unknown) => {
      response.writeHead(status, { "content-type": "application/json", "x-version": "1.14.2" });
      response.end(JSON.stringify(body));
    };
    if (path.startsWith("/files/tools/")) {
      if (this.lies.serve) return this.lies.serve(response);
      const png = this.#pictures.get(path);
      if (this.lies.pictureStatus || !png) {
        response.writeHead(this.lies.pictureStatus ?? 404).end("Invalid request.");
        return;
      }
      response.writeHead(200, { "content-type": "image/png" }).end(this.lies.picture?.(png) ?? png);
      return;
    }
    const mode = (Object.keys(keys) as Mode[]).find((one) => request.headers.authorization === `Bearer ${keys[one]}`);
    if (!mode) return json(401, { code: "unauthorized", message: "Access token is invalid", status: 401 });
    if (path === "/v1/info") {
      if (this.lies.info) return json(this.lies.info.status, this.lies.info.body);
      return json(200, { name: mode, description: "", tags: [], mode, author_name: "admin" });
    }
    if (path !== "/v1/chat-messages") return json(404, { code: "not_found", message: path, status: 404 });
    if (this.lies.chat) return json(this.lies.chat.status, this.lies.chat.body);
    const url = await this.#draw();
    response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8", "x-version": "1.14.2" });
    const events = JSON.parse(
      JSON.stringify(golden(mode)).replaceAll(/http:\/\/127\.0\.0\.1:15001\/files\/tools\/[\w-]+\.png/g, url),
    ) as Event[];
    response.write("event: ping\n\n");
    for (const event of this.lies.events?.(events) ?? events) response.write(`data: ${JSON.stringify(event)}\n\n`);
    if (!this.lies.open) response.end();
  }

  /** As the tool does it, and the picture's link without its signature. */
  async #draw(): Promise<string> {
    const answer = await fetch(`${this.#webui}/sdapi/v1/txt2img`, {
      method: "POST",
      headers: { authorization: `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}` },
      body: JSON.stringify({
        prompt,
        seed: this.seed++,
        steps: 2,
        width: this.size,
        height: this.size,
        sampler_name: "DPM++ 2M",
      }),
    });
    const { images } = (await answer.json()) as { images: string[] };
    const path = `/files/tools/${this.#pictures.size}.png`;
    this.#pictures.set(path, Buffer.from(images[0] ?? "", "base64"));
    return this.lies.relative ? path : `${this.url}${path}`;
  }
}
