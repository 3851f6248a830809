import {
  type AtelierLock,
  disagreements,
  knownDify,
  LockError,
  lockOfFiles,
  lockPath,
  readAtelierLock,
  recordedIn,
} from "../../../images/lock.ts";
import { renderLock } from "../../../images/lock-render.ts";
import { type Recordings, readRecordings } from "../../../images/recorded.ts";
import { chooseUpstreams, profiles, type Upstreams } from "../../../stacks/upstreams.ts";
import { plural } from "../display/text.ts";
import { UserError } from "../errors.ts";
import { readIfThere, writeWhole } from "../files.ts";
import { lookAtDify } from "../lock/dify.ts";
import { type Finding, lookAtUpstreams } from "../lock/look.ts";
import { home } from "../paths.ts";
import { openStack } from "../stack.ts";
import type { Context } from "./command.ts";

/** `atelier lock`: writes `images/atelier.lock` from the files of `images/`; with `--check` says what has moved upstream, and writes nothing. */
export async function lock(context: Context): Promise<number> {
  return context.options.check ? check(context) : write(context);
}

async function write({ options, terminal }: Context): Promise<number> {
  const before = lockIfWhole(terminal);
  const { models: recorded, plugins } = recordings();
  // Another machine may have recorded what the lock has.
  const files = lockOfFiles({ ...recorded, ...(before && recordedIn(before)) });
  const changes = before ? disagreements(before, files) : [];
  const upstreams = upstreamsOf(options.stack);
  const [looked, made] = await Promise.all([
    lookAtUpstreams({ ...files, seen: before?.seen }, upstreams),
    lookAtDify(knownDify(before?.dify, plugins), {
      docker: upstreams.docker,
      marketplace: marketplaceOf(options.stack),
    }),
  ]);
  const { seen } = looked;
  const findings = [...looked.findings, ...made.findings];
  for (const { name, status, detail } of made.findings) if (status === "moved") changes.push(`${name}: ${detail}`);
  // What could not be reached keeps what was seen of it before.
  const merged = {
    git: { ...before?.seen?.git, ...seen.git },
    packages: { ...before?.seen?.packages, ...seen.packages },
    models: { ...before?.seen?.models, ...seen.models },
  };
  const text = renderLock({ ...files, dify: made.dify, seen: merged });
  const changed = readIfThere(lockPath) !== text;
  if (changed) writeWhole(lockPath, text);
  for (const change of changes) terminal.line(`  ${change}`);
  for (const [name, { sha256 }] of Object.entries(recorded))
    if (files.models.some((model) => model.name === name && model.sha256 === sha256))
      terminal.line(`  ${name}: recorded at its first verified download`);
  for (const [id, { computed, identifier }] of Object.entries(made.dify.plugins))
    if (!computed && before?.dify.plugins[id]?.computed && plugins[id]?.identifier === identifier)
      terminal.line(`  ${identifier}: recorded at its first installation`);
  const unknown = files.models.filter(({ sha256 }) => sha256 === undefined).map(({ name }) => name);
  if (unknown.length > 0)
    terminal.line(`Without a sha256 yet, recorded at the first verified download: ${unknown.join(", ")}`);
  const computed = Object.entries(made.dify.plugins).filter(([, plugin]) => plugin.computed);
  if (computed.length > 0)
    terminal.line(
      `Computed, until the marketplace tells: ${computed.map(([id, { version }]) => `${id} ${version}`).join(", ")}`,
    );
  const silent = findings.filter(({ status }) => status === "unreachable").length;
  if (silent > 0)
    terminal.line(`${plural(silent, "upstream")} could not be reached: what was seen of them stays as it was.`);
  terminal.line(
    changed
      ? `Wrote images/atelier.lock: ${summary(files)}. Look at the difference and commit it.`
      : "images/atelier.lock is as it should be.",
  );
  if (options.json) terminal.answer(JSON.stringify({ changed, changes, withoutSha256: unknown }));
  return 0;
}

async function check({ options, terminal }: Context): Promise<number> {
  const locked = readLockOrExplain();
  const stale = disagreements(locked);
  const upstreams = upstreamsOf(options.stack);
  const [looked, made] = await Promise.all([
    lookAtUpstreams(locked, upstreams),
    lookAtDify(locked.dify, { docker: upstreams.docker, marketplace: marketplaceOf(options.stack) }),
  ]);
  const findings = [...looked.findings, ...made.findings];
  const moved = findings.filter(({ status }) => status === "moved");
  const { models: recorded, plugins } = recordings();
  const news = locked.models.filter(({ name, sha256 }) => sha256 === undefined && recorded[name]);
  for (const line of stale) terminal.line(`${terminal.colours.red("stale")}        ${line}`);
  for (const { finding, names } of together(findings)) {
    // A hundred packages that did not move are one line.
    if (finding.kind === "wheels" && finding.status === "same") continue;
    const what = names.length > 3 ? plural(names.length, noun[finding.kind]) : names.join(", ");
    terminal.line(`${mark(finding, terminal)} ${what}: ${finding.detail}`);
  }
  const same = findings.filter(({ kind, status }) => kind === "wheels" && status === "same").length;
  if (same > 0) terminal.line(`${"same".padEnd(12)} ${plural(same, "package")} as locked`);
  for (const { name } of news)
    terminal.line(`${"recorded".padEnd(12)} ${name}: ${recorded[name]?.sha256}; \`npx atelier lock\` takes it in`);
  const taken = knownDify(locked.dify, plugins).plugins;
  for (const [id, { identifier }] of Object.entries(taken))
    if (locked.dify.plugins[id]?.computed && identifier === plugins[id]?.identifier)
      terminal.line(`${"recorded".padEnd(12)} ${identifier}; \`npx atelier lock\` takes it in`);
  terminal.line("A rehearsal's stand-ins are not in the lock: they are made on this machine, from this clone.");
  const unreachable = findings.filter(({ status }) => status === "unreachable").length;
  terminal.line(
    `${moved.length === 0 ? "Nothing moved" : `${moved.length} moved`}${unreachable > 0 ? `, ${unreachable} could not be reached` : ""}${stale.length > 0 ? "; the lock is stale: run `npx atelier lock`" : ""}.`,
  );
  if (options.json) terminal.answer(JSON.stringify({ moved: moved.length, unreachable, stale, findings }));
  return moved.length > 0 || stale.length > 0 ? 1 : 0;
}

const noun = { wheels: "package", image: "image", plugin: "plugin", model: "model", git: "repository" };

/** What could not be asked after for the same reason, such as a dead index or registry, is one line. */
function together(findings: Finding[]): { finding: Finding; names: string[] }[] {
  const said = Map.groupBy(findings, ({ kind, status, detail, name }) =>
    status === "unreachable" ? `${kind} ${detail}` : `${kind} ${name}`,
  );
  return [...said.values()].flatMap(([finding, ...others]) =>
    finding ? [{ finding, names: [finding, ...others].map(({ name }) => name) }] : [],
  );
}

function mark({ status }: Finding, { colours }: Context["terminal"]): string {
  const colour = { same: colours.green, moved: colours.red, unreachable: colours.yellow }[status];
  return colour(status.padEnd(12));
}

const summary = ({ sources, extensions, wheels, models }: AtelierLock): string =>
  [
    plural(sources.length, "source"),
    plural(extensions.length, "extension"),
    `${Object.keys(wheels).length} wheel locks`,
    plural(models.length, "model"),
  ].join(", ");

function lockIfWhole(terminal: Context["terminal"]): AtelierLock | undefined {
  try {
    return readAtelierLock();
  } catch (error) {
    if (!(error instanceof LockError)) throw error;
    if (readIfThere(lockPath) !== undefined)
      terminal.line(
        `${error.message.split("\n")[1]?.replace(/^ *- /, "images/atelier.lock is no lock: ")}. It is made anew; what only it had, such as a model's recorded sha256, is in git's versions of it.`,
      );
    return undefined;
  }
}

function readLockOrExplain(): AtelierLock {
  try {
    return readAtelierLock();
  } catch (error) {
    throw error instanceof LockError ? new UserError(error.message) : error;
  }
}

/** What this machine recorded of what the lock does not know for sure; see docs/architecture.md. */
function recordings(): Recordings {
  try {
    return readRecordings(home);
  } catch (error) {
    throw new UserError((error as Error).message);
  }
}

/** Where plugins are looked up: the stack's own, or Dify's. */
function marketplaceOf(stack: string): string {
  const usual = "https://marketplace.dify.ai";
  return stack === "rehearsal" ? usual : (openStack(stack).settings.dify?.marketplace ?? usual);
}

/** The lock is of no stack, but a stack says how this part of the world is reached. */
function upstreamsOf(stack: string): Upstreams {
  if (stack === "rehearsal") return profiles.direct;
  const { upstreams } = openStack(stack).settings;
  return upstreams.profile === "rehearsal" ? profiles.direct : chooseUpstreams(upstreams, undefined);
}
