import { listResources } from "../engines/state.ts";
import { UsageError, UserError } from "../errors.ts";
import { mayGo, noEntry } from "../mayGo.ts";
import { openSession } from "../ssh.ts";
import { openStack } from "../stack.ts";
import { type Context, hint } from "./command.ts";

/** The logs of a host by name, below its workspace. */
const files = {
  webui: "logs/webui.log",
  gate: "logs/gate.log",
  /** supervisor's; systemd keeps its own in the journal. */
  service: "logs/supervisord.log",
};
type Log = keyof typeof files;

/** Lines of a log's end. */
const usual = 100;

// Plain words and single quotes: it must mean the same to any login shell. The end of standard input ends `tail` too, which else stays.
const script = (lines: number, follow: boolean) =>
  `${mayGo} test -f "$0" || exit 44; ` +
  (follow ? `tail -n ${lines} -F "$0" 2>/dev/null & cat >/dev/null; kill $!` : `exec tail -n ${lines} "$0"`);

/** `atelier logs`: the end of one of the host's logs. */
export async function logs({ options, terminal, interrupt }: Context): Promise<number> {
  const [name = "webui", ...more] = options.args;
  if (!Object.hasOwn(files, name) || more.length > 0)
    throw new UsageError(`\`logs\` wants one of ${Object.keys(files).join(", ")}, not \`${options.args.join(" ")}\`.`);
  if (options.follow && options.json)
    throw new UsageError("--follow does not end, and --json wants a whole: one of them.");
  const lines = Number(options.lines ?? usual);
  if (!Number.isInteger(lines) || lines < 0)
    throw new UsageError(`--lines is a whole number from 0, not \`${options.lines}\`.`);
  const stack = openStack(options.stack);
  if ((await listResources(stack.name)).length === 0)
    throw new UserError(`Stack \`${stack.name}\` has no host with a log yet. First: ${hint("up", stack.name)}`);
  const session = await interrupt.orLeave(openSession(stack));
  try {
    const path = `${session.workspace}/${files[name as Log]}`;
    const command = `sh -c '${script(lines, options.follow)}' '${path}'`;
    interrupt.say = () => {};
    const { code, stdout, stderr } = options.follow
      ? await session.follow(command, (text) => terminal.raw(text), AbortSignal.any([interrupt.signal, terminal.gone]))
      : await interrupt.orLeave(session.run(command));
    if (interrupt.pressed) return 130;
    if (terminal.gone.aborted) return 0;
    if (code === 45) throw noEntry(session, stdout);
    if (code === 44) throw new UserError(`${session.where} has no ${path}: ${lacks[name as Log]}`);
    if (code !== 0) throw new UserError(`${session.where}: ${stderr.trim() || `the line dropped (exit code ${code})`}`);
    if (options.json)
      terminal.answer(
        JSON.stringify({ stack: stack.name, host: session.where, path, lines: stdout.split("\n").slice(0, -1) }),
      );
    else terminal.raw(stdout);
    return 0;
  } finally {
    session.close();
  }
}

const lacks: Record<Log, string> = {
  webui: "the WebUI was never started there.",
  gate: "no gate was ever started there (webui.gate).",
  service: "no supervisor was ever started there; what systemd says: journalctl -u on the host.",
};
