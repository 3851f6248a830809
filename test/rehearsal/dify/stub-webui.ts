import { createServer, type Server } from "node:http";
import { PNG } from "pngjs";
import { freePort } from "../../../rehearsal/lib/ports.ts";

/** A request as it came. */
export interface Seen {
  method: string;
  path: string;
  headers: Record<string, string>;
  body: unknown;
}

/** As little of a WebUI as the SD plugin needs, with a login; it keeps what it was asked. */
export class StubWebui {
  readonly seen: Seen[] = [];
  /** Answers of one path instead of the right ones. */
  readonly instead = new Map<string, { status: number; body: string } | "hang">();
  readonly #server: Server;
  port = 0;

  constructor() {
    this.#server = createServer(async (request, response) => {
      const parts: Buffer[] = [];
      for await (const part of request) parts.push(part as Buffer);
      const text = Buffer.concat(parts).toString("utf8");
      const pairs = request.rawHeaders;
      const headers = Object.fromEntries(
        Array.from({ length: pairs.length / 2 }, (_, at) => [pairs[2 * at], pairs[2 * at + 1]]),
      ) as Record<string, string>;
      const path = request.url ?? "";
      this.seen.push({ method: request.method ?? "", path, headers, body: text ? JSON.parse(text) : null });
      const other = this.instead.get(path);
      if (other === "hang") return;
      if (other) return response.writeHead(other.status).end(other.body);
      if (headers.Authorization !== `Basic ${Buffer.from("sduser:sdpass").toString("base64")}`)
        return response.writeHead(401).end('{"detail": "Incorrect username or password"}');
      const answers: Record<string, () => unknown> = {
        "/sdapi/v1/sd-models": () => [
          { title: "v1-5-pruned-emaonly.safetensors [6ce0161689]", model_name: "v1-5-pruned-emaonly" },
        ],
        "/sdapi/v1/options": () => null,
        "/sdapi/v1/txt2img": () => ({ images: [picture(JSON.parse(text)).toString("base64")] }),
      };
      const answer = answers[path];
      if (!answer) return response.writeHead(404).end("{}");
      response.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify(answer()));
    });
  }

  /** At a port that ends as that of the recording did: masked addresses show their last two characters. */
  async start(host = "127.0.0.1"): Promise<this> {
    do this.port = await freePort();
    while (this.port % 100 !== 60);
    await new Promise<void>((listens) => this.#server.listen(this.port, host, listens));
    return this;
  }

  /** With the login in it, as the tool's `base_url` has it. */
  get url(): string {
    return `http://sduser:sdpass@127.0.0.1:${this.port}`;
  }

  asked(path: string): Seen[] {
    return this.seen.filter((each) => each.path === path);
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((closed) => this.#server.close(closed));
  }
}

function picture({ width, height }: { width: number; height: number }): Buffer {
  const png = new PNG({ width, height });
  for (let at = 0; at < png.data.length; at++) png.data[at] = at % 4 === 3 ? 255 : (at * 31) % 251;
  return PNG.sync.write(png);
}
