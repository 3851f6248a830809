import { CallFailed, CheckFailed, reason } from "./failure.ts";
import { type Check, secondsSince } from "./result.ts";
import type { Session } from "./session.ts";

/** What a check needs of the WebUI: that it answers, or that it draws. */
type Need = "answers" | "draws";

/**
 * Runs named checks in order and keeps what came of each. A failed check stops no other one, unless the
 * WebUI is gone, or can't draw and the other one would have to.
 */
export class Checklist {
  readonly checks: Check[] = [];
  readonly #session: Session;
  #gone: string | undefined;
  #stuck: string | undefined;

  constructor(session: Session) {
    this.#session = session;
  }

  get ok(): boolean {
    return this.checks.length > 0 && this.checks.every((check) => check.ok);
  }

  /** Runs one check; its body answers with the sentence for the report. */
  async run(name: string, need: Need, body: () => Promise<string> | string): Promise<void> {
    const blocked = this.#gone ?? (need === "draws" ? this.#stuck : undefined);
    if (blocked) return this.#add(name, false, 0, `Not run: ${blocked}`);
    const start = performance.now();
    try {
      const detail = await body();
      this.#add(name, true, secondsSince(start), detail);
    } catch (error) {
      const ours = !(error instanceof CheckFailed);
      // A mistake of our own has a stack that someone will want, but not in a report.
      if (ours && error instanceof Error && error.stack) this.#session.say(error.stack);
      const detail = ours ? `The check itself broke: ${reason(error)}` : reason(error);
      this.#add(name, false, secondsSince(start), detail);
      await this.#judge(name, need, error);
    }
  }

  /** The readiness check: where it fails, nothing can be drawn. */
  async ready(body: () => Promise<string>): Promise<void> {
    await this.run("ready", "answers", async () => {
      await this.#session.open();
      return body();
    });
    if (!this.checks.at(-1)!.ok) this.#stuck ??= "the WebUI was never ready to draw (see ready).";
  }

  /** Decides what a failure means for the checks to come. */
  async #judge(name: string, need: Need, error: unknown): Promise<void> {
    if (this.#session.signal.aborted) this.#gone = `the proof ended early (see ${name}).`;
    if (!(error instanceof CallFailed) || this.#gone) return;
    if (error.problem === "unreachable") this.#gone = `the WebUI is gone (see ${name}).`;
    else if (!(await this.#answers())) this.#gone = `the WebUI does not answer any more (see ${name}).`;
    else if (need === "draws" && error.problem === "late")
      this.#stuck = `the WebUI did not finish a picture (see ${name}).`;
  }

  async #answers(): Promise<boolean> {
    try {
      await this.#session.sleep(500);
      await this.#session.ask("/sdapi/v1/progress", { timeout: 5000 });
      return true;
    } catch {
      return false;
    }
  }

  #add(name: string, ok: boolean, seconds: number, detail: string): void {
    const masked = this.#session.mask(detail);
    this.checks.push({ name, ok, seconds, detail: masked });
    this.#session.say(`${ok ? "ok  " : "FAIL"} ${name} (${seconds.toFixed(1)} s): ${masked}`);
  }
}
