import { parseArgs } from "node:util";
import { UsageError } from "./errors.ts";
import { isSsh } from "./init/sshCommand.ts";
import { didYouMean } from "./nearest.ts";
import { checkStackName } from "./stackName.ts";

interface CommandForm {
  says: string;
  /** First words after the command, one of which must follow. */
  actions?: readonly string[];
  /** What else may follow, as the help shows it: `<model>` must be there, `[model…]` may be. */
  takes?: string;
}
const forms = {
  init: {
    says: "Write a stack for a rented box, from the SSH command that its platform shows",
    takes: '<"ssh -p 40722 root@…">',
  },
  up: { says: "Show the plan, make it so, prove it with a picture" },
  preview: { says: "Show the plan, change nothing" },
  refresh: { says: "Read the resources that can be read into the state" },
  down: { says: "Remove what `up` made; the cache stays" },
  status: { says: "Say what there is, and whether the WebUI answers" },
  outputs: { says: "Print the stack's outputs" },
  logs: { says: "Print the end of a log of the host's, and go on with --follow", takes: "[webui|gate|service]" },
  tunnel: { says: "Bring the host's WebUI to a port of this machine, through SSH, until Ctrl-C" },
  import: { says: "Take over what is there already, by its id", takes: "<type> <name> <id>" },
  stack: {
    says: "The stack's state as a file, out and in; its name; its past updates",
    actions: ["export", "import", "rename", "history"],
    takes: "[new name]",
  },
  state: {
    says: "Take resources out of the state, or protect them there; what they stand for stays as it is",
    actions: ["delete", "protect", "unprotect"],
    takes: "[urn…]",
  },
  env: { says: 'Print shell exports for plain `pulumi`: eval "$(npx atelier env)"' },
  trust: { says: "Show a host's SSH key and pin it" },
  models: {
    says: "The catalog, a stack's models and its host's store; add one by its address or its name",
    actions: ["list", "add", "verify", "prune"],
    takes: "[address|name]",
  },
  lock: { says: "Write images/atelier.lock; with --check say what has moved upstream" },
  upstreams: { says: "Show the table of upstreams, and how fast the host reaches them" },
  bundle: {
    says: "All that a stack is made of in one folder, for hosts without internet",
    actions: ["create", "serve", "push"],
    takes: "<folder>",
  },
  image: { says: "Build an image with the stack's WebUI in it, for host.kind: docker" },
} as const satisfies Record<string, CommandForm>;
export type Command = keyof typeof forms;
const commands: Record<Command, CommandForm> = forms;

interface Flag {
  /** As it is typed, where two commands mean different things by the same word. @default its key */
  called?: string;
  type: "string" | "boolean";
  /** May be given more than once. */
  multiple?: boolean;
  only?: readonly Command[];
  /** What the help calls its value. @default "name" */
  word?: string;
  values?: readonly string[];
  says: string;
}
const runs = ["up", "preview", "refresh", "down"] as const;
const flags = {
  stack: { type: "string", says: "Stack, as in stacks/Pulumi.<stack>.yaml (default: rehearsal)" },
  engine: { type: "string", values: ["embedded", "pulumi"], says: "embedded, or the official Pulumi CLI: pulumi" },
  json: { type: "boolean", says: "One JSON document on standard output, all else on standard error" },
  events: {
    type: "string",
    word: "file",
    only: ["up", "preview", "refresh", "down"],
    says: "A file or FIFO for the engine events, a JSON a line as they come",
  },
  yes: { type: "boolean", says: "Ask nothing" },
  verbose: { type: "boolean", says: "Every line of every step; stack traces of Atelier's own errors" },
  target: {
    type: "string",
    word: "urn",
    multiple: true,
    only: runs,
    says: "Only this resource: a URN, or a pattern with * or **",
  },
  "target-dependents": { type: "boolean", only: [...runs, "state"], says: "What leans on the targets too" },
  exclude: { type: "string", word: "urn", multiple: true, only: runs, says: "All but this resource" },
  "exclude-dependents": { type: "boolean", only: runs, says: "Not what leans on the excluded either" },
  "exclude-protected": {
    type: "boolean",
    only: ["down"],
    says: "All but the protected resources, and what they need",
  },
  "replace-urns": {
    called: "replace",
    type: "string",
    word: "urn",
    multiple: true,
    only: ["up", "preview"],
    says: "Make this resource anew, changed or not",
  },
  refresh: { type: "boolean", only: ["up", "preview"], says: "Read into the state what is really there first" },
  "skip-preview": { type: "boolean", only: ["up"], says: "Make it so without showing a plan first; needs --yes" },
  file: {
    type: "string",
    word: "file",
    only: ["stack"],
    says: "The file to export to or import from, instead of the standard ones",
  },
  "force-edits": {
    called: "force",
    type: "boolean",
    only: ["up", "preview"],
    says: "Overwrite what was edited in Dify's console",
  },
  force: { type: "boolean", only: ["stack", "state"], says: "Import a state with faults; delete protected resources" },
  parent: { type: "string", word: "urn", only: ["import"], says: "URN of the parent (default: the stack)" },
  provider: { type: "string", word: "urn", only: ["import"], says: "URN of the provider (default: the package's own)" },
  protect: {
    type: "string",
    word: "true|false",
    only: ["import"],
    values: ["true", "false"],
    says: "Keep it from being deleted (default: true)",
  },
  login: {
    type: "string",
    word: "how",
    only: ["init"],
    says: "agent, password, or a key file (default: the command's -i, else password)",
  },
  profile: {
    type: "string",
    only: ["init"],
    values: ["direct", "china", "auto", "offline"],
    says: "Where things come from (default: auto, what the box measures)",
  },
  "public-url": {
    type: "string",
    word: "address",
    only: ["init"],
    says: "Where the platform maps the WebUI's port to",
  },
  follow: { type: "boolean", only: ["logs"], says: "Go on with what is written, until Ctrl-C" },
  lines: { type: "string", word: "number", only: ["logs"], says: "How many lines of its end (default: 100)" },
  purge: { type: "boolean", only: ["down"], says: "Remove the cache of downloads too" },
  "host-gone": { type: "boolean", only: ["down"], says: "Forget the host without dialling it" },
  "dify-gone": { type: "boolean", only: ["down"], says: "Forget Dify, and what is in it, without asking it" },
  "show-secrets": { type: "boolean", only: ["outputs", "stack"], says: "Show passwords in clear" },
  replace: { type: "boolean", only: ["trust"], says: "Pin the new key of a host whose key has changed" },
  check: { type: "boolean", only: ["lock"], says: "Say what has moved upstream, write nothing" },
  measure: { type: "boolean", only: ["upstreams"], says: "Measure on the host, now" },
  upstreams: {
    type: "string",
    word: "profile",
    only: ["up", "preview", "upstreams", "bundle"],
    says: "Instead of the settings' profile: direct, china, auto, offline, or bundle:<folder>",
  },
  all: { type: "boolean", only: ["bundle"], says: "Everything in the lock, not only what the stack needs" },
  "all-resources": { called: "all", type: "boolean", only: ["state"], says: "Every resource" },
  port: {
    type: "string",
    word: "number",
    only: ["bundle", "tunnel"],
    says: "Port of loopback to serve on (default: a free one; of a tunnel the WebUI's own)",
  },
  kind: {
    type: "string",
    only: ["models"],
    values: ["checkpoint", "vae", "lora", "controlnet", "upscaler", "embedding"],
    says: "Kind of the model to add",
  },
  name: { type: "string", only: ["models"], says: "Its name in the settings (default: from its file)" },
  as: { type: "string", only: ["models"], says: "Its file's name in the WebUI (default: as at its source)" },
  sha256: { type: "string", word: "hex", only: ["models"], says: "Its sha256 (default: what the hub says)" },
  licence: { type: "string", only: ["models"], says: "Its licence" },
  print: { type: "boolean", only: ["models"], says: "Print the changed settings, write nothing" },
  tag: { type: "string", word: "image", only: ["image"], says: "The image's name (default: atelier/webui:<version>)" },
  base: {
    type: "string",
    word: "image",
    only: ["image"],
    says: "What it is built on, an image of images/cuda (default: built from the settings)",
  },
  "with-models": { type: "boolean", only: ["image"], says: "Bake the models in too" },
  help: { type: "boolean", says: "Show this" },
  version: { type: "boolean", says: "Atelier's version, its engine's and Node's" },
} as const satisfies Record<string, Flag>;
const shorts: Record<string, string> = { help: "h", version: "V" };

type Camel<Name extends string> = Name extends `${infer Head}-${infer Tail}`
  ? `${Head}${Capitalize<Camel<Tail>>}`
  : Name;
type ValueOf<F extends Flag> = F extends { type: "boolean" }
  ? boolean
  : F extends { multiple: true }
    ? string[]
    : F extends { values: readonly (infer V)[] }
      ? V | undefined
      : string | undefined;

/** The command line as read: every flag under its name in camel case, `--host-gone` as `hostGone`. */
export type Options = { [Name in keyof typeof flags as Camel<Name>]: ValueOf<(typeof flags)[Name]> } & {
  command: Command;
  /** The word after the command, where it has actions: `list` of `models list`. */
  action: string | undefined;
  args: string[];
  stack: string;
};

/**
 * Reads the command line, without node and the script.
 * @throws UsageError for an unknown command or flag, or one in the wrong place
 */
export function parseOptions(args: string[]): Options {
  const named = commandOf(args);
  const { values, positionals } = parse(named === "init" ? withSshCommand(args) : args, named);
  const [command, ...rest] = positionals;
  const asked = values.help || values.version;
  if (command === undefined && !asked) throw new UsageError("A command is missing.");
  if (command !== undefined && !isCommand(command))
    throw new UsageError(`\`${command}\` is not a command.${didYouMean(command, Object.keys(commands))}`);
  const { action, args: more } = command && !asked ? follow(command, rest) : { action: undefined, args: [] };
  for (const [name, flag] of Object.entries<Flag>(flags)) {
    const given = values[name];
    if (given === undefined) continue;
    if (flag.only && command && !flag.only.includes(command))
      throw new UsageError(`--${flag.called ?? name} belongs to \`${flag.only.join("`, `")}\`, not to \`${command}\`.`);
    for (const value of [given].flat())
      if (flag.values && !flag.values.includes(String(value)))
        throw new UsageError(`--${flag.called ?? name} is ${flag.values.join(" or ")}, not \`${value}\`.`);
  }
  const stack = values.stack === undefined ? "rehearsal" : String(values.stack);
  checkStackName(stack, "--stack");
  const read = Object.entries<Flag>(flags).map(([name, { type, multiple }]) => {
    const value = values[name] ?? (type === "boolean" ? false : multiple ? [] : undefined);
    return [name.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase()), value];
  });
  return { ...Object.fromEntries(read), command: command ?? "up", action, args: more, stack } as Options;
}

/** What follows a command: its action, where it has some, and the rest. */
function follow(command: Command, words: string[]): { action: string | undefined; args: string[] } {
  const { actions, takes } = commands[command];
  const action = actions ? words[0] : undefined;
  if (actions && !(action && actions.includes(action)))
    throw new UsageError(`\`${command}\` wants one of ${actions.join(", ")}${action ? `, not \`${action}\`` : ""}.`);
  const args = actions ? words.slice(1) : words;
  if (args.length > 0 && !takes)
    throw new UsageError(`\`${args.join(" ")}\` is more than \`${command}\` takes; a stack is named by --stack.`);
  return { action, args };
}

type Given = Record<string, string | boolean | string[] | undefined>;

/** An SSH command may stand unquoted behind `init`: its options are its own. */
function withSshCommand(args: string[]): string[] {
  const at = args.findIndex((word, index) => index > args.indexOf("init") && isSsh(word));
  return at < 0 || args.includes("--") ? args : [...args.slice(0, at), "--", ...args.slice(at)];
}

/** The first word that is a command; nothing else can be told before it is known which flags there are. */
export function commandOf(args: string[]): Command | undefined {
  return args.find((word): word is Command => isCommand(word));
}

function parse(args: string[], command: Command | undefined): { values: Given; positionals: string[] } {
  // Of two flags that are typed alike, the command's own.
  const keys = new Map<string, string>();
  for (const [key, { called = key, only }] of Object.entries<Flag>(flags)) {
    if (!keys.has(called) || (command && only?.includes(command))) keys.set(called, key);
  }
  try {
    const options = Object.fromEntries(
      [...keys].map(([called, key]) => {
        const { type, multiple = false }: Flag = flags[key as keyof typeof flags];
        return [called, { type, multiple, ...(shorts[called] && { short: shorts[called] }) }];
      }),
    );
    const { values, positionals } = parseArgs({ args, options, allowPositionals: true, strict: true });
    const given = Object.entries(values as Given).map(([called, value]) => [keys.get(called) ?? called, value]);
    return { values: Object.fromEntries(given), positionals };
  } catch (error) {
    // Node's first sentence names the flag; the second explains how to escape a dash.
    const [said = ""] = (error as Error).message.split(/\. |\n/);
    const [, dashes, unknown = ""] = /^Unknown option '(--?)([\w-]+)'/.exec(said) ?? [];
    const known = [...keys].filter(([, key]) => isOf(flags[key as keyof typeof flags], command));
    // Of one letter, as other tools have them, the first option that begins with it.
    const word = dashes === "-" ? (known.find(([called]) => called[0] === unknown)?.[0] ?? "") : unknown;
    const near = didYouMean(word, [...keys.keys()], (name) => `--${name}`);
    throw new UsageError(`${said.replace(/\.$/, "")}.${near}`);
  }
}

const isOf = ({ only }: Flag, command: Command | undefined): boolean => !only || !command || only.includes(command);

const isCommand = (word: string): word is Command => Object.hasOwn(commands, word);

const inRows = (rows: [string, string][], wide = Math.max(...rows.map(([left]) => left.length))) =>
  rows.map(([left, right]) => `  ${left.padEnd(wide)} ${right}`).join("\n");

function usageHead(command?: Command): string {
  if (!command)
    return `Usage: atelier <command> [options]\n\nCommands:\n${inRows(Object.entries(commands).map(([name, form]) => [name, form.says]))}`;
  const { says, actions, takes } = commands[command];
  return `Usage: atelier ${[command, actions?.join("|"), takes].filter(Boolean).join(" ")} [options]\n\n${says}.`;
}

/** What goes with a mistake: all options of all commands would push it off the screen. */
export const shortUsage = (command?: Command): string =>
  command ? usage(command) : `${usageHead()}\n\n\`npx atelier <command> --help\` shows a command's options.\n`;

/** The help text; of one command when it is given. */
export function usage(command?: Command): string {
  const shown = Object.entries<Flag>(flags).filter(([, flag]) => isOf(flag, command));
  const options = shown.map(([name, { called = name, type, only, word = "name", says }]): [string, string] => [
    `--${called}${type === "string" ? ` <${word}>` : ""}`,
    only && !command ? `${says} (${only.join(", ")})` : says,
  ]);
  return `${usageHead(command)}\n\nOptions:\n${inRows(options)}\n`;
}
