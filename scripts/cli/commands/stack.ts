import { readFileSync } from "node:fs";
import { outlivesDown } from "../../../stacks/dify/kept.ts";
import { renamedFile } from "../../../stacks/renamed.ts";
import { confirm } from "../ask.ts";
import { plural } from "../display/text.ts";
import { exportState, importState, listResources, pastUpdates, renameState, workspaceId } from "../engines/state.ts";
import { UsageError, UserError } from "../errors.ts";
import { writeWhole } from "../files.ts";
import { pauseMachine } from "../machine.ts";
import { home, project } from "../paths.ts";
import { openStack, type Stack } from "../stack.ts";
import { checkHomeIsFree, moveHome } from "../stackHome.ts";
import { checkStackName } from "../stackName.ts";
import { type Context, hint } from "./command.ts";

/** `atelier stack export|import|rename|history`: the whole of a stack's state, as `pulumi stack` has it. */
export async function stack(context: Context): Promise<number> {
  const { options } = context;
  const one = openStack(options.stack);
  if (options.action !== "rename" && options.args.length > 0)
    throw new UsageError(`\`stack ${options.action}\` takes no further word, not \`${options.args.join(" ")}\`.`);
  switch (options.action) {
    case "export":
      return exportOf(one, context);
    case "import":
      return importInto(one, context);
    case "rename":
      return rename(one, context);
    default:
      return history(one, context);
  }
}

async function exportOf(one: Stack, { options, terminal }: Context): Promise<number> {
  const text = `${JSON.stringify(await exportState(one.name, options.showSecrets), null, 4)}\n`;
  if (options.file === undefined) terminal.answer(text.trimEnd());
  // Whoever may read the file may read the secrets in it.
  else {
    writeWhole(options.file, text, 0o600);
    if (options.json) terminal.answer(JSON.stringify({ stack: one.name, file: options.file }));
  }
  return 0;
}

async function importInto(one: Stack, { options, terminal }: Context): Promise<number> {
  const text = readText(options.file);
  if (one.asks && !options.yes)
    if (!(await confirm(`Replace the state of stack \`${one.name}\`?`, terminal, "`stack import` replaces the state.")))
      throw new UserError("Nothing was changed.");
  const { resources, warnings } = await importState(one.name, text, options.force);
  for (const warning of warnings) terminal.line(`warning: ${warning}`);
  terminal.line(`Imported ${plural(resources, "resource")}. The state before is kept as a backup.`);
  if (options.json) terminal.answer(JSON.stringify({ stack: one.name, resources, warnings }));
  return 0;
}

function readText(file: string | undefined): string {
  try {
    return readFileSync(file ?? 0, "utf8");
  } catch (error) {
    throw new UserError(
      file === undefined
        ? "Nothing came on standard input. Give the exported state there, or by --file."
        : `${file} can't be read: ${(error as Error).message}`,
      2,
    );
  }
}

async function rename(one: Stack, { options, terminal }: Context): Promise<number> {
  const [to, ...more] = options.args;
  if (to === undefined || more.length > 0) throw new UsageError("`stack rename` wants one word: the new name.");
  checkStackName(to, "A stack's name");
  if (one.settings.host.kind === "local")
    throw new UserError(
      `The host of stack \`${one.name}\` is this machine, in a folder of that name. Remove it (${hint("down", one.name)}), ` +
        "copy its settings file to the new name, and let `up` make it there.",
    );
  if (one.settings.host.kind === "docker" && one.settings.host.volume === undefined)
    throw new UserError(
      `The volume of stack \`${one.name}\` has that name, and another would begin empty. Name it in the settings first: ` +
        `host.volume: ${project}-${one.name}.`,
    );
  const states = await listResources(one.name);
  if (states.some((state) => outlivesDown(state) && isOfEngine(state)))
    throw new UserError(
      `Dify's volumes have the name of stack \`${one.name}\`, and others would begin empty. What is in them has to be given up first: ${hint("down", one.name)} --purge.`,
    );
  checkHomeIsFree(to);
  if (one.asks && !options.yes)
    if (!(await confirm(`Rename stack \`${one.name}\` to \`${to}\`?`, terminal, "`stack rename` renames its files.")))
      throw new UserError("Nothing was changed.");
  const { settings } = await renameState(one.name, to);
  // Stand-ins know their own folder; the next command that needs them starts them there.
  await pauseMachine(one);
  moveHome(one.name, to);
  const id = workspaceId(states);
  if (id !== undefined) writeWhole(renamedFile(home, to), `${id}\n`);
  terminal.line(`Renamed to \`${to}\`${settings === undefined ? "" : `; its settings are ${settings}`}.`);
  if (options.json) terminal.answer(JSON.stringify({ stack: to, before: one.name, settings }));
  return 0;
}

const isOfEngine = ({ type }: { type: string }): boolean => type.startsWith("docker:");

async function history(one: Stack, { options, terminal }: Context): Promise<number> {
  const updates = await pastUpdates(one.name);
  if (options.json) {
    terminal.answer(JSON.stringify(updates));
    return 0;
  }
  if (updates.length === 0)
    throw new UserError(`Stack \`${one.name}\` has no history yet. First: ${hint("up", one.name)}`);
  for (const { version, kind, startTime, endTime, result, resourceChanges, message } of updates) {
    const changes = Object.entries(resourceChanges ?? {})
      .filter(([op]) => op !== "same")
      .map(([op, count]) => `${count} ${op}`)
      .join(", ");
    const begun = new Date(startTime * 1000).toISOString().replace(".000Z", "Z");
    const words = [`${version}`.padStart(4), begun, kind.padEnd(8), result.padEnd(9), `${endTime - startTime} s`];
    terminal.answer([...words, changes || "no changes", ...(message === "" ? [] : [message])].join("  "));
  }
  return 0;
}
