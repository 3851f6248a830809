import { createInterface } from "node:readline/promises";
import { Interrupted, UserError } from "./errors.ts";
import type { Terminal } from "./terminal.ts";

/**
 * Asks a yes-or-no question; anything but yes is no.
 * @param without what `--yes` would have meant, for the error where nobody can be asked
 * @throws UserError (exit code 2) where there is no terminal
 */
export async function confirm(question: string, terminal: Terminal, without: string): Promise<boolean> {
  if (!terminal.asks) throw new UserError(`${without} There is no terminal to ask on: add --yes.`, 2);
  const reader = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return await new Promise<boolean>((resolve, reject) => {
      reader.on("SIGINT", () => reject(new Interrupted()));
      reader.on("close", () => resolve(false));
      reader.question(`${question} [y/N] `).then((answer) => resolve(/^y(es)?$/i.test(answer.trim())), reject);
    });
  } finally {
    reader.close();
  }
}

/** Asks for one of some words; an empty answer is `standard`. There must be a terminal. */
export async function choose<Word extends string>(
  question: string,
  words: readonly Word[],
  standard: Word,
): Promise<Word> {
  const reader = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return await new Promise<Word>((resolve, reject) => {
      reader.on("SIGINT", () => reject(new Interrupted()));
      reader.on("close", () => reject(new UserError("Nothing was chosen.", 2)));
      const ask = () =>
        reader.question(`${question} [${words.join(", ")}; ${standard}] `).then((answer) => {
          const word = answer.trim() || standard;
          if ((words as readonly string[]).includes(word)) resolve(word as Word);
          else ask();
        }, reject);
      ask();
    });
  } finally {
    reader.close();
  }
}
