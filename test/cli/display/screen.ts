import { spawn, spawnSync } from "node:child_process";
import { join } from "node:path";
import headless from "@xterm/headless";
import { until } from "../../helpers/until.ts";

/** Why there is no terminal to run on here; undefined: there is. */
export const noPty: string | undefined =
  process.platform === "win32" || spawnSync("python3", ["-c", "import pty"]).status !== 0
    ? "no python3 with its module pty"
    : undefined;

export interface Size {
  columns: number;
  rows: number;
}

/** A command on a real terminal, what it writes drawn by a terminal emulator. */
export class Screen {
  readonly #terminal: InstanceType<typeof headless.Terminal>;
  readonly #child: ReturnType<typeof spawn>;
  /** All that was written. */
  raw = "";
  readonly exitCode: Promise<number | null>;

  constructor(command: string[], { columns, rows }: Size, options: { cwd?: string; env?: NodeJS.ProcessEnv } = {}) {
    this.#terminal = new headless.Terminal({ cols: columns, rows, scrollback: 10_000, allowProposedApi: true });
    this.#child = spawn(
      "python3",
      [join(import.meta.dirname, "onTerminal.py"), String(columns), String(rows), ...command],
      {
        ...options,
        env: { ...process.env, TERM: "xterm-256color", CI: "", NO_COLOR: "", FORCE_COLOR: undefined, ...options.env },
        stdio: ["pipe", "pipe", "inherit"],
      },
    );
    this.#child.stdin?.on("error", () => {});
    // The emulator gets its new size where the terminal got it: between two writes of the command, never among what was drawn for the old.
    this.#terminal.parser.registerOscHandler(7001, (size) => {
      const [columns = 0, rows = 0] = size.split(";").map(Number);
      this.#terminal.resize(columns, rows);
      return true;
    });
    this.#child.stdout?.on("data", (data: Buffer) => {
      this.raw += data.toString();
      this.#terminal.write(data);
    });
    this.exitCode = new Promise((resolve) => this.#child.once("close", resolve));
  }

  /** Gives the terminal another size, while the command runs. */
  resize({ columns, rows }: Size): void {
    this.#child.stdin?.write(`${columns} ${rows}\n`);
  }

  /** Every line that the terminal holds, what has scrolled up too, without empty ones at the end; and whether it goes on a wrapped one. */
  async lines(): Promise<{ text: string; wrapped: boolean }[]> {
    await new Promise<void>((done) => this.#terminal.write("", done));
    const { active } = this.#terminal.buffer;
    const lines = Array.from({ length: active.length }, (_, n) => active.getLine(n)).map((line) => ({
      text: line?.translateToString(true) ?? "",
      wrapped: line?.isWrapped ?? false,
    }));
    while (lines.at(-1)?.text === "") lines.pop();
    return lines;
  }

  /** Looks again until what is looked for is there. */
  async until(condition: (lines: string[]) => boolean): Promise<void> {
    const shown = async () => condition((await this.lines()).map(({ text }) => text));
    await until("what is looked for shows", shown, () => `:\n${this.raw.slice(-2000)}`);
  }

  stop(): void {
    this.#child.kill();
  }
}
