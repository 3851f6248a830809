/** A mistake or a lack that the user can mend: its message is shown alone, without a stack trace. */
export class UserError extends Error {
  /** 1: what was asked for failed; 2: wrong usage or settings. */
  readonly exitCode: 1 | 2;
  constructor(message: string, exitCode: 1 | 2 = 1) {
    super(message);
    this.name = "UserError";
    this.exitCode = exitCode;
  }
}

/** Wrong usage: the message goes with the command's usage. */
export class UsageError extends UserError {
  constructor(message: string) {
    super(message, 2);
    this.name = "UsageError";
  }
}

/** The user's Ctrl-C, where nothing was running that has to be saved. */
export class Interrupted extends Error {
  constructor(message = "Interrupted.") {
    super(message);
    this.name = "Interrupted";
  }
}

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
