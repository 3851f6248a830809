/** A check's "no": what was seen, and what to do next. The message is meant for people. */
export class CheckFailed extends Error {
  constructor(what: string, next?: string, options?: ErrorOptions) {
    super(next ? `${sentence(what)} ${sentence(next)}` : sentence(what), options);
    this.name = "CheckFailed";
  }
}

/**
 * - `unreachable`: no connection could be made
 * - `broken`: the connection ended before the answer did
 * - `late`: no whole answer before the deadline
 * - `odd`: an answer that no WebUI gives
 */
export type CallProblem = "unreachable" | "broken" | "late" | "odd";

/** A call that brought no usable answer. */
export class CallFailed extends CheckFailed {
  readonly problem: CallProblem;
  constructor(problem: CallProblem, what: string, next?: string, options?: ErrorOptions) {
    super(what, next, options);
    this.name = "CallFailed";
    this.problem = problem;
  }
}

/** Makes a phrase end like a sentence. */
function sentence(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

/** The text of anything thrown, in one line, without a stack. */
export function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const inner =
    error.cause instanceof Error && !error.message.includes(error.cause.message) ? ` (${error.cause.message})` : "";
  return `${error.message}${inner}`.replace(/\s+/g, " ").trim();
}
