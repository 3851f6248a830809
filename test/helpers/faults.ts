import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

export type Handler = (request: IncomingMessage, response: ServerResponse) => void;

/** From where to where a client asks of a file so long. */
export function rangeOf(request: IncomingMessage, length: number): [number, number] {
  const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "") ?? [];
  return [Number(first ?? 0), last ? Number(last) + 1 : length];
}

/** The headers of a good answer; what `send` makes of it is another matter. */
export function begin(request: IncomingMessage, response: ServerResponse, length: number): [number, number] {
  const [from, end] = rangeOf(request, length);
  response.writeHead(request.headers.range ? 206 : 200, {
    "content-type": "application/octet-stream",
    "content-length": end - from,
    "accept-ranges": "bytes",
    ...(request.headers.range ? { "content-range": `bytes ${from}-${end - 1}/${length}` } : {}),
  });
  return [from, end];
}

const status =
  (code: number, headers: Record<string, string> = {}): Handler =>
  (_, response) =>
    response.writeHead(code, headers).end();

/**
 * Servers that do wrong for good, by what they do.
 * @param shorter a file of another length, and `other` one of the same, both served honestly
 */
export const faults = (content: Buffer, shorter: Handler, other: Handler) =>
  ({
    "cuts every answer before its first byte": (request, response) => {
      begin(request, response, content.length);
      response.flushHeaders();
      setTimeout(() => response.destroy(), 20);
    },
    "has a file of another length": shorter,
    "has another file of the same length": other,
    "redirects without end": (request, response) => response.writeHead(302, { location: `${request.url}x` }).end(),
    "answers with a login page": (_, response) =>
      response.writeHead(200, { "content-type": "text/html" }).end("<!doctype html><p>log in"),
    "leads to a login page (a captive portal)": (request, response) =>
      request.url === "/login"
        ? response.writeHead(200, { "content-type": "text/html" }).end("<!doctype html>")
        : response.writeHead(302, { location: "/login" }).end(),
    "answers 403": status(403),
    "answers 404": status(404),
    "answers 429 and asks for an hour": status(429, { "retry-after": "3600" }),
    "answers 503 and asks for an hour": status(503, {
      "retry-after": new Date(Date.now() + 3600_000).toUTCString(),
    }),
    "stalls at 0 B/s": (request, response) => {
      const [from] = begin(request, response, content.length);
      response.write(content.subarray(from, from + 10_000));
    },
  }) satisfies Record<string, Handler>;

export type Fault = keyof ReturnType<typeof faults>;

/** Ends each line under its second request, as Dify's API does where no front stands before it: it drops a line that was idle for 2 s. */
export function endsKeptLines<Kind extends Server>(server: Kind): Kind {
  const used = new WeakSet<Socket>();
  server.prependListener("request", ({ socket }: IncomingMessage) => {
    if (used.has(socket)) socket.destroy();
    used.add(socket);
  });
  return server;
}

/** A key and a certificate for 127.0.0.1 that no authority signed; undefined where there is no openssl. */
export function selfSigned(): { key: string; cert: string } | undefined {
  const folder = mkdtempSync(join(tmpdir(), "atelier-tls-"));
  try {
    const names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"];
    const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
    const files = ["-keyout", join(folder, "key"), "-out", join(folder, "cert")];
    execFileSync("openssl", ["req", "-x509", ...curve, ...names, ...files], { stdio: "ignore" });
    return { key: readFileSync(join(folder, "key"), "utf8"), cert: readFileSync(join(folder, "cert"), "utf8") };
  } catch {
    return undefined;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
