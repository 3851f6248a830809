import { type FileHandle, open } from "node:fs/promises";
import type { EngineEvent } from "@atelier/engine/events";

/** Follows a file of events, a JSON object a line, while another process writes it. */
export class EventLog {
  readonly #path: string;
  readonly #onEvent: (event: EngineEvent) => void;
  readonly #timer: NodeJS.Timeout;
  #file: FileHandle | undefined;
  #rest = "";
  #closed = false;
  #reading: Promise<void> | undefined;
  readonly #decoder = new TextDecoder();

  constructor(path: string, onEvent: (event: EngineEvent) => void, interval = 100) {
    this.#path = path;
    this.#onEvent = onEvent;
    this.#timer = setInterval(() => void this.read(), interval);
  }

  /** Reads what is new. One reading at a time. */
  async read(): Promise<void> {
    if (this.#closed) return;
    this.#reading ??= this.#readOn().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  /** The writer has ended: reads to the end. */
  async close(): Promise<void> {
    if (this.#closed) return;
    clearInterval(this.#timer);
    await this.read();
    // What was written while that reading went on.
    await this.read();
    const file = this.#file;
    this.#closed = true;
    this.#file = undefined;
    await file?.close();
  }

  async #readOn(): Promise<void> {
    try {
      this.#file ??= await open(this.#path, "r");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
      throw error;
    }
    const chunk = Buffer.alloc(256 * 1024);
    for (;;) {
      const { bytesRead } = await this.#file.read(chunk, 0, chunk.length);
      if (bytesRead === 0) return;
      const lines = (this.#rest + this.#decoder.decode(chunk.subarray(0, bytesRead), { stream: true })).split("\n");
      this.#rest = lines.pop() ?? "";
      for (const line of lines) if (line.trim() !== "") this.#onEvent(JSON.parse(line) as EngineEvent);
    }
  }
}
