import { readSync } from "node:fs";

/** The first line of standard input, as JSON; waits for it. An engine that has ended sends none, and its child ends too. */
export function firstLine() {
  const parts = [];
  const part = Buffer.alloc(64 * 1024);
  for (;;) {
    const length = readSync(0, part);
    if (length === 0) process.exit(0);
    parts.push(Buffer.from(part.subarray(0, length)));
    if (part.subarray(0, length).includes(10)) return JSON.parse(Buffer.concat(parts).toString());
  }
}
