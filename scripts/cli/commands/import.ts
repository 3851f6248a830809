import { confirm } from "../ask.ts";
import { planLines } from "../display/plan.ts";
import type { Import } from "../engines/engine.ts";
import { openRunner } from "../engines/open.ts";
import { listResources } from "../engines/state.ts";
import { UsageError, UserError } from "../errors.ts";
import { failureLines, throwSettingsMistakes } from "../failure.ts";
import { declaration } from "../importedCode.ts";
import { runShown } from "../run.ts";
import { openStack } from "../stack.ts";
import type { Context } from "./command.ts";

/** `atelier import <type> <name> <id>`: takes over what is there already, and says how the program describes it. */
export async function importResource(context: Context): Promise<number> {
  const { options, terminal } = context;
  const [type, name, id, ...more] = options.args;
  if (type === undefined || name === undefined || id === undefined || more.length > 0)
    throw new UsageError("`import` wants three words: the resource's type, its name in the program, and its id.");
  const stack = openStack(options.stack);
  const runner = openRunner(stack, options, terminal);
  const one: Import = {
    type,
    name,
    id,
    protect: options.protect !== "false",
    ...(options.parent && { parent: options.parent }),
    ...(options.provider && { provider: options.provider }),
  };
  const plan = await runShown(runner, "import", context, { preview: true, imports: [one] });
  if (plan.result !== "succeeded") return finish(plan, "import", context, runner.name);
  for (const line of planLines(plan.record.steps, terminal)) terminal.line(line);
  if (stack.asks && !options.yes && !(await confirm("Import it?", terminal, "`import` changes the state.")))
    throw new UserError("Nothing was changed.");

  const done = await runShown(runner, "import", context, { imports: [one] });
  if (done.result === "succeeded") {
    const state = (await listResources(stack.name)).findLast((state) => state.type === type && state.id === id);
    if (state !== undefined) {
      terminal.line("Imported. Describe it in the program, or the next `up` takes it for one to be deleted:");
      terminal.line(declaration(state));
    }
  }
  return finish(done, "import", context, runner.name);
}

function finish(
  { result, record }: Awaited<ReturnType<typeof runShown>>,
  what: string,
  context: Context,
  engine: string,
): number {
  const { options, terminal } = context;
  throwSettingsMistakes(record);
  if (result === "failed") for (const line of failureLines(what, record, context)) terminal.line(line);
  if (options.json) terminal.answer(JSON.stringify({ stack: options.stack, engine, result, ...record.record }));
  return { succeeded: 0, failed: 1, interrupted: 130 }[result];
}
