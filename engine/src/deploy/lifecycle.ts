import { Stopped } from "./monitor/stopped.ts";

/** How a run stands, and what the program and the run wait for of each other. */
export class Lifecycle {
  /** Why nothing more is begun. */
  verdict: "running" | "failed" | "interrupted" = "running";
  /** True once nothing more is begun. A preview that has failed goes on, to show all that is to be seen. */
  over = false;
  readonly #preview: boolean;
  readonly #onStop: () => void;
  readonly #stopped = Promise.withResolvers<never>();
  readonly #programDone = Promise.withResolvers<void>();
  readonly #released = Promise.withResolvers<void>();

  constructor(preview: boolean, onStop: () => void) {
    this.#preview = preview;
    this.#onStop = onStop;
    this.#stopped.promise.catch(() => {});
  }

  /** Rejects with Stopped once nothing more is begun. */
  get stopped(): Promise<never> {
    return this.#stopped.promise;
  }

  requireRunning(): void {
    if (this.over || (this.verdict === "failed" && !this.#preview)) throw new Stopped();
  }

  /** It has failed, and goes on. */
  markFailed(): void {
    if (this.verdict === "running") this.verdict = "failed";
  }

  /** It has failed: an update begins nothing more, a preview goes on. */
  fail(): void {
    if (this.#preview) this.markFailed();
    else this.stop("failed");
  }

  stop(verdict: "failed" | "interrupted"): void {
    if (this.verdict === "running" || verdict === "interrupted") this.verdict = verdict;
    this.over = true;
    this.#onStop();
    this.#stopped.reject(new Stopped());
    this.release();
  }

  /** The program has said that it has registered all; resolves when it may end. */
  async programDone(): Promise<void> {
    this.#programDone.resolve();
    await this.#released.promise;
  }

  /** Resolves when the program has said that it has registered all; rejects with Stopped when the run is over before. */
  registered(): Promise<void> {
    return Promise.race([this.#programDone.promise, this.stopped]);
  }

  /** Lets the program end. */
  release(): void {
    this.#released.resolve();
  }
}
