import { resolve } from "node:path";
import type { CommandFunction } from "./commands/command.ts";
import { diskTrouble } from "./diskTrouble.ts";
import { EventsFile } from "./display/eventsFile.ts";
import { Interrupted, messageOf, UsageError, UserError } from "./errors.ts";
import { Interrupt } from "./interrupt.ts";
import { type Command, commandOf, type Options, parseOptions, shortUsage, usage } from "./options.ts";
import { openTerminal, watchOutputs } from "./terminal.ts";

// Loaded when asked for: `--help` waits for no engine.
const commands: Record<Command, () => Promise<CommandFunction>> = {
  init: async () => (await import("./commands/init.ts")).init,
  up: async () => (await import("./commands/up.ts")).up,
  preview: async () => (await import("./commands/preview.ts")).preview,
  refresh: async () => (await import("./commands/refresh.ts")).refresh,
  down: async () => (await import("./commands/down.ts")).down,
  status: async () => (await import("./commands/status.ts")).status,
  outputs: async () => (await import("./commands/outputs.ts")).outputs,
  logs: async () => (await import("./commands/logs.ts")).logs,
  tunnel: async () => (await import("./commands/tunnel.ts")).tunnel,
  import: async () => (await import("./commands/import.ts")).importResource,
  stack: async () => (await import("./commands/stack.ts")).stack,
  state: async () => (await import("./commands/state.ts")).state,
  env: async () => (await import("./commands/env.ts")).env,
  trust: async () => (await import("./commands/trust.ts")).trust,
  models: async () => (await import("./commands/models.ts")).models,
  lock: async () => (await import("./commands/lock.ts")).lock,
  upstreams: async () => (await import("./commands/upstreams.ts")).upstreams,
  bundle: async () => (await import("./commands/bundle.ts")).bundle,
  image: async () => (await import("./commands/image.ts")).image,
};

/** Commands that hold no state and write a file at most at their end, as a whole: Ctrl-C leaves them wherever they wait. */
const stateless: ReadonlySet<Command> = new Set(["status", "outputs", "trust", "models", "lock", "upstreams"]);

/**
 * The command line.
 * @param args without node and the script
 * @returns the exit code: 0 done, 1 failed, 2 wrong usage or settings, 130 interrupted
 */
export async function main(args: string[]): Promise<number> {
  const lost = watchOutputs();
  const [first = "", ...rest] = args;
  const code = await run(["help", "version"].includes(first) ? [...rest, `--${first}`] : args);
  // An error of the last write comes in the next turn.
  await new Promise((resolve) => setImmediate(resolve));
  if (lost() === undefined || code !== 0) return code;
  process.stderr.write(`What was done is done, but standard output could not be written: ${lost()}\n`);
  return 1;
}

async function run(args: string[]): Promise<number> {
  const startedAt = Date.now();
  // A crash report that the user's NODE_OPTIONS ask for: without the environment, which may hold the passphrase.
  if (process.report) process.report.excludeEnv = true;
  // Children have working folders of their own.
  if (process.env.ATELIER_HOME) process.env.ATELIER_HOME = resolve(process.env.ATELIER_HOME);
  let options: Options;
  try {
    options = parseOptions(args);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    const command = commandOf(args);
    process.stderr.write(`${error.message}\n\n${shortUsage(command)}`);
    if (args.includes("--json"))
      process.stdout.write(`${JSON.stringify({ command, result: "failed", error: error.message })}\n`);
    return error.exitCode;
  }
  if (options.version) {
    const { versions, versionText } = await import("./version.ts");
    process.stdout.write(options.json ? `${JSON.stringify(versions())}\n` : versionText());
    return 0;
  }
  if (options.help) {
    const { command } = options;
    process.stdout.write(usage(args.includes(command) ? command : undefined));
    return 0;
  }
  const forPrograms = options.json || options.print || ["env", "outputs"].includes(options.command);
  const terminal = openTerminal({ json: forPrograms });
  const interrupt = new Interrupt((text) => terminal.line(text));
  let events: EventsFile | undefined;
  let endUpstreams: (() => Promise<void>) | undefined;
  try {
    // For what the run's own children say to do next.
    process.env.ATELIER_STACK = options.stack;
    // For them alone too: on a resource it would be a change, and its absence the next one.
    if (options.forceEdits) process.env.ATELIER_FORCE = "1";
    if (options.upstreams !== undefined) {
      const { useUpstreams } = await import("./bundle/use.ts");
      endUpstreams = await interrupt.orLeave(useUpstreams(options.upstreams, options.stack, terminal));
    }
    if (options.events !== undefined) events = new EventsFile(options.events);
    const command = await commands[options.command]();
    const done = command({ options, terminal, interrupt, events, startedAt });
    return await (stateless.has(options.command) ? interrupt.orLeave(done) : done);
  } catch (error) {
    return report(error, options);
  } finally {
    interrupt.close();
    await endUpstreams?.();
    const trouble = await events?.close();
    if (trouble) process.stderr.write(`warning: ${trouble}\n`);
    // What was left behind would go on until it has its answers, and write and say what comes of them.
    if (interrupt.left) process.exit(130);
  }
}

/** Says what went wrong: a user's mistake without a stack trace, ours with one where it is asked for. */
function report(thrown: unknown, { verbose, json, command, stack }: Options): number {
  const error = thrown instanceof Error ? (diskTrouble(thrown) ?? thrown) : thrown;
  const code =
    error instanceof Interrupted ? 130 : error instanceof UserError || isBootstrapError(error) ? error.exitCode : 1;
  const own = !(error instanceof Interrupted || error instanceof UserError || isBootstrapError(error));
  const text = own && verbose && error instanceof Error ? (error.stack ?? error.message) : messageOf(error);
  process.stderr.write(`${own ? "Atelier itself failed: " : ""}${text}\n`);
  if (own && !verbose)
    process.stderr.write(
      `That should not happen. With --verbose it says where; the state is as the last finished step left it.\n`,
    );
  if (json)
    process.stdout.write(
      `${JSON.stringify({ stack, command, result: code === 130 ? "interrupted" : "failed", error: messageOf(error) })}\n`,
    );
  return code;
}

/** The bootstrap is plain JavaScript, with an error class of its own. */
function isBootstrapError(error: unknown): error is Error & { exitCode: number } {
  return error instanceof Error && error.name === "BootstrapError";
}
