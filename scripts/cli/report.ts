import { join, relative } from "node:path";
import type { ResourceState } from "@atelier/engine";
import { unwrapMap } from "@atelier/engine/deploy/steps/marking";
import { readFailed } from "../../healthchecks/failed.ts";
import { type Report, readReport, type Update, writeReport } from "../../healthchecks/report.ts";
import { type Proof, parseProof } from "../../healthchecks/result.ts";
import type { Recordings } from "../../images/recorded.ts";
import { cacheLine, cacheReport } from "./cacheReport.ts";
import { type Context, hint } from "./commands/command.ts";
import { operations } from "./display/operations.ts";
import { countPlan } from "./display/plan.ts";
import type { RecordDisplay } from "./display/record.ts";
import { plural, seconds } from "./display/text.ts";
import { listResources, type Outputs, readOutputs } from "./engines/state.ts";
import { messageOf, UserError } from "./errors.ts";
import { standInDify } from "./machine.ts";
import { reportDir } from "./paths.ts";
import { checkLive } from "./proof.ts";
import { keepRecorded } from "./recorded.ts";
import { openDisplay } from "./run.ts";
import type { Stack } from "./stack.ts";

/** Ends a successful update: the live check, the report, and where everything is. Gives the exit code. */
export async function proveAndReport(
  stack: Stack,
  engine: "embedded" | "pulumi",
  record: RecordDisplay,
  context: Context,
): Promise<number> {
  const { options, terminal, interrupt, startedAt } = context;
  // Whether it draws or not: what came is what the next host gets.
  const recorded = await keepRecorded(stack.name);
  const outputs = await readOutputs(stack.name);
  if (options.target.length + options.exclude.length > 0 && outputs.liveCheck === undefined) {
    if (options.json) terminal.answer(JSON.stringify({ result: "succeeded", changes: record.record.changes }));
    terminal.line(
      `What the live check needs is not known of this part alone, so nothing was checked. The whole: ${hint("up", stack.name)}`,
    );
    sayRecorded(recorded, terminal);
    return 0;
  }
  const input = text(outputs, "liveCheck");
  const display = openDisplay(context, { idle: "live check" });
  let live: Proof;
  try {
    const said = (line: string) => {
      if (options.verbose) display.note(`  live check: ${line}`);
    };
    live = await checkLive(input, said, interrupt.signal);
  } finally {
    display.end();
  }
  const cache = await cacheReport(
    stack.name,
    record.steps.steps.filter(({ op }) => op !== "same").map(({ urn }) => urn),
  );
  const report = writeReport({
    reportDir: reportDir(stack.name),
    update: { ...updateOf(stack, engine, record, startedAt), cache },
    proof: lastProof(outputs, "proof"),
    dify: outputs.difyProof === undefined ? undefined : lastProof(outputs, "difyProof"),
    live,
  });
  if (options.json) {
    const { changes } = record.record;
    terminal.answer(
      JSON.stringify({
        result: live.ok ? "succeeded" : "failed",
        changes,
        report: join(reportDir(stack.name), "report.json"),
        ...report,
      }),
    );
  }
  if (!live.ok) {
    for (const check of live.checks)
      if (!check.ok) terminal.line(`${terminal.colours.red("failed")}: ${check.name}: ${check.detail}`);
    sayRecorded(recorded, terminal);
    terminal.line(`Everything is in place, but the live check failed. Once mended: ${hint("up", stack.name)}`);
    return 1;
  }
  const more = [...difyRows(report, await standInDify(stack), terminal), ...tunnelRow(stack, input)];
  for (const line of closingLines(report, more, record, context)) terminal.line(line);
  sayRecorded(recorded, terminal);
  return 0;
}

/**
 * Leaves a report of an update that failed: why, and the last proofs as they are now, with what a failed one says of each app.
 * Where nothing was ever drawn there is nothing to report but what `up` has said.
 * @returns the report's path, where there is one
 */
export async function reportFailure(
  stack: Stack,
  engine: "embedded" | "pulumi",
  record: RecordDisplay,
  startedAt: number,
): Promise<string | undefined> {
  const folder = reportDir(stack.name);
  // Not of the stack's outputs: of an update that failed they are those of the one before, or none.
  const states = await listResources(stack.name).catch((): ResourceState[] => []);
  const last = (name: "smoke" | "dify-proof") => {
    const state = states.find(({ urn }) => urn.endsWith(`::${name}`));
    try {
      return state && parseProof(String(unwrapMap(state.outputs).stdout));
    } catch {
      return undefined;
    }
  };
  const proof = readFailed(folder, "smoke") ?? last("smoke");
  if (proof === undefined) return undefined;
  const problems = record.steps.problems
    .filter(({ severity }) => severity === "error")
    .map(({ name, lines }) => [name, lines.join("\n")].filter((text) => text !== "").join(": "));
  try {
    writeReport({
      reportDir: folder,
      update: { ...updateOf(stack, engine, record, startedAt), problems },
      proof,
      dify: readFailed(folder, "dify") ?? last("dify-proof"),
    });
  } catch {
    // Why the update failed matters more than that its report can't be written.
    return undefined;
  }
  return join(folder, "report.json");
}

function updateOf(
  { name }: Stack,
  engine: "embedded" | "pulumi",
  { steps: { steps } }: RecordDisplay,
  startedAt: number,
): Update {
  return {
    stack: name,
    engine,
    startedAt: new Date(startedAt).toISOString(),
    seconds: Math.round(Date.now() - startedAt) / 1000,
    steps: steps.map((step) => ({
      name: step.name,
      seconds: Math.round(step.seconds * 1000) / 1000,
      status: step.status === "failed" ? "failed" : operations[step.op].done,
    })),
  };
}

function sayRecorded({ models, plugins }: Recordings, terminal: Context["terminal"]): void {
  for (const [name, { sha256 }] of Object.entries(models))
    terminal.line(
      `  Recorded   ${name}: sha256 ${sha256}; its entry has none, from now on every host is held to this one`,
    );
  for (const { identifier } of Object.values(plugins))
    terminal.line(`  Recorded   ${identifier}, as the marketplace has it; \`npx atelier lock\` takes it in`);
}

function lastProof(outputs: Outputs, name: "proof" | "difyProof"): Proof {
  const proof = text(outputs, name);
  try {
    return parseProof(proof);
  } catch (error) {
    throw new UserError(`The stack's output \`${name}\` is not a proof: ${messageOf(error)}`);
  }
}

function text(outputs: Outputs, name: string): string {
  const value = outputs[name]?.value;
  if (typeof value === "string") return value;
  throw new UserError(`The stack has no output \`${name}\`. Its program (stacks/index.ts) must give one.`);
}

function closingLines(
  report: Report,
  more: [string, string][],
  record: RecordDisplay,
  { options, terminal, startedAt }: Context,
): string[] {
  const counts = countPlan(record.steps.steps);
  const folder = relative(process.cwd(), reportDir(options.stack)) || ".";
  const done = [
    counts.create && `${counts.create} created`,
    counts.update && `${counts.update} updated`,
    counts.replace && `${counts.replace} replaced`,
    counts.delete && `${counts.delete} deleted`,
  ].filter((word) => word !== 0);
  const what =
    done.length === 0 ? `No changes: ${plural(counts.unchanged, "resource")} as they should be` : done.join(", ");
  const picture = report.images[0];
  const rows: [string, string][] = [
    ["WebUI", terminal.colours.cyan(report.webui.url)],
    ...more,
    ["Login", hint("outputs", options.stack).concat(" --show-secrets")],
    ...(picture
      ? [
          ["Pictures", `${report.images.map(({ path }) => join(folder, path)).join("\n             ")}`] as [
            string,
            string,
          ],
        ]
      : []),
    ...(report.cache ? [["Cache", cacheLine(report.cache)] as [string, string]] : []),
    ["Report", join(folder, "report.json")],
    ["Proved", `${report.provedAt}; live check passed now`],
  ];
  return [
    `${terminal.colours.green("✓")} ${what}, in ${seconds((Date.now() - startedAt) / 1000)}.`,
    ...rows.map(([name, value]) => `  ${name.padEnd(10)} ${value}`),
  ];
}

/** Where Dify is, what its apps are called, and whether it is one at all. */
function difyRows(
  { dify }: Report,
  standIn: "process" | "containers" | undefined,
  { colours }: Context["terminal"],
): [string, string][] {
  if (!dify) return [];
  const kinds = {
    process: "  REHEARSAL: a stand-in, as a process (no Docker engine answers here)",
    containers: "  REHEARSAL: a stand-in, in containers",
  };
  const apps = dify.apps.map(({ name, seconds: took }) => `${name}, drew in ${seconds(took)}`);
  return [
    ["Dify", `${colours.cyan(dify.url)}${standIn ? kinds[standIn] : ""}\n             ${apps.join("\n             ")}`],
  ];
}

/** With `exposure: tunnel` the address is the host's own: this makes it this machine's too, for as long as it runs. */
function tunnelRow({ name, settings: { webui } }: Stack, liveCheck: string): [string, string][] {
  // From the outputs: the address of a rented box stands in no setting.
  const { tunnel } = JSON.parse(liveCheck) as { tunnel?: { address: string; port: number; user: string } };
  if (!tunnel) return [];
  const { address, port, user } = tunnel;
  const ssh = `ssh -N -L ${webui.port}:127.0.0.1:${webui.port} -p ${port} ${user}@${address}`;
  return [["Tunnel", `${hint("tunnel", name)}\n             or ${ssh}`]];
}

/** The last report, where there is a readable one. */
export function reportOf(stack: string): Report | undefined {
  try {
    return readReport(reportDir(stack));
  } catch {
    return undefined;
  }
}
