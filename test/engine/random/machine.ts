/** What is to go wrong with a provider's call: the nth of its kind in a run. */
export interface Fault {
  on: "check" | "diff" | "create" | "update" | "delete" | "read";
  nth: number;
  /**
   * `half`: done, or partly, and yet an error. `hang`: not done, and no answer until the run is cut off; `late`: done, and no
   * answer. `leak`: values that are not known.
   */
  mode: "fail" | "half" | "hang" | "late" | "leak";
}

/** How a run is ended before its time, at its `tick`: a tick is a write to the disk, or a moment in a provider's call. */
export interface Cut {
  /** `kill`: kill -9. `interrupt`: Ctrl-C once. `cut-off`: twice. */
  how: "kill" | "interrupt" | "cut-off";
  tick: number;
  /** Of a write that is cut by a kill: 0 not begun, 1 half, 2 done, but nobody heard. */
  torn: number;
}

/** A promise that never settles: what a dead process waits for. */
export function never(): Promise<never> {
  return new Promise(() => {});
}

/** The process that an engine's run lives in, as far as it can die: its faults, its clock, its end. */
export class Machine {
  /** Nothing of it goes on: no write, no call, no answer. */
  dead = false;
  /** Ctrl-C. */
  readonly abort = new AbortController();
  /** Ctrl-C again. */
  readonly killer = new AbortController();
  readonly died: Promise<void>;
  /** What was injected and did happen. */
  readonly fired: string[] = [];
  ticks = 0;
  /** True once something other than a delete has failed. */
  failed = false;
  /** True once the program has said that it has registered all. */
  programDone = false;
  readonly #faults: Fault[];
  readonly #cut: Cut | undefined;
  readonly #calls = new Map<string, number>();
  #random: number;
  #die!: () => void;

  /** @param seed of the delays of calls and writes */
  constructor(faults: Fault[], cut: Cut | undefined, seed: number) {
    this.#faults = faults;
    this.#cut = cut;
    this.#random = seed >>> 0;
    this.died = new Promise((resolve) => {
      this.#die = resolve;
    });
  }

  kill(): void {
    if (!this.dead) this.fired.push("kill");
    this.dead = true;
    this.#die();
  }

  /** The fault of this call, if there is one for it. */
  fault(on: Fault["on"]): Fault["mode"] | undefined {
    const nth = this.#calls.get(on) ?? 0;
    this.#calls.set(on, nth + 1);
    const found = this.#faults.find((fault) => fault.on === on && fault.nth === nth)?.mode;
    if (found !== undefined) this.fired.push(`${found} ${on}`);
    return found;
  }

  /** A moment at which the run may be ended. @returns how a write at this moment is torn by the kill that is to follow it */
  moment(): number | undefined {
    const cut = this.#cut;
    if (this.ticks++ !== cut?.tick) return undefined;
    if (cut.how === "kill") return cut.torn;
    this.fired.push(cut.how);
    this.abort.abort();
    if (cut.how === "cut-off") this.killer.abort();
    return undefined;
  }

  /** A moment of a call, and a little time. Does not come back to a dead process. */
  async pause(): Promise<void> {
    if (this.moment() !== undefined) this.kill();
    await this.wait(4);
  }

  /** A little time. Does not come back to a dead process. */
  async wait(most: number): Promise<void> {
    for (let turns = this.#next() % most; turns > 0; turns--) await new Promise((resolve) => setImmediate(resolve));
    if (this.dead) await never();
  }

  /** A call that gets no answer. The user, after a while, kills the engine, or presses Ctrl-C twice. */
  async hang(signal: AbortSignal): Promise<never> {
    const cutOff = this.#cut?.how !== "kill";
    setTimeout(() => {
      if (!cutOff) return this.kill();
      this.fired.push("cut-off");
      this.abort.abort();
      this.killer.abort();
    }, 3);
    await new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      else signal.addEventListener("abort", () => resolve(), { once: true });
    });
    throw new Error("the call was cut off");
  }

  #next(): number {
    this.#random = (Math.imul(this.#random, 1664525) + 1013904223) >>> 0;
    return this.#random >>> 16;
  }
}
