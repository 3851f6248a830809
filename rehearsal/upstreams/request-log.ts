import { appendFileSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { dirname } from "node:path";

/** One request, as written when its answer ended or broke. */
export interface LoggedRequest {
  at: string;
  method: string;
  path: string;
  status: number;
  /** Sent over the wire, headers included. */
  bytes: number;
  range?: string;
  /** Whether the client sent credentials; never which. */
  authorized: boolean;
  complete: boolean;
}

/** Bytes at which the log begins anew: it serves tests and a look, not history. */
const limit = 4 << 20;

/** Notes each request in a file, a JSON a line. */
export class RequestLog {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
    mkdirSync(dirname(path), { recursive: true });
  }

  watch(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request;
    const before = socket.bytesWritten;
    response.once("close", () => {
      const entry: LoggedRequest = {
        at: new Date().toISOString(),
        method: request.method ?? "",
        path: request.url ?? "",
        status: response.statusCode,
        bytes: socket.bytesWritten - before,
        range: request.headers.range,
        authorized: request.headers.authorization !== undefined,
        complete: response.writableFinished,
      };
      if (existsSync(this.#path) && statSync(this.#path).size > limit) writeFileSync(this.#path, "");
      appendFileSync(this.#path, `${JSON.stringify(entry)}\n`);
    });
  }
}

/** Every request in a log, oldest first. */
export function readRequestLog(path: string): LoggedRequest[] {
  if (!existsSync(path)) return [];
  const lines = readFileSync(path, "utf8").split("\n").filter(Boolean);
  return lines.map((line) => JSON.parse(line) as LoggedRequest);
}
