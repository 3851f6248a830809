import { confirm } from "../ask.ts";
import { plural } from "../display/text.ts";
import { openRunner } from "../engines/open.ts";
import { isOnHost } from "../engines/state.ts";
import { messageOf, UserError } from "../errors.ts";
import { failureLines, throwSettingsMistakes } from "../failure.ts";
import { startMachine } from "../machine.ts";
import { runShown } from "../run.ts";
import { openSession } from "../ssh.ts";
import { openStack, type Stack } from "../stack.ts";
import { type Context, hint } from "./command.ts";

/** `atelier refresh`: what can be read is read into the state; nothing else changes. */
export async function refresh(context: Context): Promise<number> {
  const { options, terminal, interrupt } = context;
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
  // No engine dials a host for a refresh: there is nothing of a step that could be read.
  const asked = result === "succeeded" && stack.settings.host.kind === "ssh" && record.steps.steps.some(isOnHost);
  const away = asked ? await interrupt.orLeave(whyAway(stack)) : undefined;
  if (asked) terminal.line(away ?? `The host answers. What is out of place there: ${hint("preview", stack.name)}`);
  if (options.json) {
    const said = away === undefined ? { result } : { result: "failed", error: away };
    terminal.answer(JSON.stringify({ stack: stack.name, engine: runner.name, ...said, ...record.record }));
  }
  return away === undefined ? { succeeded: 0, failed: 1, interrupted: 130 }[result] : 1;
}

/** Why the host was not reached, and what that means; undefined: it answers. */
async function whyAway(stack: Stack): Promise<string | undefined> {
  try {
    (await openSession(stack)).close();
    return undefined;
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return (
      `${messageOf(error)}\nOf what is on that host, the state says what the last update left there; nobody looked. ` +
      `If the box is gone for good: ${hint("down", stack.name)} --host-gone`
    );
  }
}
