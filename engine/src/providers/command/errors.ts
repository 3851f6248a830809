/** A command that ran and failed: its cause, its own text, and what it said. Secrets are masked by who builds it. */
export class CommandFailed extends Error {
  readonly code = "COMMAND_FAILED";
  /** Undefined: ended by a signal, or never started. */
  readonly exitCode: number | undefined;
  constructor(cause: string, command: string, output: string, exitCode?: number) {
    super(`${cause}: running ${quote(command)}:\n${output}`);
    this.name = "CommandFailed";
    this.exitCode = exitCode;
  }
}

/** The line dropped while a command was running on the host: nobody knows how it ended, it may be running still. */
export class ConnectionLost extends Error {
  readonly code = "CONNECTION_LOST";
  constructor(where: string, reason: string, command: string, output: string) {
    super(`connection lost while running: ${where}: ${reason}: running ${quote(command)}:\n${output}`);
    this.name = "ConnectionLost";
  }
}

/** No connection to the host. `kind` says whether trying again can help. */
export class DialFailed extends Error {
  readonly code = "DIAL_FAILED";
  readonly kind: "network" | "credentials" | "hostKey" | "settings";
  constructor(kind: DialFailed["kind"], message: string) {
    super(message);
    this.name = "DialFailed";
    this.kind = kind;
  }
}

/** A double-quoted text on one line, control characters escaped, as the official provider prints commands. */
export function quote(value: string): string {
  const named: Record<string, string> = {
    '"': '\\"',
    "\\": "\\\\",
    "\x07": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
  };
  const body = value.replace(/["\\]|[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/gu, (char) => {
    const short = named[char];
    if (short !== undefined) return short;
    const point = char.codePointAt(0) ?? 0;
    if (point < 0x20 || point === 0x7f) return `\\x${point.toString(16).padStart(2, "0")}`;
    return point > 0xffff ? `\\U${point.toString(16).padStart(8, "0")}` : `\\u${point.toString(16).padStart(4, "0")}`;
  });
  return `"${body}"`;
}
