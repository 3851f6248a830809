import { createWriteStream, existsSync, mkdirSync, renameSync, rmSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { request, whyFailed } from "../http.ts";
import { hashFile } from "./manifest.ts";

/** Seconds without a byte after which a server is left. */
const stall = 30;
const triesWithoutProgress = 3;

interface Run {
  progress: (bytes: number) => void;
  signal?: AbortSignal;
}

export interface Wanted {
  /** Addresses, best first. */
  urls: string[];
  path: string;
  bytes?: number | undefined;
  sha256?: string | undefined;
}

/**
 * Brings a file to this machine: resumed after a cut, from the next address where one is dead or lies, and held to its length and hash before it gets its name.
 * @param progress is told of bytes as they come; `signal` ends it, and what came stays for the next time
 * @returns its length and sha256, and whether it was there
 * @throws Error with every address and its reason
 */
export async function download(
  { urls, path, bytes, sha256 }: Wanted,
  run: Run,
): Promise<{ bytes: number; sha256: string; here: boolean }> {
  mkdirSync(dirname(path), { recursive: true });
  if (existsSync(path)) {
    const size = statSync(path).size;
    const hash = await hashFile(path);
    if ((bytes ?? size) === size && (sha256 ?? hash) === hash) return { bytes: size, sha256: hash, here: true };
    rmSync(path);
  }
  const part = `${path}.part`;
  const whys: string[] = [];
  for (const url of urls) {
    // Without a hash, what another address began may be another file.
    if (sha256 === undefined) rmSync(part, { force: true });
    try {
      await fetchWhole(url, part, bytes, run);
      const size = statSync(part).size;
      if (bytes !== undefined && size !== bytes) throw new Lie(`it has ${size} bytes; wanted: ${bytes}`);
      const hash = await hashFile(part);
      if (sha256 !== undefined && hash !== sha256) throw new Lie(`its sha256 is ${hash}; wanted: ${sha256}`);
      renameSync(part, path);
      return { bytes: size, sha256: hash, here: false };
    } catch (error) {
      run.signal?.throwIfAborted();
      if (error instanceof Lie) rmSync(part, { force: true });
      whys.push(`  - ${url}: ${whyFailed(error)}`);
    }
  }
  throw new Error(`could not be had. Tried:\n${whys.join("\n") || "  nothing: no address is known"}`);
}

class Lie extends Error {}

async function fetchWhole(url: string, part: string, bytes: number | undefined, run: Run): Promise<void> {
  let barren = 0;
  for (;;) {
    const before = existsSync(part) ? statSync(part).size : 0;
    if (bytes !== undefined && before === bytes) return;
    if (bytes !== undefined && before > bytes) throw new Lie("it is longer than it should be");
    try {
      if (await fetchOnce(url, part, before, run)) return;
    } catch (error) {
      if (run.signal?.aborted || error instanceof Refused || error instanceof Lie || ++barren >= triesWithoutProgress)
        throw error;
    }
    if ((existsSync(part) ? statSync(part).size : 0) > before) barren = 0;
    await sleep(300 * 2 ** barren);
  }
}

class Refused extends Error {}

/** One request; true when the answer came to its end. */
async function fetchOnce(url: string, part: string, from: number, { progress, signal }: Run): Promise<boolean> {
  const range: Record<string, string> = from > 0 ? { range: `bytes=${from}-` } : {};
  // The whole may take hours: the deadline is on silence, below.
  const answer = await request(url, {
    headers: { "accept-encoding": "identity", ...range },
    seconds: 24 * 3600,
    signal,
  });
  if (answer.status >= 500 || answer.status === 429) throw new Error(`HTTP ${answer.status}`);
  if (!answer.ok || !answer.body) throw new Refused(`HTTP ${answer.status}`);
  if (/text\/html/.test(answer.headers.get("content-type") ?? ""))
    throw new Refused("a page instead of the file (a login page of the network?)");
  const resumed = answer.status === 206;
  const body = Readable.fromWeb(answer.body as Parameters<typeof Readable.fromWeb>[0]);
  let silent = setTimeout(() => body.destroy(new Error(`no byte for ${stall} s`)), stall * 1000);
  const watch = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      clearTimeout(silent);
      silent = setTimeout(() => body.destroy(new Error(`no byte for ${stall} s`)), stall * 1000);
      progress(chunk.length);
      done(null, chunk);
    },
  });
  try {
    await pipeline(body, watch, createWriteStream(part, { flags: resumed ? "a" : "w" }), signal ? { signal } : {});
    return true;
  } finally {
    clearTimeout(silent);
  }
}
