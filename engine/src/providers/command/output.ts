import { StringDecoder } from "node:string_decoder";
import type { CallContext } from "../../provider.ts";

type Stream = "stdout" | "stderr";

/** A line longer than this is shown in pieces, so that a progress bar without newlines can't grow without end. */
const LONGEST_LINE = 64 * 1024;

/** What a command says: kept once, in the order of its coming, and shown line by line while it comes. */
export class Output {
  readonly #chunks: { stream: Stream; data: Buffer }[] = [];
  readonly #lines: Partial<Record<Stream, { decoder: StringDecoder; rest: string }>> = {};
  readonly #log: CallContext["log"];

  /** `logging` as the resource has it: undefined shows both streams, an unknown word none. */
  constructor(log: CallContext["log"], logging: string | undefined) {
    this.#log = log;
    for (const stream of ["stdout", "stderr"] as const) {
      if (logging === undefined || logging === stream || logging === "stdoutAndStderr") {
        this.#lines[stream] = { decoder: new StringDecoder("utf8"), rest: "" };
      }
    }
  }

  push(stream: Stream, data: Buffer): void {
    this.#chunks.push({ stream, data });
    const lines = this.#lines[stream];
    if (lines) lines.rest = this.#show(stream, lines.rest + lines.decoder.write(data));
  }

  /** Shows what came without a newline at its end. Call it once, when both streams have ended. */
  end(): void {
    for (const stream of ["stdout", "stderr"] as const) {
      const lines = this.#lines[stream];
      if (!lines) continue;
      const rest = lines.rest + lines.decoder.end();
      lines.rest = "";
      if (rest !== "") this.#line(stream, rest);
    }
  }

  /** The whole of one stream, less one newline at its end. */
  of(stream: Stream): string {
    const mine = this.#chunks.filter((chunk) => chunk.stream === stream).map((chunk) => chunk.data);
    return Buffer.concat(mine).toString("utf8").replace(/\n$/, "");
  }

  /** Both streams as they came. */
  all(): string {
    return Buffer.concat(this.#chunks.map((chunk) => chunk.data)).toString("utf8");
  }

  #show(stream: Stream, text: string): string {
    let start = 0;
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n", start)) {
      this.#line(stream, text.slice(start, end));
      start = end + 1;
    }
    while (text.length - start > LONGEST_LINE) {
      this.#line(stream, text.slice(start, start + LONGEST_LINE));
      start += LONGEST_LINE;
    }
    return text.slice(start);
  }

  #line(stream: Stream, text: string): void {
    this.#log({ stream, text: text.replace(/\r$/, ""), ephemeral: true });
  }
}
