import type { Context } from "./commands/command.ts";
import { both, type Display } from "./display/display.ts";
import { PlainDisplay } from "./display/plain.ts";
import { RecordDisplay } from "./display/record.ts";
import { TtyDisplay } from "./display/tty.ts";
import type { Import, Operation, Runner, RunResult, Scope } from "./engines/engine.ts";
import { updateWords } from "./interrupt.ts";

const idle = {
  preview: "planning",
  up: "working",
  refresh: "reading",
  destroy: "removing",
  import: "importing",
} as const;

/** What is overwritten where it can be, plain lines where not. */
export function openDisplay(
  { options, terminal }: Pick<Context, "options" | "terminal">,
  { idle, quiet = false }: { idle: string; quiet?: boolean },
): Display {
  return terminal.live
    ? new TtyDisplay(terminal, { verbose: options.verbose, idle, quiet })
    : new PlainDisplay(terminal, { verbose: options.verbose, quiet });
}

/** What the command line says of the resources to touch. */
function scopeOf(options: Context["options"], operation: Operation): Scope {
  const { target, targetDependents, exclude, excludeDependents, replaceUrns, refresh } = options;
  const scope = { targets: target, targetDependents, excludes: exclude, excludeDependents };
  return operation === "up" || operation === "preview" ? { ...scope, replace: replaceUrns, refresh } : scope;
}

/** Runs an operation of an engine, shows it, and gives what happened. */
export async function runShown(
  runner: Runner,
  operation: Operation,
  { options, terminal, interrupt, events }: Pick<Context, "options" | "terminal" | "interrupt" | "events">,
  { preview = false, imports }: { preview?: boolean; imports?: Import[] } = {},
): Promise<RunResult & { record: RecordDisplay }> {
  const record = new RecordDisplay();
  // A plan is shown when it is whole.
  const quiet = operation === "preview" || preview;
  const shown = openDisplay({ options, terminal }, { idle: idle[operation], quiet });
  const display = both(record, shown);
  const before = { say: interrupt.say, words: interrupt.words };
  Object.assign(interrupt, { say: (text: string) => display.note(text), words: updateWords });
  try {
    const { result, outputs } = await runner.run(operation, {
      onEvent: (event) => {
        events?.event(event);
        // The engines count in whole seconds.
        display.event({ ...event, timestamp: Date.now() / 1000 });
      },
      signal: interrupt.signal,
      killSignal: interrupt.killSignal,
      preview,
      ...(imports ? { imports } : scopeOf(options, operation)),
    });
    return { result: interrupt.pressed && result !== "succeeded" ? "interrupted" : result, outputs, record };
  } finally {
    display.end();
    Object.assign(interrupt, before);
  }
}
