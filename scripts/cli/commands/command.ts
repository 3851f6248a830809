import type { EventsFile } from "../display/eventsFile.ts";
import type { Interrupt } from "../interrupt.ts";
import type { Options } from "../options.ts";
import type { Terminal } from "../terminal.ts";

/** What every command works with. */
export interface Context {
  options: Options;
  terminal: Terminal;
  interrupt: Interrupt;
  /** Where `--events` wants them. */
  events?: EventsFile;
  /** When the command began, milliseconds since the epoch. */
  startedAt: number;
}

/** Gives the exit code. */
export type CommandFunction = (context: Context) => Promise<number>;

/** How a command line is repeated in a hint: with the stack, where it is not the default one. */
export const hint = (command: string, stack: string): string =>
  `npx atelier ${command}${stack === "rehearsal" ? "" : ` --stack ${stack}`}`;
