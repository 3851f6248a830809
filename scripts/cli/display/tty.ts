import type { EngineEvent } from "@atelier/engine/events";
import type { Terminal } from "../terminal.ts";
import type { Display } from "./display.ts";
import { operations } from "./operations.ts";
import { problemLines } from "./problems.ts";
import { type Step, Steps } from "./steps.ts";
import { column, cut, seconds } from "./text.ts";

const frames = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

export interface TtyOptions {
  verbose?: boolean;
  /** What is done while no step runs, such as `planning`. */
  idle: string;
  /** A plan is shown when it is whole, not step by step. */
  quiet?: boolean;
  /** Milliseconds between two drawings. */
  interval?: number;
  /** Seconds since the epoch. */
  now?: () => number;
}

/** On a terminal: what ended scrolls up, what runs is redrawn in place below. */
export class TtyDisplay implements Display {
  readonly #steps = new Steps();
  readonly #terminal: Terminal;
  readonly #options: TtyOptions;
  readonly #timer: NodeJS.Timeout;
  readonly #now: () => number;
  readonly #begun: number;
  #drawn = 0;
  #frame = 0;

  constructor(terminal: Terminal, options: TtyOptions) {
    this.#terminal = terminal;
    this.#options = options;
    this.#now = options.now ?? (() => Date.now() / 1000);
    this.#begun = this.#now();
    terminal.raw("\x1b[?25l");
    this.#timer = setInterval(() => this.draw(), options.interval ?? 100);
    this.#timer.unref();
  }

  event(event: EngineEvent): void {
    const { ended, said, line, problem } = this.#steps.take(event);
    if (problem?.severity === "warning") this.#scroll(problemLines(problem, this.#terminal));
    if (this.#options.quiet) return;
    if (this.#options.verbose && line)
      this.#scroll([this.#terminal.colours.dim(cut(`  ${said?.name ?? ""} ${line}`, this.#terminal.columns))]);
    if (ended && (ended.op !== "same" || this.#options.verbose)) this.#scroll([this.#endLine(ended)]);
  }

  note(text: string): void {
    this.#scroll([text]);
  }

  end(): void {
    clearInterval(this.#timer);
    this.#erase();
    this.#terminal.raw("\x1b[?25h");
  }

  /** Redraws the running steps; as many as the terminal has room for. */
  draw(): void {
    const { columns, rows, colours } = this.#terminal;
    const frame = colours.cyan(frames[this.#frame++ % frames.length] ?? "");
    const running = this.#options.quiet ? [] : this.#steps.running.filter(({ op }) => op !== "same");
    const room = Math.max(1, Math.min(12, rows - 3));
    const lines = running.slice(0, room).map((step) => `${frame} ${this.#runningLine(step, columns - 3)}`);
    if (running.length > room) lines.push(colours.dim(`  … and ${running.length - room} more`));
    if (lines.length === 0)
      lines.push(`${frame} ${colours.dim(`${this.#options.idle} ${seconds(this.#now() - this.#begun)}`)}`);
    this.#erase();
    this.#terminal.raw(`${lines.join("\n")}\n`);
    this.#drawn = lines.length;
  }

  #runningLine(step: Step, columns: number): string {
    const { colours } = this.#terminal;
    const width = nameWidth(columns);
    const time = seconds(Math.max(0, this.#now() - step.startedAt)).padStart(8);
    return `${column(step.name, width)} ${time}  ${colours.dim(cut(step.line, columns - width - 11))}`.trimEnd();
  }

  #endLine(step: Step): string {
    const { colours, columns } = this.#terminal;
    const width = nameWidth(columns - 3);
    const mark =
      step.status === "failed" ? colours.red("✗") : step.op === "same" ? colours.dim("=") : colours.green("✓");
    const done = step.status === "failed" ? "failed" : operations[step.op].done;
    return `${mark} ${column(step.name, width)} ${seconds(step.seconds).padStart(8)}  ${colours.dim(cut(done, columns - width - 13))}`;
  }

  /** Lines that stay, above what is redrawn. */
  #scroll(lines: string[]): void {
    this.#erase();
    this.#terminal.raw(lines.map((line) => `${line}\n`).join(""));
    this.draw();
  }

  #erase(): void {
    if (this.#drawn > 0) this.#terminal.raw(`\x1b[${this.#drawn}A\x1b[0J`);
    this.#drawn = 0;
  }
}

const nameWidth = (columns: number): number => Math.max(8, Math.min(26, Math.floor(columns / 2)));
