import { openSync, read, statSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { parseArgs } from "node:util";

/**
 * A file server of limited rate, as a process of its own: `node server.ts --file f --sha256 h --rate bytes/s [--dies bytes]`.
 * All of its connections share the rate. It answers any path with the file, with ranges, and with the headers of a Hugging Face hub; `/sent` with the bytes sent so far.
 * `--dies`: after so many bytes it goes away. Prints its port; ends when its standard input does.
 */
const { values } = parseArgs({
  options: {
    file: { type: "string", default: "" },
    sha256: { type: "string", default: "" },
    rate: { type: "string", default: "0" },
    dies: { type: "string", default: "0" },
    host: { type: "string", default: "127.0.0.1" },
  },
});
const file = openSync(values.file, "r");
const size = statSync(values.file).size;
const rate = Number(values.rate);
const dies = Number(values.dies) || Number.POSITIVE_INFINITY;
const BLOCK = 65536;

let sent = 0;
let free = 0;
let before = process.hrtime.bigint();
const waiting: { bytes: number; go: () => void }[] = [];
const refill = () => {
  const now = process.hrtime.bigint();
  // No more than a tenth of a second may gather while nobody asks.
  free = Math.min(free + (Number(now - before) / 1e9) * rate, rate / 10);
  before = now;
};
setInterval(() => {
  refill();
  while (free > 0) {
    const next = waiting.shift();
    if (!next) break;
    free -= next.bytes;
    next.go();
  }
}, 5);

/** Until so many bytes may be sent; in the order of asking, so that a single connection can have the whole rate. */
async function turn(bytes: number): Promise<void> {
  refill();
  if (free > 0 && waiting.length === 0) free -= bytes;
  else await new Promise<void>((go) => waiting.push({ bytes, go }));
}

const readAt = (at: number, length: number) =>
  new Promise<Buffer>((resolve, reject) => {
    read(file, Buffer.allocUnsafe(length), 0, length, at, (error, count, buffer) =>
      error ? reject(error) : resolve(buffer.subarray(0, count)),
    );
  });

const drained = (response: ServerResponse) =>
  new Promise<void>((resolve) => {
    const done = () => {
      response.off("drain", done).off("close", done);
      resolve();
    };
    response.on("drain", done).on("close", done);
  });

async function send(response: ServerResponse, from: number, end: number): Promise<void> {
  for (let at = from; at < end && !response.destroyed; ) {
    const length = Math.min(BLOCK, end - at);
    await turn(length);
    const block = await readAt(at, length);
    at += block.length;
    sent += block.length;
    if (sent > dies) process.exit(0);
    if (!response.write(block)) await drained(response);
  }
  response.end();
}

const server = createServer((request, response) => {
  if (request.url === "/sent") return void response.end(String(sent));
  request.socket.setNoDelay(true);
  const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "") ?? [];
  const from = Number(first ?? 0);
  const end = last ? Math.min(Number(last) + 1, size) : size;
  response.writeHead(first === undefined ? 200 : 206, {
    "content-type": "application/octet-stream",
    "content-length": end - from,
    ...(first === undefined ? {} : { "content-range": `bytes ${from}-${end - 1}/${size}` }),
    "accept-ranges": "bytes",
    etag: `"${values.sha256}"`,
    "x-repo-commit": "0".repeat(40),
  });
  if (request.method === "HEAD") response.end();
  else send(response, from, end).catch(() => response.destroy());
});
server.listen(0, values.host, () => process.stdout.write(`${(server.address() as AddressInfo).port}\n`));
process.stdin.on("end", () => process.exit(0));
process.stdin.resume();
