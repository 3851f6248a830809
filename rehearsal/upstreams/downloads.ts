import { createReadStream } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { Transform } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { revision, type ServedFile } from "./content.ts";
import type { Fault } from "./faults.ts";

/** A part of a file: first and last byte, both included. */
interface Part {
  start: number;
  end: number;
}

/** Whether a hub's path names this file, at any revision: `owner/repo/resolve/main/file`. */
export function isAt(path: string, { repository, file }: ServedFile): boolean {
  if (!path.startsWith(`${repository}/resolve/`)) return false;
  const [, ...rest] = path.slice(`${repository}/resolve/`.length).split("/");
  return rest.join("/") === file;
}

/** The hub's answer: headers of its own, and for large files a redirect to the store. */
export function answerHub(request: IncomingMessage, response: ServerResponse, file: ServedFile, fault?: Fault): void {
  response.setHeader("x-repo-commit", revision);
  if (!file.large || fault) {
    answerFile(request, response, file, fault);
    return;
  }
  response.setHeader("x-linked-size", file.bytes);
  response.setHeader("x-linked-etag", `"${file.sha256}"`);
  response.writeHead(302, {
    location: `http://${request.headers.host}/store/${file.sha256}/${file.file}`,
    "content-length": 0,
  });
  response.end();
}

/** Sends a file or a part of it, or what a fault says instead. */
export function answerFile(request: IncomingMessage, response: ServerResponse, file: ServedFile, fault?: Fault): void {
  if (fault?.status) {
    if (fault.retryAfter !== undefined) response.setHeader("retry-after", fault.retryAfter);
    response.writeHead(fault.status, { "content-type": "text/plain" });
    response.end(`REHEARSAL: ordered to answer ${fault.status}\n`);
    return;
  }
  if (fault?.html) {
    response.writeHead(200, { "content-type": "text/html" });
    response.end("<!doctype html><title>Login</title><p>REHEARSAL: a page instead of the file</p>\n");
    return;
  }
  const etag = `"${file.sha256}"`;
  response.setHeader("etag", etag);
  response.setHeader("content-type", "application/octet-stream");
  if (!fault?.noRanges) response.setHeader("accept-ranges", "bytes");
  const asked = fault?.noRanges ? undefined : readRange(request, file.bytes, etag);
  if (asked === "unsatisfiable") {
    response.writeHead(416, { "content-range": `bytes */${file.bytes}`, "content-length": 0 });
    response.end();
    return;
  }
  const part = asked ?? { start: 0, end: file.bytes - 1 };
  if (asked) response.setHeader("content-range", `bytes ${part.start}-${part.end}/${file.bytes}`);
  response.writeHead(asked ? 206 : 200, { "content-length": part.end - part.start + 1 });
  if (request.method === "HEAD") response.end();
  else send(response, file, part, fault);
}

function send(response: ServerResponse, file: ServedFile, part: Part, fault: Fault | undefined): void {
  const stream = createReadStream(file.path, part);
  stream.once("error", () => response.destroy());
  response.once("close", () => stream.destroy());
  if (fault) stream.pipe(spoil(response, part, fault)).pipe(response);
  else stream.pipe(response);
}

/** Lets bytes through until the fault's place. */
function spoil(response: ServerResponse, part: Part, fault: Fault): Transform {
  let offset = part.start;
  return new Transform({
    async transform(chunk: Buffer, _encoding, done) {
      if (fault.corrupt)
        for (let index = 0; index < chunk.length; index += 4096) chunk[index] = (chunk[index] ?? 0) ^ 0xff;
      const stop = Math.min(fault.cutAt ?? Number.POSITIVE_INFINITY, fault.stallAt ?? Number.POSITIVE_INFINITY);
      if (offset + chunk.length <= stop) {
        if (fault.bytesPerSecond) await sleep((chunk.length / fault.bytesPerSecond) * 1000);
        offset += chunk.length;
        done(null, chunk);
        return;
      }
      this.push(chunk.subarray(0, Math.max(0, stop - offset)));
      // Not calling `done` stalls it; what was pushed first must still reach the wire before a cut.
      if (stop === fault.cutAt) setTimeout(() => response.destroy(), 50);
    },
  });
}

/** The part that a client asks for; undefined is the whole file. */
function readRange(request: IncomingMessage, bytes: number, etag: string): Part | "unsatisfiable" | undefined {
  const [, from, to] = /^bytes=(\d*)-(\d*)$/.exec(request.headers.range ?? "") ?? [];
  if (from === undefined || to === undefined || (from === "" && to === "")) return undefined;
  // Another version than the one that the client has a part of: from the start.
  const condition = request.headers["if-range"];
  if (condition !== undefined && condition !== etag) return undefined;
  const start = from === "" ? Math.max(0, bytes - Number(to)) : Number(from);
  const end = from === "" || to === "" ? bytes - 1 : Math.min(Number(to), bytes - 1);
  return start > end ? "unsatisfiable" : { start, end };
}
