import { atelier } from "../../healthchecks/hint.ts";
import { Console } from "./client.ts";
import { DifyError, daemonIsDown, InputError, unreachable } from "./errors.ts";
import { type CheckInput, type ItemInput, type ItemName, itemNames, parseAsk, parseCheck, parseItem } from "./input.ts";
import type { Making } from "./item.ts";
import { Masker } from "./masker.ts";
import { baseUrl } from "./tool.ts";
import { requireWorkspace, workIn } from "./workspace.ts";

/** Each process makes one of them, and loads that one. */
const items: { [Name in ItemName]: () => Promise<Making<Name>> } = {
  setup: async () => (await import("./setup.ts")).setup,
  plugin: async () => (await import("./plugin.ts")).plugin,
  tool: async () => (await import("./tool.ts")).tool,
  model: async () => (await import("./model.ts")).model,
  app: async () => (await import("./app.ts")).app,
  key: async () => (await import("./key.ts")).key,
};

export interface Job {
  /** `<item> apply|remove`, `check`, or `ask`. */
  args: string[];
  /** JSON: what the item wants. */
  input: () => Promise<string>;
  /** Its last facts in PULUMI_COMMAND_STDOUT; ATELIER_FORCE overwrites what people have edited. */
  env: Record<string, string | undefined>;
  /** Takes lines for people, without a secret in them. */
  print: (line: string) => void;
}

/** What came of it. `code`: 0 done, 1 failed, 2 bad input; of `check` and `ask` 4, nobody answers. No fact is secret but those of `key`. */
export interface Done {
  code: number;
  facts?: unknown;
}

/** Does what one item wants inside of a Dify, or checks them all. An error is printed, never thrown. */
export async function runJob(job: Job): Promise<Done> {
  const masker = new Masker();
  const say = (line: string) => job.print(masker.mask(line));
  try {
    return { code: 0, facts: (await begin(job, masker, say)) ?? {} };
  } catch (error) {
    const known = error instanceof DifyError || error instanceof InputError;
    say(`error: dify: ${known ? error.message : error instanceof Error ? error.stack : String(error)}`);
    const silent = error instanceof DifyError && error.code === unreachable;
    return { code: error instanceof InputError ? 2 : silent && isLook(job.args[0]) ? 4 : 1 };
  }
}

/** Those that change nothing. */
const isLook = (word: string | undefined): boolean => word === "check" || word === "ask";

async function begin(job: Job, masker: Masker, say: (line: string) => void): Promise<unknown> {
  const [name, what, ...rest] = job.args;
  const force = Boolean(job.env.ATELIER_FORCE);
  if (name === "check" && what === undefined) return checkAll(parseCheck(await job.input()), masker, force);
  if (name === "ask" && what === undefined) {
    const input = parseAsk(await job.input());
    const { ask } = await import("./ask.ts");
    return ask(consoleOf(input, masker), input, force);
  }
  if (!isItem(name) || (what !== "apply" && what !== "remove") || rest.length > 0)
    throw new InputError(
      `usage: node scripts/dify/main.ts ${itemNames.join("|")} apply|remove, check or ask; with JSON on standard input`,
    );
  return run(name, what, job, masker, say);
}

const isItem = (word: string | undefined): word is ItemName => (itemNames as (string | undefined)[]).includes(word);

async function run<Name extends ItemName>(
  name: Name,
  what: "apply" | "remove",
  job: Job,
  masker: Masker,
  say: (line: string) => void,
) {
  const input = parseItem(name, await job.input());
  masker.add(input.dify.password, input.dify.initPassword);
  learn(input, masker);
  // What is inside of an own Dify goes with its volumes, or stays with them.
  if (what === "remove" && input.own) return undefined;
  const console = consoleOf(input, masker);
  // The first item finds out what stands there, and logs in itself.
  if (name !== "setup") {
    await (what === "remove" ? loginAsLeft(console) : console.login());
    await requireWorkspace(console, input.workspace, what);
  }
  const before = facts(job.env.PULUMI_COMMAND_STDOUT);
  const item = await items[name]();
  const done = item[what]({ console, input, say, before, force: Boolean(job.env.ATELIER_FORCE) });
  return what === "remove" ? done.catch((error: unknown) => Promise.reject(leftBehind(error, console.url))) : done;
}

/** The login of the last `up`: no settings of today reach what is deleted. */
const loginAsLeft = (console: Console) =>
  console.login().catch((error: unknown) => {
    if (!(error instanceof DifyError) || error.status !== 401) throw error;
    throw new DifyError(
      `${error.message} \`down\` logs in as the last \`up\` did: with another password in the settings run ${atelier("up")} first.`,
      error,
    );
  });

/** Tools, models and plugins are asked of the plugin daemon. */
function leftBehind(error: unknown, url: string): unknown {
  if (!daemonIsDown(error)) return error;
  return new DifyError(
    `The plugin daemon of ${url} does not answer, so this was not taken out there. Start it (\`docker ps -a\` on that machine shows the container plugin_daemon, \`docker logs\` why it ended, \`docker start\` starts it), and run ${atelier("down")} again: what is gone by now is not asked for twice. Dify said: ${(error as DifyError).said}`,
    error as DifyError,
  );
}

async function checkAll(input: CheckInput, masker: Masker, force: boolean) {
  masker.add(input.dify.password, input.dify.initPassword);
  for (const item of Object.values(input.items)) learn(item, masker);
  const { check } = await import("./check.ts");
  const console = consoleOf(input, masker);
  const items = await check(console, input, force);
  // Nobody but its admin makes workspaces in a Dify of ours.
  if (input.own) return { items };
  const { id, name } = await workIn(console);
  return { items, workspace: { id, name } };
}

const consoleOf = ({ dify }: { dify: CheckInput["dify"] }, masker: Masker) => new Console(dify, masker);

/** What of an item nobody may see. */
interface Secretive {
  webui?: ItemInput<"tool">["webui"];
  credentials?: Record<string, string>;
  custom?: Record<string, string> | undefined;
  secrets?: string[];
}

/** Before a word is said. */
function learn(item: object, masker: Masker): void {
  const { webui, credentials, custom, secrets = [] } = item as Secretive;
  if (webui) masker.add(webui.password, `${webui.user}:${webui.password}`, baseUrl(webui));
  for (const values of [credentials, custom]) for (const secret of secrets) masker.add(values?.[secret]);
}

function facts(line: string | undefined): Record<string, unknown> | undefined {
  try {
    return line ? (JSON.parse(line.trim().split("\n").pop() ?? "") as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
