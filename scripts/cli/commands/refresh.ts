import { confirm } from "../ask.ts";
import { plural } from "../display/text.ts";
import { openRunner } from "../engines/open.ts";
import { UserError } from "../errors.ts";
import { failureLines, throwSettingsMistakes } from "../failure.ts";
import { startMachine } from "../machine.ts";
import { runShown } from "../run.ts";
import { openStack } from "../stack.ts";
import type { Context } from "./command.ts";

/** `atelier refresh`: what can be read is read into the state; nothing else changes. */
export async function refresh(context: Context): Promise<number> {
  const { options, terminal } = context;
  const stack = openStack(options.stack);
  const runner = openRunner(stack, options, terminal);
  if (
    stack.asks &&
    !options.yes &&
    !(await confirm(`Read stack \`${stack.name}\` into its state?`, terminal, "A refresh changes the state."))
  )
    throw new UserError("Nothing was changed.");
  await startMachine(stack);
  const { result, record } = await runShown(runner, "refresh", context);
  throwSettingsMistakes(record);
  if (result === "failed") for (const line of failureLines("refresh", record, context)) terminal.line(line);
  else if (result === "succeeded") terminal.line(`Refreshed ${plural(record.steps.steps.length, "resource")}.`);
  if (options.json)
    terminal.answer(JSON.stringify({ stack: stack.name, engine: runner.name, result, ...record.record }));
  return { succeeded: 0, failed: 1, interrupted: 130 }[result];
}
