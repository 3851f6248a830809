import { readFileSync } from "node:fs";
import { relative } from "node:path";
import { catalog, type ModelKind, modelKinds } from "../../../images/catalog.ts";
import { chooseUpstreams } from "../../../stacks/upstreams.ts";
import { choose, confirm } from "../ask.ts";
import { bytes, plural } from "../display/text.ts";
import { isOnHost, listResources } from "../engines/state.ts";
import { messageOf, UsageError, UserError } from "../errors.ts";
import { writeWhole } from "../files.ts";
import { type Entry, withModel } from "../models/add.ts";
import { readAddress } from "../models/address.ts";
import { askStore } from "../models/host.ts";
import { published } from "../models/hub.ts";
import { modelRows, type Row } from "../models/rows.ts";
import { openStack, type Stack } from "../stack.ts";
import { type Context, hint } from "./command.ts";

/** `atelier models`: what the catalog has, what a stack names, what lies on its host. */
export async function models(context: Context): Promise<number> {
  const { action, args } = context.options;
  const stack = openStack(context.options.stack);
  if (action === "add") return add(stack, context);
  if (args.length > 0) throw new UsageError(`\`${args.join(" ")}\` is more than \`models ${action}\` takes.`);
  if (action === "list") return list(stack, context);
  return action === "verify" ? verify(stack, context) : prune(stack, context);
}

async function list(stack: Stack, { options, terminal }: Context): Promise<number> {
  let why = "The host was not asked: nothing was made there yet.";
  let store: Awaited<ReturnType<typeof askStore<"list">>> | undefined;
  if ((await listResources(stack.name)).some(isOnHost)) {
    try {
      store = await askStore(stack, "list");
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      why = `The host was not asked: ${messageOf(error)}`;
    }
  }
  const rows = await modelRows(stack, store);
  if (options.json) {
    const named = new Set(rows.map(({ sha256 }) => sha256));
    const others = store?.store.filter(({ sha256 }) => !named.has(sha256));
    terminal.answer(
      JSON.stringify({ stack: stack.name, host: store?.where, models: rows, others, ...(store ? {} : { why }) }),
    );
    return 0;
  }
  const cells = rows.map((row) => [
    `${row.wanted ? "*" : " "} ${row.name}`,
    row.kind,
    row.bytes ? bytes(row.bytes) : row.aboutBytes ? `~${bytes(row.aboutBytes)}` : "?",
    { entry: "known", recorded: "recorded", unknown: "unknown" }[row.sha256From],
    row.licence ?? "?",
    hostWords(row),
  ]);
  const head = ["  name", "kind", "size", "sha256", "licence", "on the host"];
  const wide = head.map((_, column) => Math.max(...[head, ...cells].map((line) => line[column]?.length ?? 0)));
  for (const line of [head, ...cells])
    terminal.answer(
      line
        .map((cell, column) => cell.padEnd(wide[column] ?? 0))
        .join("  ")
        .trimEnd(),
    );
  terminal.answer(
    `\n* named by the settings of stack ${stack.name}. A model whose sha256 is unknown is recorded at its first verified download.`,
  );
  if (!store) terminal.line(why);
  return 0;
}

function hostWords({ host }: Row): string {
  if (!host) return "";
  if (host.present) return host.verified ? "there, verified" : "there";
  return host.stored ? "in the cache" : "";
}

async function add(stack: Stack, context: Context): Promise<number> {
  const { options, terminal } = context;
  const [what, ...more] = options.args;
  if (what === undefined || more.length > 0)
    throw new UsageError("`models add` wants one address, or a name of the catalog.");
  const inCatalog = catalog.some(({ name }) => name === what);
  const entry = inCatalog ? what : await describeModel(what, stack, context);
  const text = readFileSync(stack.settingsFile, "utf8");
  const changed = withModel(text, stack.name, entry);
  const name = typeof entry === "string" ? entry : entry.name;
  const file = relative(process.cwd(), stack.settingsFile);
  if (!options.print) writeWhole(stack.settingsFile, changed);
  if (options.json) {
    terminal.answer(JSON.stringify({ stack: stack.name, entry, file: stack.settingsFile, written: !options.print }));
  } else if (options.print) {
    terminal.answer(changed);
  } else
    terminal.line(`${file}: \`${name}\` added to atelier:models. To bring it to the host: ${hint("up", stack.name)}`);
  return 0;
}

async function describeModel(address: string, stack: Stack, context: Context): Promise<Partial<Entry>> {
  const { options, terminal } = context;
  const { source, file: there } = readAddress(address);
  const file = options.as ?? fileName(address, there);
  if (options.as === undefined && file !== there)
    terminal.line(`\`${there}\` will be \`${file}\` in the WebUI; --as gives it another name.`);
  const known = await published(source, chooseUpstreams(stack.settings.upstreams, undefined));
  // Some pages show it in capitals.
  const asked = options.sha256?.toLowerCase();
  const sha256 = asked ?? known?.sha256;
  if (asked && known?.sha256 && asked !== known.sha256)
    throw new UserError(`${known.by} says that the file's sha256 is ${known.sha256}, not ${asked}.`, 2);
  if (known) terminal.line(`${known.by}: ${known.bytes ? `${bytes(known.bytes)}, ` : ""}sha256 ${known.sha256}`);
  else if (!sha256)
    terminal.line("Its sha256 is not known: no hub told it. It is recorded at the first verified download.");
  return {
    name: options.name ?? file.replace(/\.[^.]+$/, "").replace(/[^\w.-]/g, "-"),
    kind: await kindOf(address, context),
    file,
    ...(known?.bytes && { bytes: known.bytes }),
    ...(sha256 && { sha256 }),
    ...(options.licence && { licence: options.licence }),
    ...(known && { evidence: `${known.by} said so when it was added` }),
    sources: [source],
  };
}

/** As the WebUI may have it: with no more than letters, digits, dots and dashes. */
function fileName(address: string, there: string): string {
  const ending = "(safetensors|ckpt|pt|pth|bin)";
  // A word that begins with a dash is an option to most programs.
  const file = there.replace(/[^\w.-]+/g, "-").replace(/^[-.]+/, "");
  if (new RegExp(`\\w.*\\.${ending}$`).test(file)) return file;
  const called = "What it is to be called: --as <name>.safetensors (or .ckpt, .pt, .pth, .bin).";
  throw new UserError(
    new RegExp(`\\.${ending}$`).test(there)
      ? `${address}: of \`${there}\` nothing is left in plain letters (a to z) and digits, as names are here. ${called}`
      : `${address}: it ends in \`${there}\`, which names no model's file. ${called} Where it is a page that shows a model, give the address of its download.`,
    2,
  );
}

async function kindOf(address: string, { options, terminal }: Context): Promise<ModelKind> {
  if (options.kind) return options.kind;
  const likely: [RegExp, ModelKind][] = [
    [/control(net)?[_-]/i, "controlnet"],
    [/lora|lycoris/i, "lora"],
    [/vae/i, "vae"],
    [/esrgan|upscal|ultrasharp/i, "upscaler"],
    [/embedding|textual.inversion/i, "embedding"],
  ];
  const guess = likely.find(([pattern]) => pattern.test(address))?.[1] ?? "checkpoint";
  if (!terminal.asks) throw new UserError(`What kind of model is it? Its address looks like: --kind ${guess}`, 2);
  return choose("What kind of model is it?", modelKinds, guess);
}

async function verify(stack: Stack, { options, terminal }: Context): Promise<number> {
  terminal.line("Reading every file of the host's store; that takes seconds for each gigabyte.");
  const { store, where } = await askStore(stack, "verify");
  const known = new Map(store.map((file) => [file.sha256, file]));
  const state = ({ sha256 }: Row) => {
    const file = sha256 === undefined ? undefined : known.get(sha256);
    return file === undefined ? "missing" : file.ok ? "whole" : "damaged";
  };
  const rows = (await modelRows(stack, undefined))
    .filter(({ wanted }) => wanted)
    .map((row) => ({ name: row.name, file: row.file, sha256: row.sha256, state: state(row) }));
  const named = new Set(rows.map(({ sha256 }) => sha256));
  const others = store.filter(({ sha256 }) => !named.has(sha256));
  const bad = rows.some((row) => row.state !== "whole") || others.some(({ ok }) => !ok);
  if (options.json) terminal.answer(JSON.stringify({ stack: stack.name, host: where, ok: !bad, models: rows, others }));
  else {
    for (const row of rows)
      terminal.answer(`${row.state.padEnd(8)} ${row.name}  ${row.sha256 ?? "(no sha256 is known)"}`);
    for (const { sha256, ok } of others)
      terminal.answer(`${(ok ? "whole" : "damaged").padEnd(8)} (of another stack, or of the tokenizer)  ${sha256}`);
    if (bad)
      terminal.line(
        `What is damaged was set aside. The next \`${hint("up", stack.name)}\` fetches what this stack lacks.`,
      );
  }
  return bad ? 1 : 0;
}

async function prune(stack: Stack, { options, terminal }: Context): Promise<number> {
  const { store, where } = await askStore(stack, "list");
  const idle = store.filter(({ usedBy }) => usedBy.length === 0);
  const sum = (files: { bytes: number }[]) => bytes(files.reduce((all, file) => all + file.bytes, 0));
  if (idle.length > 0 && stack.asks && !options.yes) {
    terminal.line(
      `${where}: ${plural(idle.length, "file")} of the store, ${sum(idle)}, are named by no stack on that host.`,
    );
    if (!(await confirm("Remove them?", terminal, "`models prune` removes downloads.")))
      throw new UserError("Nothing was removed.");
  }
  const { removed } = await askStore(stack, "prune");
  if (options.json) terminal.answer(JSON.stringify({ stack: stack.name, host: where, removed }));
  else
    terminal.line(
      removed.length === 0
        ? `${where}: every model in the store is named by a stack.`
        : `${where}: ${plural(removed.length, "file")} removed, ${sum(removed)} free again.`,
    );
  return 0;
}
