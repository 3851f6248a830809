import { confirm } from "../ask.ts";
import { plural } from "../display/text.ts";
import { deleteStates, protectStates } from "../engines/state.ts";
import { UsageError, UserError } from "../errors.ts";
import { openStack } from "../stack.ts";
import type { Context } from "./command.ts";

const done = { delete: "Taken out of the state", protect: "Protected", unprotect: "No longer protected" } as const;

/** `atelier state delete|protect|unprotect <urn…>`: changes what stands in the state, and nothing that it stands for. */
export async function state({ options, terminal }: Context): Promise<number> {
  const action = options.action as keyof typeof done;
  const urns = options.allResources ? undefined : options.args;
  if (options.allResources ? options.args.length > 0 : options.args.length === 0)
    throw new UsageError(`\`state ${action}\` wants the URNs of resources, or --all.`);
  for (const flag of ["force", "targetDependents"] as const) {
    if (options[flag] && action !== "delete") throw new UsageError(`That flag belongs to \`state delete\`.`);
  }
  const stack = openStack(options.stack);
  const what = urns === undefined ? "every resource" : plural(urns.length, "resource");
  if (stack.asks && !options.yes)
    if (!(await confirm(`\`${action}\` ${what} in the state?`, terminal, "`state` changes the state.")))
      throw new UserError("Nothing was changed.");
  const { force, targetDependents } = options;
  const changed =
    action === "delete"
      ? await deleteStates(stack.name, urns, { force, targetDependents })
      : await protectStates(stack.name, urns, action === "protect");
  if (options.json) terminal.answer(JSON.stringify({ stack: stack.name, action, urns: changed }));
  terminal.line(
    changed.length === 0 ? "Nothing had to change." : `${done[action]}: ${plural(changed.length, "resource")}.`,
  );
  for (const urn of changed) terminal.line(`  ${urn}`);
  return 0;
}
