import { stripVTControlCharacters } from "node:util";
import type { EngineEvent } from "@atelier/engine/events";
import type { Terminal } from "../terminal.ts";
import type { Display } from "./display.ts";
import { operations } from "./operations.ts";
import { problemLines } from "./problems.ts";
import { type Step, Steps } from "./steps.ts";
import { column, cut, fitted, seconds, widthOf } from "./text.ts";

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
  /** The width of each line that is redrawn. */
  #drawn: number[] = [];
  #frame = 0;
  readonly #showCursor = () => this.#terminal.raw("\x1b[?25h");

  constructor(terminal: Terminal, options: TtyOptions) {
    this.#terminal = terminal;
    this.#options = options;
    this.#now = options.now ?? (() => Date.now() / 1000);
    this.#begun = this.#now();
    terminal.raw("\x1b[?25l");
    // Also where the process ends in the middle.
    process.once("exit", this.#showCursor);
    this.#timer = setInterval(() => this.draw(), options.interval ?? 100);
    this.#timer.unref();
  }

  event(event: EngineEvent): void {
    const { ended, said, line, problem } = this.#steps.take(event);
    if (problem?.severity === "warning") this.#scroll(problemLines(problem, this.#terminal));
    if (this.#options.quiet) return;
    if (this.#options.verbose && line)
      this.#scroll([this.#terminal.colours.dim(cut(`  ${said?.name ?? ""} ${line}`, this.#columns))]);
    if (ended && (ended.op !== "same" || this.#options.verbose)) this.#scroll([this.#endLine(ended)]);
  }

  note(text: string): void {
    this.#scroll([text]);
  }

  end(): void {
    clearInterval(this.#timer);
    process.off("exit", this.#showCursor);
    this.#terminal.raw(this.#erasing());
    this.#showCursor();
  }

  /** Redraws the running steps; as many as the terminal has room for. */
  draw(): void {
    this.#terminal.raw(this.#erasing() + this.#drawing());
  }

  /** The last column stays free: some terminals go to the next line when it is written. */
  get #columns(): number {
    return Math.max(1, this.#terminal.columns - 1);
  }

  #drawing(): string {
    const { rows, colours } = this.#terminal;
    const columns = this.#columns;
    const frame = { text: `${frames[this.#frame++ % frames.length]} `, paint: colours.cyan };
    const running = this.#options.quiet ? [] : this.#steps.running.filter(({ op }) => op !== "same");
    // The cursor stands below what is drawn: one row more.
    const room = Math.max(1, Math.min(12, rows - 2));
    const shown = running.length > room ? running.slice(0, room - 1) : running;
    const lines = shown.map((step) => fitted([frame, ...this.#running(step, columns - 2)], columns));
    if (shown.length < running.length) {
      const rest = `${running.length - shown.length} ${shown.length > 0 ? "more" : "running"}`;
      lines.push(fitted([{ text: shown.length > 0 ? `  … and ${rest}` : `… ${rest}`, paint: colours.dim }], columns));
    }
    if (lines.length === 0) {
      const idle = { text: `${this.#options.idle} ${seconds(this.#now() - this.#begun)}`, paint: colours.dim };
      lines.push(fitted([frame, idle], columns));
    }
    this.#drawn = lines.map((line) => widthOf(stripVTControlCharacters(line)));
    return `${lines.join("\n")}\n`;
  }

  #running(step: Step, columns: number) {
    const width = nameWidth(columns);
    const time = seconds(Math.max(0, this.#now() - step.startedAt)).padStart(8);
    return [
      { text: `${column(step.name, width)} ${time}${step.line === "" ? "" : "  "}` },
      { text: step.line, paint: this.#terminal.colours.dim },
    ];
  }

  #endLine(step: Step): string {
    const { colours } = this.#terminal;
    const columns = this.#columns;
    const [mark, paint] =
      step.status === "failed"
        ? ["✗", colours.red]
        : step.op === "same"
          ? ["=", colours.dim]
          : (["✓", colours.green] as const);
    const done = step.status === "failed" ? "failed" : operations[step.op].done;
    return fitted(
      [
        { text: `${mark} `, paint },
        { text: `${column(step.name, nameWidth(columns - 2))} ${seconds(step.seconds).padStart(8)}  ` },
        { text: done, paint: colours.dim },
      ],
      columns,
    );
  }

  /** Lines that stay, above what is redrawn; in one piece, so that nothing flickers. */
  #scroll(lines: string[]): void {
    const erasing = this.#erasing();
    this.#terminal.raw(erasing + lines.map((line) => `${line}\n`).join("") + this.#drawing());
  }

  /** What takes the redrawn lines away; a terminal made narrower meanwhile has wrapped them. */
  #erasing(): string {
    const { columns } = this.#terminal;
    const rows = this.#drawn.reduce((sum, width) => sum + Math.max(1, Math.ceil(width / columns)), 0);
    this.#drawn = [];
    return rows > 0 ? `\x1b[${rows}A\x1b[0J` : "";
  }
}

const nameWidth = (columns: number): number => Math.max(8, Math.min(26, Math.floor(columns / 2)));
