import { createWriteStream, existsSync, mkdirSync, renameSync, rmSync, statSync } from "node:fs";
import { statfs } from "node:fs/promises";
import { dirname } from "node:path";
import { Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";
import type { Response } from "undici";
import { request, whyFailed, withoutLogin } from "../http.ts";
import { hashFile } from "./manifest.ts";
import { isFull, NoRoom, spare } from "./room.ts";

/** Failures of one address, in a row without a byte more than before, and in all. */
const triesWithoutProgress = 3;
const tries = 30;
/** A server that asks for more patience than this, in seconds, is left for the next. */
const patience = 60;

interface Run {
  progress: (bytes: number) => void;
  signal?: AbortSignal;
  /** Seconds without a byte after which a server is left. @default 30 */
  stall?: number;
}

export interface Wanted {
  /** Addresses, best first. */
  urls: string[];
  path: string;
  bytes?: number | undefined;
  sha256?: string | undefined;
  /** What an address wants to be asked with, such as a token. Left behind where it redirects to another host. */
  headers?: ((url: string, signal: AbortSignal) => Promise<Record<string, string>>) | undefined;
}

/**
 * Brings a file to this machine: resumed after a cut, from the next address where one is dead or lies, and held to its length and hash before it gets its name.
 * @param run `progress` is told of bytes as they come; `signal` ends it, and what came stays for the next time
 * @returns its length and sha256, and whether it was there
 * @throws Error with every address and its reason
 */
export async function download(wanted: Wanted, run: Run): Promise<{ bytes: number; sha256: string; here: boolean }> {
  const { urls, path, bytes, sha256 } = wanted;
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
      await fetchWhole(url, part, wanted, run);
      const size = statSync(part).size;
      if (bytes !== undefined && size !== bytes) throw new Lie(`it has ${size} bytes; wanted: ${bytes}`);
      const hash = await hashFile(part);
      if (sha256 !== undefined && hash !== sha256) throw new Lie(`its sha256 is ${hash}; wanted: ${sha256}`);
      renameSync(part, path);
      return { bytes: size, sha256: hash, here: false };
    } catch (error) {
      run.signal?.throwIfAborted();
      if (isFull(error)) throw error;
      if (error instanceof Lie) rmSync(part, { force: true });
      whys.push(`  - ${withoutLogin(url)}: ${whyFailed(error)}`);
    }
  }
  throw new Error(`could not be had. Tried:\n${whys.join("\n") || "  nothing: no address is known"}`);
}

/** What came is not the file: nothing of it is kept. */
class Lie extends Error {}
/** This address is of no use; what another one began may stay. */
class Refused extends Error {}
/** It may answer later. */
class Busy extends Error {
  readonly seconds: number | undefined;
  constructor(message: string, seconds: number | undefined) {
    super(message);
    this.seconds = seconds;
  }
}

const sizeOf = (path: string) => (existsSync(path) ? statSync(path).size : 0);

async function fetchWhole(url: string, part: string, wanted: Wanted, run: Run): Promise<void> {
  const { bytes } = wanted;
  let barren = 0;
  // A server without ranges begins anew each time: only what was never reached before is progress.
  let furthest = sizeOf(part);
  for (let failures = 0; ; ) {
    const before = sizeOf(part);
    if (bytes !== undefined && before === bytes) return;
    if (bytes !== undefined && before > bytes) throw new Lie("it is longer than it should be");
    let wait: number | undefined;
    try {
      await fetchOnce(url, part, before, wanted, run);
      return;
    } catch (error) {
      const final = error instanceof Refused || error instanceof Lie || isFull(error);
      if (run.signal?.aborted || final || isUntrusted(error)) throw error;
      const reached = sizeOf(part);
      // A few bytes before each failure would go on for hours.
      if (reached - furthest > Math.min(1 << 20, (bytes ?? 0) / 20)) barren = 0;
      furthest = Math.max(furthest, reached);
      if (++barren >= triesWithoutProgress || ++failures >= tries) throw error;
      if (error instanceof Busy) wait = error.seconds;
    }
    await sleep(wait === undefined ? 300 * 2 ** barren : wait * 1000, undefined, { signal: run.signal });
  }
}

/** A certificate does not become better by asking again. */
const isUntrusted = (error: unknown): boolean =>
  /CERT|SIGNATURE|SELF_SIGNED/.test(String((error as { cause?: { code?: string } }).cause?.code ?? ""));

/** One request, until the answer came to its end. */
async function fetchOnce(url: string, part: string, from: number, wanted: Wanted, run: Run): Promise<void> {
  const { bytes } = wanted;
  const { progress, signal, stall = 30 } = run;
  const range: Record<string, string> = from > 0 ? { range: `bytes=${from}-` } : {};
  // The whole may take hours: the deadline is on silence.
  const silence = new AbortController();
  const silent = () => silence.abort(new Error(`it said nothing for ${stall} s`));
  let timer = setTimeout(silent, stall * 1000);
  const heard = () => {
    clearTimeout(timer);
    timer = setTimeout(silent, stall * 1000);
  };
  const signals = signal ? AbortSignal.any([signal, silence.signal]) : silence.signal;
  try {
    const answer = await request(url, {
      headers: { "accept-encoding": "identity", ...range, ...(await wanted.headers?.(url, signals)) },
      seconds: 24 * 3600,
      signal: signals,
    });
    heard();
    const { whole, resumed } = await judge(answer, url, from, bytes);
    if (whole !== undefined) await room(part, whole - (resumed ? from : 0));
    let at = resumed ? from : 0;
    const watch = new Transform({
      transform(chunk: Buffer, _encoding, done) {
        heard();
        at += chunk.length;
        progress(chunk.length);
        done(bytes !== undefined && at > bytes ? new Lie(`it sends more than ${bytes} bytes`) : null, chunk);
      },
    });
    const body = Readable.fromWeb(answer.body as Parameters<typeof Readable.fromWeb>[0]);
    await pipeline(body, watch, createWriteStream(part, { flags: resumed ? "a" : "w" }), { signal: signals });
  } catch (error) {
    throw silence.signal.aborted && !signal?.aborted ? silence.signal.reason : error;
  } finally {
    clearTimeout(timer);
  }
}

/** What an answer's head says of the file; throws where it can't be the one that is wanted. */
async function judge(answer: Response, url: string, from: number, bytes: number | undefined) {
  const { status, headers } = answer;
  const refuse = async (error: Error): Promise<never> => {
    // Else its connection would be kept for nothing.
    await answer.body?.cancel().catch(() => {});
    throw error;
  };
  if (status >= 500 || status === 429 || status === 408) {
    const seconds = retryAfter(headers.get("retry-after"));
    if (seconds !== undefined && seconds > patience)
      return refuse(new Refused(`HTTP ${status}: it asks to come back in ${Math.round(seconds)} s`));
    return refuse(new Busy(`HTTP ${status}`, seconds));
  }
  if (status === 416) return refuse(new Lie(`it has no bytes from ${from} on`));
  const page = /^(.*)\/resolve\//.exec(withoutLogin(url))?.[1];
  if ((status === 401 || status === 403) && page)
    return refuse(
      new Refused(`HTTP ${status}: it wants a token, or its licence accepted at ${page} (atelier:huggingfaceToken)`),
    );
  if (!answer.ok || !answer.body) return refuse(new Refused(`HTTP ${status}`));
  if (/text\/html/.test(headers.get("content-type") ?? ""))
    return refuse(new Refused("a page instead of the file (a login page of the network?)"));
  const [, first, total] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(headers.get("content-range") ?? "") ?? [];
  if (status === 206 && Number(first) !== from)
    return refuse(new Refused(`asked for bytes from ${from}, it answers with ${headers.get("content-range")}`));
  const length = status === 206 ? total : headers.get("content-length");
  const whole = length === null || length === undefined || length === "*" ? undefined : Number(length);
  if (bytes !== undefined && whole !== undefined && whole !== bytes)
    return refuse(new Refused(`its file has ${whole} bytes; wanted: ${bytes}`));
  return { whole, resumed: status === 206 };
}

/** Seconds, of a number or a date. */
function retryAfter(text: string | null): number | undefined {
  if (!text) return undefined;
  if (/^\d+$/.test(text.trim())) return Number(text);
  const at = Date.parse(text);
  return Number.isNaN(at) ? undefined : Math.max(0, (at - Date.now()) / 1000);
}

/** A full disk breaks more than this download. */
async function room(part: string, missing: number): Promise<void> {
  const { bavail, bsize } = await statfs(dirname(part));
  if (bavail * bsize >= missing + spare) return;
  throw new NoRoom(
    `${Math.ceil(missing / 1e6)} MB are still to be fetched and ${dirname(part)} has ${Math.floor((bavail * bsize) / 1e6)} MB free: free some, or take another folder`,
  );
}
