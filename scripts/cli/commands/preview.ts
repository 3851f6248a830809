import { openRunner } from "../engines/open.ts";
import { failureLines, showPlan, throwSettingsMistakes } from "../failure.ts";
import { startMachine } from "../machine.ts";
import { checkPlace } from "../place.ts";
import { settlePlatform } from "../platform.ts";
import { runShown } from "../run.ts";
import { openStack } from "../stack.ts";
import { refuseUnmet } from "../unmet.ts";
import type { Context } from "./command.ts";
import { ensureTrusted } from "./trust.ts";

/** `atelier preview`: the plan, and nothing changed. */
export async function preview(context: Context): Promise<number> {
  const { options, terminal, interrupt } = context;
  let stack = openStack(options.stack);
  const runner = openRunner(stack, options, terminal);
  await startMachine(stack);
  await interrupt.orLeave(ensureTrusted(stack, options.yes, terminal));
  stack = await interrupt.orLeave(settlePlatform(stack, { fresh: true }, terminal));
  await checkPlace(stack);
  await interrupt.orLeave(refuseUnmet(stack, interrupt.signal));
  const { result, record } = await runShown(runner, "preview", context);
  throwSettingsMistakes(record);
  if (result === "succeeded") showPlan(record, context);
  else if (result === "failed") for (const line of failureLines("preview", record, context)) terminal.line(line);
  if (options.json)
    terminal.answer(JSON.stringify({ stack: stack.name, engine: runner.name, result, ...record.record }));
  return { succeeded: 0, failed: 1, interrupted: 130 }[result];
}
