import { createCipheriv, createHash } from "node:crypto";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/** How fast a hub gives its files. */
export interface Limit {
  /** Each connection for itself, or all of a server's together. */
  of: "connection" | "server";
  bytesPerSecond: number;
}

export interface BigModel {
  name: string;
  file: string;
  bytes: number;
  sha256: string;
  sources: { url: string }[];
}

/** As many sources as the catalog has of v1-5: Hugging Face, its mirror and ModelScope. */
const HUBS = 3;

/** Hubs on loopback that have the same two checkpoints, valid safetensors of this size, with ranges. */
export class Hubs {
  readonly models: BigModel[] = [];
  readonly #servers: Server[] = [];
  readonly #contents = new Map<string, Buffer>();

  async start(megabytes: number, limit: Limit | undefined): Promise<void> {
    for (const name of ["bench-one", "bench-two"])
      this.#contents.set(`/${name}.safetensors`, checkpoint(name, megabytes << 20));
    const bases = await Promise.all(Array.from({ length: HUBS }, () => this.#serve(limit)));
    for (const [path, content] of this.#contents) {
      const sha256 = createHash("sha256").update(content).digest("hex");
      const file = path.slice(1);
      const name = file.replace(".safetensors", "");
      this.models.push({
        name,
        file,
        bytes: content.length,
        sha256,
        sources: bases.map((base) => ({ url: base + path })),
      });
    }
  }

  stop(): void {
    for (const server of this.#servers) {
      server.closeAllConnections();
      server.close();
    }
  }

  async #serve(limit: Limit | undefined): Promise<string> {
    const shared = limit?.of === "server" ? new Bucket(limit.bytesPerSecond) : undefined;
    const server = createServer((request, response) => {
      const content = this.#contents.get(request.url ?? "");
      if (!content) return response.writeHead(404).end();
      const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "") ?? [];
      const from = Number(first ?? 0);
      const to = Math.min(Number(last || content.length - 1), content.length - 1);
      const headers = { "content-length": to - from + 1, "accept-ranges": "bytes", etag: '"1"' };
      const range = { "content-range": `bytes ${from}-${to}/${content.length}` };
      response.writeHead(first === undefined ? 200 : 206, first === undefined ? headers : { ...headers, ...range });
      const bucket = shared ?? (limit ? new Bucket(limit.bytesPerSecond) : undefined);
      send(response, content.subarray(from, to + 1), bucket).catch(() => response.destroy());
    });
    this.#servers.push(server);
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }
}

/** Gives time for bytes, in the order in which they were asked for. */
class Bucket {
  readonly #rate: number;
  #free = 0;

  constructor(rate: number) {
    this.#rate = rate;
  }

  async take(bytes: number): Promise<void> {
    const now = performance.now();
    this.#free = Math.max(now, this.#free) + (bytes / this.#rate) * 1000;
    await sleep(this.#free - now);
  }
}

async function send(response: ServerResponse, content: Buffer, bucket: Bucket | undefined): Promise<void> {
  const size = bucket ? 32 << 10 : 1 << 20;
  for (let at = 0; at < content.length && !response.destroyed; at += size) {
    const part = content.subarray(at, at + size);
    await bucket?.take(part.length);
    if (!response.write(part)) await drained(response);
  }
  response.end();
}

/** Also when the other end is gone: then nothing drains any more. */
function drained(response: ServerResponse): Promise<void> {
  return new Promise((done) => {
    const go = () => {
      response.off("drain", go).off("close", go);
      done();
    };
    response.on("drain", go).on("close", go);
  });
}

/** Noise in the form of a checkpoint: the stand-in WebUI reads the form alone. */
function checkpoint(name: string, bytes: number): Buffer {
  const header = JSON.stringify({
    __metadata__: { format: "pt", rehearsal: `REHEARSAL: ${name}, not a model` },
    "model.diffusion_model.out.2.weight": { dtype: "U8", shape: [bytes], data_offsets: [0, bytes] },
  });
  const head = Buffer.from(header.padEnd(Math.ceil(header.length / 8) * 8));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(head.length));
  const key = createHash("sha256").update(name).digest();
  return Buffer.concat([
    length,
    head,
    createCipheriv("aes-256-ctr", key, Buffer.alloc(16)).update(Buffer.alloc(bytes)),
  ]);
}
