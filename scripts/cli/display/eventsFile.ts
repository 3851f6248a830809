import { closeSync, constants, openSync, statSync, writeSync } from "node:fs";
import { resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { EngineEvent } from "@atelier/engine/events";
import { messageOf, UserError } from "../errors.ts";

/** What waits for a slow reader; beyond it the reader is given up, not the update. */
const MOST_WAITING = 32 * 1024 * 1024;
const AGAIN_MS = 20;
/** For a reader that is still at it when the command ends. */
const LAST_MS = 3000;

/**
 * `--events`: the engine events of one command, for another program to follow: Pulumi's EngineEvent, a JSON a line, in the file
 * before the next one comes. The operations of a command (plan, update) follow one another, numbered through. A regular file is
 * emptied first; to a FIFO or a device nothing is written before someone reads, and a reader that goes away ends the writing
 * and nothing else.
 */
export class EventsFile {
  readonly #path: string;
  /** Something that may keep its writer waiting: no regular file. */
  readonly #stream: boolean;
  #file: number | undefined;
  #sequence = 0;
  #waiting: Buffer[] = [];
  #bytes = 0;
  #timer: NodeJS.Timeout | undefined;
  #trouble: string | undefined;

  /** @throws UserError (exit code 2) for a path that can't be written */
  constructor(path: string) {
    this.#path = resolve(path);
    try {
      const there = statSync(this.#path, { throwIfNoEntry: false });
      this.#stream = there !== undefined && !there.isFile() && !there.isDirectory();
      if (!this.#stream) this.#file = openSync(this.#path, "w");
    } catch (error) {
      throw new UserError(
        `--events cannot write to ${this.#path}: ${messageOf(error)}. Name a file in a folder that is there, or a FIFO.`,
        2,
      );
    }
  }

  /** False: what went wrong is told by close(). */
  get writes(): boolean {
    return this.#trouble === undefined;
  }

  event(event: EngineEvent): void {
    if (this.#trouble !== undefined) return;
    const line = Buffer.from(`${JSON.stringify({ ...event, sequence: this.#sequence++ })}\n`);
    this.#waiting.push(line);
    this.#bytes += line.length;
    if (this.#bytes > MOST_WAITING) this.#giveUp(`its reader is ${MOST_WAITING >> 20} MB behind`);
    else if (this.#timer === undefined) this.#write();
  }

  /** Writes what is left. @returns what went wrong on the way, for people */
  async close(): Promise<string | undefined> {
    const end = Date.now() + LAST_MS;
    while (this.#waiting.length > 0 && this.#file !== undefined && Date.now() < end) await sleep(AGAIN_MS);
    if (this.#waiting.length > 0) {
      this.#giveUp(this.#file === undefined ? "nobody read it" : "its reader did not take the last of them");
    }
    clearTimeout(this.#timer);
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
    return this.#trouble && `Not all events went to ${this.#path}: ${this.#trouble}.`;
  }

  #write(): void {
    this.#timer = undefined;
    try {
      // Without O_NONBLOCK, a FIFO that nobody reads would hold up the whole process, here and at every full buffer.
      this.#file ??= openSync(this.#path, constants.O_WRONLY | constants.O_NONBLOCK);
      for (let line = this.#waiting[0]; line !== undefined; line = this.#waiting[0]) {
        const written = writeSync(this.#file, line);
        this.#bytes -= written;
        if (written < line.length) this.#waiting[0] = line.subarray(written);
        else this.#waiting.shift();
      }
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (this.#stream && (code === "ENXIO" || code === "EAGAIN")) {
        this.#timer = setTimeout(() => this.#write(), AGAIN_MS).unref();
      } else this.#giveUp(code === "EPIPE" ? "its reader went away" : messageOf(error));
    }
  }

  #giveUp(trouble: string): void {
    this.#trouble = trouble;
    this.#waiting = [];
    this.#bytes = 0;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
