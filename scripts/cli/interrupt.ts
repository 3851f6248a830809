import { Interrupted } from "./errors.ts";

/** What is said at the first press, and at the second. */
export interface Words {
  first: string;
  second: string;
}
const plainWords: Words = {
  first: "Interrupted: what runs is ended. Once more ends everything at once.",
  second: "Ended at once.",
};
/** While an engine runs, which alone has something to save. */
export const updateWords: Words = {
  first: "Interrupted: the running steps end and the state is saved. Once more ends everything at once.",
  second: "Ended at once. The next `up` goes on from what was saved.",
};

/**
 * Ctrl-C: once, the running steps end and the state is saved; twice, everything ends at once.
 * One press can arrive twice (from the terminal, and forwarded by npm or by the bootstrap), so what comes
 * within a moment counts as one.
 */
export class Interrupt {
  readonly #stop = new AbortController();
  readonly #kill = new AbortController();
  /** Where its words go: a display that overwrites lines takes them over while it is there. */
  say: (text: string) => void;
  words = plainWords;
  readonly #handler = () => this.press();
  /** The end of a terminal, which is none of ours where we have none: under `nohup`, whose word Node does not hand on. */
  readonly #hangUp = () => {
    if ([process.stdin, process.stdout, process.stderr].some(({ isTTY }) => isTTY)) this.press();
  };
  #last = Number.NEGATIVE_INFINITY;
  #left = false;

  constructor(say: (text: string) => void) {
    this.say = say;
    for (const signal of signals) process.on(signal, this.#handler);
    process.on("SIGHUP", this.#hangUp);
  }

  /** Aborted at the first press. */
  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  /** Aborted at the second: what runs is cut off. */
  get killSignal(): AbortSignal {
    return this.#kill.signal;
  }

  get pressed(): boolean {
    return this.signal.aborted;
  }

  /** Also where it was pressed before. */
  async untilPressed(): Promise<void> {
    if (!this.pressed) await new Promise((done) => this.signal.addEventListener("abort", done, { once: true }));
  }

  /** Whether work was left behind: it must not go on, so the process has to end. */
  get left(): boolean {
    return this.#left;
  }

  /**
   * Work that holds no state: at the first press it is left where it is, whatever it waits for.
   * @throws Interrupted at the press
   */
  async orLeave<T>(work: Promise<T>): Promise<T> {
    const sayBefore = this.say;
    this.say = () => {};
    let leave = () => {};
    const pressed = new Promise<never>((_, reject) => {
      leave = () => {
        this.#left = true;
        reject(new Interrupted("Interrupted. Nothing was being saved."));
      };
      if (this.pressed) leave();
      else this.signal.addEventListener("abort", leave);
    });
    try {
      return await Promise.race([work, pressed]);
    } finally {
      this.signal.removeEventListener("abort", leave);
      this.say = sayBefore;
    }
  }

  /** @param now milliseconds */
  press(now = performance.now()): void {
    const again = now - this.#last > 400;
    this.#last = now;
    if (!this.pressed) {
      this.say(this.words.first);
      this.#stop.abort();
    } else if (again && !this.killSignal.aborted) {
      this.say(this.words.second);
      this.#kill.abort();
      // Saving takes a moment; whatever does not come to its end is left.
      setTimeout(() => process.exit(130), 3000).unref();
    }
  }

  close(): void {
    for (const signal of signals) process.off(signal, this.#handler);
    process.off("SIGHUP", this.#hangUp);
  }
}

const signals = ["SIGINT", "SIGTERM"] as const;
