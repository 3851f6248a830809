import type { EngineEvent } from "@atelier/engine/events";
import type { Terminal } from "../terminal.ts";
import type { Display } from "./display.ts";
import { operations } from "./operations.ts";
import { problemLines } from "./problems.ts";
import { Steps } from "./steps.ts";
import { seconds } from "./text.ts";

/** Seconds between two progress lines of one step. */
const every = 10;
/** Seconds after which a step that says nothing is told: one with secrets never does, and CI ends what is silent. */
const silence = 30;

export interface PlainOptions {
  verbose?: boolean;
  quiet?: boolean;
  now?: () => number;
}

/** Without a terminal: a line when a step ends, now and then what a long one says, and how long a silent one has taken. */
export class PlainDisplay implements Display {
  readonly #steps = new Steps();
  readonly #terminal: Terminal;
  readonly #options: PlainOptions;
  readonly #timer: NodeJS.Timeout;
  /** By urn: when its last line was shown. */
  readonly #shown = new Map<string, number>();

  constructor(terminal: Terminal, options: PlainOptions = {}) {
    this.#terminal = terminal;
    this.#options = options;
    this.#timer = setInterval(() => this.tellSilent(), 1000);
    this.#timer.unref();
  }

  event(event: EngineEvent): void {
    const { started, ended, said, line, problem } = this.#steps.take(event);
    if (problem?.severity === "warning")
      for (const text of problemLines(problem, this.#terminal)) this.#terminal.line(text);
    if (this.#options.quiet) return;
    if (started) this.#shown.set(started.urn, started.startedAt);
    if (line && (this.#options.verbose || this.#isDue(said?.urn, event.timestamp)))
      this.#terminal.line(`  ${said ? `${said.name}: ` : ""}${line}`);
    if (ended && (ended.op !== "same" || this.#options.verbose)) {
      const { sign, done } = operations[ended.op];
      const failed = ended.status === "failed";
      this.#terminal.line(
        `${failed ? "x" : sign} ${ended.name} ${failed ? "failed" : done} (${seconds(ended.seconds)})`,
      );
    }
  }

  note(text: string): void {
    this.#terminal.line(text);
  }

  end(): void {
    clearInterval(this.#timer);
  }

  /** Tells of each running step that has shown nothing for a while. */
  tellSilent(): void {
    if (this.#options.quiet) return;
    const now = this.#options.now?.() ?? Date.now() / 1000;
    for (const { urn, name, op, startedAt } of this.#steps.running) {
      if (op === "same" || now - (this.#shown.get(urn) ?? startedAt) < silence) continue;
      this.#shown.set(urn, now);
      this.#terminal.line(`  ${name}: ${seconds(now - startedAt)} so far`);
    }
  }

  #isDue(urn: string | undefined, now: number): boolean {
    if (urn === undefined || now - (this.#shown.get(urn) ?? now) < every) return false;
    this.#shown.set(urn, now);
    return true;
  }
}
