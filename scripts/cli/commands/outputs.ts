import { readOutputs } from "../engines/state.ts";
import { UserError } from "../errors.ts";
import { openStack } from "../stack.ts";
import { type Context, hint } from "./command.ts";

/** Outputs for programs: long, and said better by the report. */
const hidden = ["liveCheck", "proof", "difyProof"];

/** `atelier outputs`: secrets as `[secret]` until they are asked for. */
export async function outputs({ options, terminal }: Context): Promise<number> {
  const stack = openStack(options.stack);
  const all = await readOutputs(stack.name);
  if (Object.keys(all).length === 0)
    throw new UserError(`Stack \`${stack.name}\` has no outputs yet. First: ${hint("up", stack.name)}`);
  const shown = Object.entries(all).map(([name, { value, secret }]): [string, unknown] => [
    name,
    secret && !options.showSecrets ? "[secret]" : value,
  ]);
  if (options.json) {
    terminal.answer(JSON.stringify(Object.fromEntries(shown)));
    return 0;
  }
  const rows = shown.filter(([name]) => !hidden.includes(name));
  const width = Math.max(...rows.map(([name]) => name.length));
  for (const [name, value] of rows)
    terminal.answer(`${name.padEnd(width)}  ${typeof value === "string" ? value : JSON.stringify(value)}`);
  if (!options.showSecrets && Object.values(all).some(({ secret }) => secret))
    terminal.line(terminal.colours.dim(`In clear: ${hint("outputs", stack.name)} --show-secrets`));
  return 0;
}
