import { Stopped } from "../monitor/stopped.ts";
import type { Step } from "./step.ts";

/** Runs steps: a chain one after the other, chains beside each other, at most `parallel` at once. The first failure stops all that has not begun. */
export class Executor {
  readonly #apply: (step: Step) => Promise<void>;
  readonly #onFailure: (error: unknown, step: Step) => void;
  readonly #parallel: number;
  readonly #waiting: (() => void)[] = [];
  readonly #chains = new Set<Promise<boolean>>();
  #busy = 0;
  #stopped = false;

  constructor(parallel: number, apply: (step: Step) => Promise<void>, onFailure: (error: unknown, step: Step) => void) {
    this.#parallel = Math.max(1, parallel);
    this.#apply = apply;
    this.#onFailure = onFailure;
  }

  /** No further step begins; those that run come to their end. */
  stop(): void {
    this.#stopped = true;
    for (const wake of this.#waiting.splice(0)) wake();
  }

  /** True when every step was done. */
  run(steps: Step[]): Promise<boolean> {
    const chain = this.#runChain(steps);
    this.#chains.add(chain);
    void chain.finally(() => this.#chains.delete(chain));
    return chain;
  }

  /** The steps beside each other; true when every one was done. A failure lets its neighbours in the layer go on. */
  async runLayer(steps: Step[]): Promise<boolean> {
    const results = await Promise.all(steps.map((step) => this.run([step])));
    return results.every((done) => done);
  }

  /** One thing beside the steps, counted among them. @throws Stopped when nothing more may begin */
  async limited(task: () => Promise<void>): Promise<void> {
    if (!(await this.#enter())) throw new Stopped();
    try {
      await task();
    } finally {
      this.#leave();
    }
  }

  /** Resolves when nothing runs. */
  async idle(): Promise<void> {
    while (this.#chains.size > 0) await Promise.all([...this.#chains]);
  }

  async #runChain(steps: Step[]): Promise<boolean> {
    for (const step of steps) {
      if (!(await this.#enter())) return false;
      try {
        await this.#apply(step);
      } catch (error) {
        this.#onFailure(error, step);
        return false;
      } finally {
        this.#leave();
      }
    }
    return true;
  }

  async #enter(): Promise<boolean> {
    while (!this.#stopped && this.#busy >= this.#parallel) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    if (this.#stopped) return false;
    this.#busy++;
    return true;
  }

  #leave(): void {
    this.#busy--;
    this.#waiting.shift()?.();
  }
}
