import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Handler } from "../helpers/faults.ts";
import { Fetcher, type Wanted } from "./lib/fetch.ts";
import { type FileServer, honest, safetensors, serving } from "./lib/server.ts";
import { scripts } from "./lib/workspace.ts";

const small = safetensors(1_000_000);
const large = safetensors(20_000_000);
const sha256 = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");

const serve = serving();
/** Says nothing for so long, and is a good server then: one that gets the file itself first, or reads it from a tape. */
const late =
  (content: Buffer, seconds: number): Handler =>
  (request, response) =>
    setTimeout(() => honest(content)(request, response), seconds * 1000);
const silent: Handler = () => undefined;

/** What came over the network, in all; fails where the file did not come. */
async function fetched(content: Buffer, ...from: FileServer[]): Promise<number> {
  const fetcher = new Fetcher();
  try {
    const wanted: Wanted = {
      bytes: content.length,
      sha256: sha256(content),
      urls: from.map(({ base }) => `${base}a`),
    };
    const { code, stderr, stdout } = await fetcher.run(wanted, "own");
    expect(code, stderr).toBe(0);
    expect(sha256(readFileSync(join(fetcher.cache, "sha256", sha256(content))))).toBe(sha256(content));
    return Number(stdout.trim().split("\t").at(-1));
  } finally {
    fetcher.remove();
  }
}

describe("a server that answers late", { concurrent: true }, () => {
  it("brings a small file by its first answer: nobody takes from it what it is about to send", async () => {
    const server = await serve(late(small, 5));
    await fetched(small, server);
    expect(server.asked.length).toBeLessThanOrEqual(2);
  });

  it("brings a large file by few answers", async () => {
    const server = await serve(late(large, 4));
    expect(await fetched(large, server)).toBeLessThan(1.05 * large.length);
    expect(server.asked.length).toBeLessThan(20);
  });

  it("shares a file with one that is as late", async () => {
    const both = [await serve(late(large, 4)), await serve(late(large, 4))];
    await fetched(large, ...both);
    expect(both.flatMap(({ asked }) => asked).length).toBeLessThan(30);
  });

  it("is not given up for one that says nothing at all", async () => {
    const both = [await serve(silent), await serve(late(small, 5))];
    await fetched(small, ...both);
    expect(both[1]?.asked.length).toBeLessThanOrEqual(2);
  });

  it("and one that says nothing is left, where another delivers", async () => {
    // The fetcher's own patience with it is a minute, and would be said.
    const both = [await serve(silent), await serve(honest(large))];
    expect(await fetched(large, ...both)).toBeLessThan(1.05 * large.length);
  });
});

it("an address that does not answer holds up the others of its host for a moment only", () => {
  // A full queue drops what knocks: three such addresses come before the one that is heard.
  const code = `
import socket, fetch_connect
full = [socket.socket() for _ in range(3)]
knocks = []
for sock in full:
    sock.bind(("127.0.0.1", 0))
    sock.listen(0)
    for _ in range(3):
        knock = socket.socket()
        knock.setblocking(False)
        knock.connect_ex(sock.getsockname())
        knocks.append(knock)
heard = socket.socket()
heard.bind(("127.0.0.1", 0))
heard.listen(9)
closed = socket.socket()
closed.bind(("127.0.0.1", 0))
row = lambda sock: (socket.AF_INET, socket.SOCK_STREAM, 6, "", sock.getsockname())
def found(*socks):
    socket.getaddrinfo = lambda *_: [row(sock) for sock in socks]
found(*full, closed, heard)
print(fetch_connect.connect(("many", 1), 600).getpeername() == heard.getsockname())
for socks, wait in (((closed,), 600), (full[:1], 0.1), ((), 1)):
    found(*socks)
    try:
        fetch_connect.connect(("none", 1), wait)
    except OSError as error:
        print(error)
six = (socket.AF_INET6, 1, 6, "", ("::1", 1))
print([one[0] == socket.AF_INET6 for one in fetch_connect.in_turn([six, six, six, row(heard)])])`;
  const { stdout, stderr } = spawnSync("python3", ["-c", code], {
    env: { PATH: process.env.PATH, PYTHONPATH: scripts, PYTHONDONTWRITEBYTECODE: "1" },
    encoding: "utf8",
  });
  expect(stderr).toBe("");
  expect(stdout.trim().split("\n")).toEqual([
    "True",
    "[Errno 111] Connection refused",
    "timed out",
    "none has no address",
    "[True, False, True, True]",
  ]);
});
