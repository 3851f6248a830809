import { StringDecoder } from "node:string_decoder";
import type { CallContext } from "../../provider.ts";

type Stream = "stdout" | "stderr";

/** A line longer than this is shown in pieces, so that a progress bar without newlines can't grow without end. */
const LONGEST_LINE = 64 * 1024;

/** What an error repeats of a longer output: its beginning, and the end, where the reason is. */
const ERROR_HEAD = 64 * 1024;
const ERROR_TAIL = 512 * 1024;

/**
 * What a command says: kept once, decoded as it comes, and shown line by line meanwhile. A stream's text grows by concatenation,
 * which copies nothing: a hundred megabytes are held once, and not a second time while they are put together.
 */
export class Output {
  readonly #streams = { stdout: new Kept(), stderr: new Kept() };
  /** Of each stream that is shown: what has come of its last line. */
  readonly #lines: Partial<Record<Stream, string>> = {};
  readonly #log: CallContext["log"];
  readonly #both = new Ends();

  /** `logging` as the resource has it: undefined shows both streams, an unknown word none. */
  constructor(log: CallContext["log"], logging: string | undefined) {
    this.#log = log;
    for (const stream of ["stdout", "stderr"] as const) {
      if (logging === undefined || logging === stream || logging === "stdoutAndStderr") this.#lines[stream] = "";
    }
  }

  push(stream: Stream, data: Buffer): void {
    this.#took(stream, this.#streams[stream].decoder.write(data));
  }

  /** Shows what came without a newline at its end. Call it once, when both streams have ended. */
  end(): void {
    for (const stream of ["stdout", "stderr"] as const) {
      this.#took(stream, this.#streams[stream].decoder.end());
      const rest = this.#lines[stream];
      if (rest) this.#line(stream, rest);
      if (rest !== undefined) this.#lines[stream] = "";
    }
  }

  /** The whole of one stream, less one newline at its end. */
  of(stream: Stream): string {
    return this.#streams[stream].text;
  }

  /** Both streams as they came; of much, the beginning and the end. */
  all(): string {
    return this.#both.text;
  }

  #took(stream: Stream, text: string): void {
    if (text === "") return;
    this.#streams[stream].push(text);
    this.#both.push(text);
    const rest = this.#lines[stream];
    if (rest !== undefined) this.#lines[stream] = this.#show(stream, rest + text);
  }

  #show(stream: Stream, text: string): string {
    let start = 0;
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n", start)) {
      this.#line(stream, text.slice(start, end));
      start = end + 1;
    }
    while (text.length - start > LONGEST_LINE) {
      const end = wordEnd(text, start + LONGEST_LINE);
      this.#line(stream, text.slice(start, end));
      start = end;
    }
    return text.slice(start);
  }

  #line(stream: Stream, text: string): void {
    this.#log({ stream, text: text.replace(/\r$/, ""), ephemeral: true });
  }
}

/** One stream's text. */
class Kept {
  readonly decoder = new StringDecoder("utf8");
  #text = "";
  /** The last piece, apart: cutting its newline off must not copy all. */
  #last = "";

  push(text: string): void {
    this.#text += this.#last;
    this.#last = text;
  }

  get text(): string {
    return this.#text + (this.#last.endsWith("\n") ? this.#last.slice(0, -1) : this.#last);
  }
}

/** The beginning and the end of a text that may be long. */
class Ends {
  #head = "";
  #tail: string[] = [];
  #tailLength = 0;
  #left = 0;

  push(text: string): void {
    if (this.#tail.length === 0 && this.#head.length + text.length <= ERROR_HEAD) {
      this.#head += text;
      return;
    }
    this.#tail.push(text);
    this.#tailLength += text.length;
    for (let first = this.#tail[0]; first && this.#tailLength - first.length > ERROR_TAIL; first = this.#tail[0]) {
      this.#tail.shift();
      this.#tailLength -= first.length;
      this.#left += first.length;
    }
  }

  get text(): string {
    const tail = this.#tail.join("");
    if (this.#left === 0) return this.#head + tail;
    const head = this.#head.slice(0, wordEnd(this.#head, this.#head.length));
    const from = Math.max(tail.search(/\s/), 0);
    return `${head}\n… (${this.#left} characters left out)\n${tail.slice(from).trimStart()}`;
  }
}

/** The last place before `end` that is in no word, as long as it is near: half a secret is one that no filter knows. */
function wordEnd(text: string, end: number): number {
  const near = text.slice(Math.max(0, end - 8192), end);
  const space = near.search(/\s\S*$/);
  return space < 0 ? end : end - near.length + space + 1;
}
