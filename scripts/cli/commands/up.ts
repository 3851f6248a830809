import { relative } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { confirm } from "../ask.ts";
import { containerTrouble } from "../container.ts";
import { changesAnything } from "../display/plan.ts";
import type { Runner } from "../engines/engine.ts";
import { openRunner } from "../engines/open.ts";
import { moveConnection, readOutputs } from "../engines/state.ts";
import { UsageError, UserError } from "../errors.ts";
import { failureLines, lostConnection, notRemoved, showPlan, throwSettingsMistakes } from "../failure.ts";
import { startMachine } from "../machine.ts";
import { removeLeftovers } from "../onEngines.ts";
import { checkPlace } from "../place.ts";
import { settlePlatform } from "../platform.ts";
import { rentalState, rentalWords } from "../rental.ts";
import { proveAndReport, reportFailure } from "../report.ts";
import { runShown } from "../run.ts";
import { openStack } from "../stack.ts";
import { refuseUnmet } from "../unmet.ts";
import type { Context } from "./command.ts";
import { ensureTrusted } from "./trust.ts";

/** How often an update is run again after the line to the host dropped. */
const reconnects = 3;

/** `atelier up`: plan, question, update, live check, report. */
export async function up(context: Context): Promise<number> {
  const { options, terminal, interrupt } = context;
  let stack = openStack(options.stack);
  const runner = openRunner(stack, options, terminal);
  if (stack.asks && !options.yes && !terminal.asks) {
    throw new UserError(
      `\`up\` asks before it changes stack \`${stack.name}\`. There is no terminal to ask on: add --yes.`,
      2,
    );
  }
  if (options.skipPreview && stack.asks && !options.yes)
    throw new UsageError("--skip-preview shows no plan that could be agreed to: add --yes.");
  await startMachine(stack);
  await interrupt.orLeave(ensureTrusted(stack, options.yes, terminal));
  stack = await interrupt.orLeave(settlePlatform(stack, { fresh: true }, terminal));
  await checkPlace(stack);
  await interrupt.orLeave(refuseUnmet(stack, interrupt.signal));

  if (!options.skipPreview) {
    const plan = await runShown(runner, "preview", context);
    if (plan.result !== "succeeded") return giveUp("preview", plan, runner, context);
    showPlan(plan.record, context);
    if (changesAnything(plan.record.steps) && stack.asks && !options.yes) {
      const agreed = await confirm("Make it so?", terminal, "The plan changes something.");
      if (!agreed) throw new UserError("Nothing was changed.");
    }

    // A plan without changes needs no second run of the program and no second look at the host.
    if (
      !options.refresh &&
      !changesAnything(plan.record.steps) &&
      isDeepStrictEqual(plan.outputs, await readOutputs(stack.name))
    )
      return proveAndReport(stack, runner.name, plan.record, context);
  }

  await removeLeftovers(stack, { say: (line) => terminal.line(line), signal: interrupt.signal });
  let update = await runShown(runner, "up", context);
  for (let again = 1; again <= reconnects && update.result === "failed" && lostConnection(update.record); again++) {
    terminal.line(`The line to the host dropped; its work goes on there. Attaching again (${again} of ${reconnects}).`);
    update = await runShown(runner, "up", context);
  }
  if (update.result === "failed" && (await moveConnection(stack.name, notRemoved(update.record))) > 0) {
    terminal.line(
      "What was to be removed was looked for at an earlier address, or with an earlier login. Again, with those of now.",
    );
    update = await runShown(runner, "up", context);
  }
  if (update.result !== "succeeded") {
    const report =
      update.result === "failed"
        ? await reportFailure(stack, runner.name, update.record, context.startedAt)
        : undefined;
    const code = giveUp("update", update, runner, context);
    const rental = await rentalState(stack);
    if (rental) terminal.line(`  Rental     ${rentalWords(rental, stack.name)}`);
    const trouble = update.result === "failed" ? await containerTrouble(stack) : undefined;
    if (trouble) terminal.line(`  Container  ${trouble}`);
    if (report) terminal.line(`  Report     ${relative(process.cwd(), report)}`);
    return code;
  }
  return proveAndReport(stack, runner.name, update.record, context);
}

function giveUp(
  what: string,
  { result, record }: Awaited<ReturnType<typeof runShown>>,
  runner: Runner,
  context: Context,
): number {
  const { options, terminal } = context;
  throwSettingsMistakes(record);
  const lines =
    result === "failed"
      ? failureLines(what, record, context)
      : ["Interrupted. The state is saved and its lock released."];
  for (const line of lines) terminal.line(line);
  if (options.json)
    terminal.answer(JSON.stringify({ stack: options.stack, engine: runner.name, result, ...record.record }));
  return result === "failed" ? 1 : 130;
}
