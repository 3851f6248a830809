import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTls } from "node:https";
import type { AddressInfo } from "node:net";
import { afterAll } from "vitest";

export type FileAnswer = (request: IncomingMessage, response: ServerResponse, server: FileServer) => void;

interface Certificate {
  key: string;
  cert: string;
}

/** A file server that can be told to lie. Counts what it was asked. */
export class FileServer {
  readonly asked: { url: string; range?: string; authorization?: string }[] = [];
  base = "";
  private readonly server: Server;
  private readonly scheme: "http" | "https";

  constructor(answer: FileAnswer, tls?: Certificate) {
    const listener = (request: IncomingMessage, response: ServerResponse) => {
      const { range, authorization } = request.headers;
      this.asked.push({ url: request.url ?? "", range, authorization });
      answer(request, response, this);
    };
    this.scheme = tls ? "https" : "http";
    this.server = tls ? createTls(tls, listener) : createServer(listener);
  }

  /** @param port where it was before, after a stop */
  async start(host = "127.0.0.1", port = 0): Promise<string> {
    await new Promise<void>((done) => this.server.listen(port, host, done));
    this.base = `${this.scheme}://${host}:${(this.server.address() as AddressInfo).port}/`;
    return this.base;
  }

  stop(): void {
    this.server.closeAllConnections();
    this.server.close();
  }
}

/** Answers with the content, and with ranges of it, as an honest server does. */
export function honest(content: Buffer, headers: Record<string, string> = {}) {
  return (request: IncomingMessage, response: ServerResponse) => {
    const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "") ?? [];
    const from = Number(first ?? Number.NaN);
    const common = { "content-type": "application/octet-stream", etag: '"1"', "accept-ranges": "bytes", ...headers };
    if (Number.isNaN(from)) {
      response.writeHead(200, { ...common, "content-length": content.length });
      return response.end(content);
    }
    if (from >= content.length) return response.writeHead(416).end();
    const end = last ? Math.min(Number(last) + 1, content.length) : content.length;
    response.writeHead(206, {
      ...common,
      "content-length": end - from,
      "content-range": `bytes ${from}-${end - 1}/${content.length}`,
    });
    return response.end(content.subarray(from, end));
  };
}

/** Starts file servers, which end with the test file, or with the `describe` that it is called in. */
export function serving() {
  const servers: FileServer[] = [];
  afterAll(() => {
    for (const server of servers) server.stop();
  });
  return async (answer: FileAnswer, { host, tls }: { host?: string; tls?: Certificate } = {}): Promise<FileServer> => {
    const server = new FileServer(answer, tls);
    servers.push(server);
    await server.start(host);
    return server;
  };
}

/** A small valid safetensors file with `size` bytes of tensor data. */
export function safetensors(size: number, seed = 1): Buffer {
  const header = Buffer.from(JSON.stringify({ t: { dtype: "U8", shape: [size], data_offsets: [0, size] } }));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  const data = Buffer.alloc(size);
  for (let at = 0, x = seed; at < size; at += 1) {
    x = (x * 1103515245 + 12345) & 0x7fffffff;
    data[at] = x >> 16;
  }
  return Buffer.concat([length, header, data]);
}
