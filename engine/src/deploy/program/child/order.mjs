import { readSync } from "node:fs";

/** What the engine speaks on. Standard input is the program's own, and empty: a program, or a child of it, that reads it ends. */
export const ENGINE_FD = 3;

/** The first line of what the engine says, as JSON; waits for it. An engine that has ended sends none, and its child ends too. */
export function firstLine() {
  const parts = [];
  const part = Buffer.alloc(64 * 1024);
  for (;;) {
    const length = readSync(ENGINE_FD, part);
    if (length === 0) process.exit(0);
    parts.push(Buffer.from(part.subarray(0, length)));
    if (part.subarray(0, length).includes(10)) return JSON.parse(Buffer.concat(parts).toString());
  }
}
