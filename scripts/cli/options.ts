import { parseArgs } from "node:util";
import { UsageError } from "./errors.ts";

export const commands = {
  up: "Show the plan, make it so, prove it with a picture",
  preview: "Show the plan, change nothing",
  refresh: "Read the resources that can be read into the state",
  down: "Remove what `up` made; the cache stays",
  status: "Say what there is, and whether the WebUI answers",
  outputs: "Print the stack's outputs",
  env: 'Print shell exports for plain `pulumi`: eval "$(npx atelier env)"',
  trust: "Show a host's SSH key and pin it",
} as const;
export type Command = keyof typeof commands;

type Flag = { type: "string" | "boolean"; only?: readonly Command[]; values?: readonly string[]; says: string };
const flags = {
  stack: { type: "string", says: "Stack, as in stacks/Pulumi.<stack>.yaml (default: rehearsal)" },
  engine: { type: "string", values: ["embedded", "pulumi"], says: "embedded, or the official Pulumi CLI: pulumi" },
  json: { type: "boolean", says: "One JSON document on standard output, all else on standard error" },
  yes: { type: "boolean", says: "Ask nothing" },
  verbose: { type: "boolean", says: "Every line of every step; stack traces of Atelier's own errors" },
  purge: { type: "boolean", only: ["down"], says: "Remove the cache of downloads too" },
  "host-gone": { type: "boolean", only: ["down"], says: "Forget the host without dialling it" },
  "show-secrets": { type: "boolean", only: ["outputs"], says: "Show passwords in clear" },
  replace: { type: "boolean", only: ["trust"], says: "Pin the new key of a host whose key has changed" },
  help: { type: "boolean", says: "Show this" },
} as const satisfies Record<string, Flag>;

export interface Options {
  command: Command;
  stack: string;
  /** Undefined: what the stack's settings say. */
  engine: "embedded" | "pulumi" | undefined;
  json: boolean;
  yes: boolean;
  verbose: boolean;
  purge: boolean;
  hostGone: boolean;
  showSecrets: boolean;
  replace: boolean;
  help: boolean;
}

/**
 * Reads the command line, without node and the script.
 * @throws UsageError for an unknown command or flag, or one in the wrong place
 */
export function parseOptions(args: string[]): Options {
  const { values, positionals } = parse(args);
  const [command, ...rest] = positionals;
  if (command === undefined && !values.help) throw new UsageError("A command is missing.");
  if (command !== undefined && !isCommand(command)) throw new UsageError(`\`${command}\` is not a command.`);
  if (rest.length > 0) throw new UsageError(`\`${rest.join(" ")}\` is more than \`${command}\` takes.`);
  for (const [name, flag] of Object.entries<Flag>(flags)) {
    const value = values[name];
    if (value === undefined) continue;
    if (flag.only && command && !flag.only.includes(command))
      throw new UsageError(`--${name} belongs to \`${flag.only.join("`, `")}\`, not to \`${command}\`.`);
    if (flag.values && !flag.values.includes(String(value)))
      throw new UsageError(`--${name} is ${flag.values.join(" or ")}, not \`${value}\`.`);
  }
  const stack = values.stack === undefined ? "rehearsal" : String(values.stack);
  // The name becomes a folder and a file name.
  if (!/^[A-Za-z0-9][\w-]{0,63}$/.test(stack))
    throw new UsageError(`--stack is a name of letters, digits, \`-\` and \`_\`, not \`${stack}\`.`);
  return {
    command: command ?? "up",
    stack,
    engine: values.engine as Options["engine"],
    json: values.json === true,
    yes: values.yes === true,
    verbose: values.verbose === true,
    purge: values.purge === true,
    hostGone: values["host-gone"] === true,
    showSecrets: values["show-secrets"] === true,
    replace: values.replace === true,
    help: values.help === true,
  };
}

function parse(args: string[]): { values: Record<string, string | boolean | undefined>; positionals: string[] } {
  try {
    const options = Object.fromEntries(Object.entries(flags).map(([name, { type }]) => [name, { type }]));
    const { values, positionals } = parseArgs({ args, options, allowPositionals: true, strict: true });
    return { values: values as Record<string, string | boolean | undefined>, positionals };
  } catch (error) {
    // Node's first sentence names the flag; the second explains how to escape a dash.
    throw new UsageError(`${(error as Error).message.split(/\. |\n/)[0]?.replace(/\.$/, "")}.`);
  }
}

const isCommand = (word: string): word is Command => Object.hasOwn(commands, word);

/** The help text; of one command when it is given. */
export function usage(command?: Command): string {
  const shown = Object.entries<Flag>(flags).filter(([, { only }]) => !only || !command || only.includes(command));
  const list = (rows: [string, string][]) => rows.map(([left, right]) => `  ${left.padEnd(18)} ${right}`).join("\n");
  const head = command
    ? `Usage: atelier ${command} [options]\n\n${commands[command]}.`
    : `Usage: atelier <command> [options]\n\nCommands:\n${list(Object.entries(commands))}`;
  const options = shown.map(([name, { type, only, says }]): [string, string] => [
    `--${name}${type === "string" ? " <name>" : ""}`,
    only && !command ? `${says} (${only.join(", ")})` : says,
  ]);
  return `${head}\n\nOptions:\n${list(options)}\n`;
}
