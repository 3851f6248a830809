import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { type Assembly, assemble } from "../../../stacks/assembly.ts";
import { SettingsError } from "../../../stacks/schema.ts";
import { installer } from "../../../stacks/scripts.ts";
import type { RehearsalUpstreams } from "../../../stacks/settings.ts";
import { readOverride, type Upstreams } from "../../../stacks/upstreams.ts";
import { messageOf, UserError } from "../errors.ts";
import { readIfThere } from "../files.ts";
import { startMachine } from "../machine.ts";
import { stackHome } from "../paths.ts";
import { openSession, type Session } from "../ssh.ts";
import { openStack, type Stack } from "../stack.ts";
import { type Context, hint } from "./command.ts";

/** An upstream as the host reaches it. */
interface Row {
  kind: string;
  base: string;
  /** `dead`: did not answer; `-`: not asked. */
  state: "answers" | "dead" | "-";
  /** Milliseconds until the first byte. */
  ms?: number;
  bytesPerSecond?: number;
  said?: string;
}

/** `atelier upstreams`: the table of upstreams of a stack, in the order in which they are used, with what the host measured. */
export async function upstreams({ options, terminal }: Context): Promise<number> {
  const stack = openStack(options.stack);
  const assembly = await assemblyOf(stack);
  let table = "";
  let why = "";
  try {
    const session = await openSession(stack);
    try {
      table = options.measure ? await measure(session, assembly, stack) : await kept(session);
    } finally {
      session.close();
    }
    if (table === "")
      why = `The host has not measured them yet: \`up\` does, or ${hint("upstreams", stack.name)} --measure.`;
  } catch (error) {
    if (options.measure || !(error instanceof UserError)) throw error;
    why = messageOf(error);
  }
  const rows = inOrder(assembly.upstreams, readTable(table));
  const profile = options.upstreams ?? stack.settings.upstreams.profile;
  const at = / at=(\S+)/.exec(table)?.[1];
  if (options.json) {
    terminal.answer(
      JSON.stringify({ stack: stack.name, profile, order: assembly.upstreams.order, measuredAt: at, upstreams: rows }),
    );
    return 0;
  }
  const order =
    assembly.upstreams.order === "auto"
      ? "the fastest first, as the host measured"
      : "in this order, those that are silent last";
  terminal.answer(`Profile ${profile}: ${order}${at ? ` (${at})` : ""}`);
  let last = "";
  const wide = Math.max(...rows.map(({ base }) => base.length));
  for (const row of rows) {
    terminal.answer(
      `  ${(row.kind === last ? "" : row.kind).padEnd(12)} ${row.base.padEnd(wide)}  ${inWords(row)}`.trimEnd(),
    );
    last = row.kind;
  }
  if (why) terminal.line(why);
  return 0;
}

/** What a stack is made of, as the program will have it. */
export async function assemblyOf(stack: Stack): Promise<Assembly> {
  let rehearsal: RehearsalUpstreams | undefined;
  if (stack.settings.upstreams.profile === "rehearsal") {
    await startMachine(stack);
    const text = readIfThere(join(stackHome(stack.name), "upstreams", "upstreams.json"));
    rehearsal = JSON.parse(text ?? "null") as RehearsalUpstreams;
  }
  try {
    return assemble(stack.name, stack.settings, rehearsal, readOverride(process.env.ATELIER_UPSTREAMS, stack.name));
  } catch (error) {
    if (error instanceof SettingsError || (error as Error).name === "LockError")
      throw new UserError(messageOf(error), 2);
    throw error;
  }
}

async function kept({ run, workspace }: Session): Promise<string> {
  const { stdout } = await run(`sh -c 'cat "$0" 2>/dev/null || :' '${workspace}/run/upstreams'`);
  return stdout;
}

/** The scripts travel with the question: a host that nothing was made on yet can be asked too. */
async function measure(session: Session, { probes, upstreams }: Assembly, { settings }: Stack): Promise<string> {
  const folder = `/tmp/atelier-${randomUUID()}`;
  const inputs = {
    atelier: "1",
    cache: session.cache,
    proxy: settings.host.proxy ?? "",
    upstreams: probes.join("\n"),
    upstreams_order: upstreams.order,
    workspace: session.workspace,
  };
  const lines = Object.entries(inputs).map(
    ([key, value]) => `${key}=${value.replaceAll("\\", "\\\\").replaceAll("\n", "\\n")}`,
  );
  const end = "END_OF_INPUTS";
  const script = [
    `trap "rm -rf '${folder}'" EXIT`,
    `( ${installer(folder, "")} ) >/dev/null`,
    `sh '${folder}/bin/upstreams.sh' <<'${end}'`,
    ...lines,
    end,
    "",
  ].join("\n");
  const { code, stdout, stderr } = await session.run("sh -s", script);
  if (code !== 0)
    throw new UserError(`${session.where} could not measure (exit code ${code}): ${stderr.trim().slice(-1000)}`);
  return stdout;
}

function readTable(text: string): Map<string, Row> {
  const rows = new Map<string, Row>();
  for (const line of text.split("\n")) {
    const [kind, base, ms, rate, said] = line.split("\t");
    if (!kind || kind.startsWith("#") || !base) continue;
    const state = ms === "-" ? "dead" : ms === "?" ? "-" : "answers";
    rows.set(`${kind} ${base}`, {
      kind,
      base,
      state,
      ...(state === "answers" && { ms: Number(ms) }),
      ...(state === "answers" && rate !== "-" && { bytesPerSecond: Number(rate) }),
      ...(said && { said }),
    });
  }
  return rows;
}

/** As scripts/host/lib-upstreams.sh ranks them. */
function inOrder({ order, ...kinds }: Upstreams, measured: Map<string, Row>): Row[] {
  return Object.entries(kinds).flatMap(([kind, bases]) => {
    const rows = bases.map((base): Row => measured.get(`${kind} ${base}`) ?? { kind, base, state: "-" });
    const place = { answers: order === "auto" ? 0 : 1, "-": 1, dead: 2 };
    return rows.sort(
      (a, b) =>
        place[a.state] - place[b.state] ||
        (order === "auto" && a.state === "answers" && b.state === "answers"
          ? (b.bytesPerSecond ?? 0) - (a.bytesPerSecond ?? 0) || (a.ms ?? 0) - (b.ms ?? 0)
          : 0),
    );
  });
}

function inWords({ state, ms, bytesPerSecond, said }: Row): string {
  if (state === "-") return "not measured";
  if (state === "dead") return `does not answer: ${said}`;
  const rate =
    bytesPerSecond === undefined
      ? `(${said})`
      : bytesPerSecond >= 1e6
        ? `${(bytesPerSecond / 1e6).toFixed(1)} MB/s`
        : `${Math.round(bytesPerSecond / 1e3)} kB/s`;
  return `${String(ms).padStart(5)} ms  ${rate}`;
}
