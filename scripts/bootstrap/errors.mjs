/** A mistake or a lack that the user can mend: shown without a stack trace. */
export class BootstrapError extends Error {
  constructor(message, exitCode = 1) {
    super(message);
    this.name = "BootstrapError";
    this.exitCode = exitCode;
  }
}

/** A line for people: on standard error, so that `--json` stays clean. */
export function say(line) {
  process.stderr.write(`${line}\n`);
}
