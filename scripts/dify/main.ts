// What is made inside of Dify, item by item: JSON on standard input, one line of JSON on standard output, progress for people on
// standard error. Exit codes: 0 done, 1 failed, 2 bad input; of `check` 4, nobody answers. Nothing that it prints holds a secret but the facts of `app`.
import { text } from "node:stream/consumers";
import { app } from "./app.ts";
import { check } from "./check.ts";
import { Console } from "./client.ts";
import { DifyError, InputError, unreachable } from "./errors.ts";
import { closeAll } from "./http.ts";
import { type CheckInput, type ItemInput, type ItemName, itemNames, parseCheck, parseItem } from "./input.ts";
import type { Item } from "./item.ts";
import { Masker } from "./masker.ts";
import { model } from "./model.ts";
import { plugin } from "./plugin.ts";
import { setup } from "./setup.ts";
import { baseUrl, tool } from "./tool.ts";

const items: { [Name in ItemName]: Item<Name> } = { setup, plugin, tool, model, app };
const masker = new Masker();
const say = (line: string) => process.stderr.write(`${masker.mask(line)}\n`);

async function main(): Promise<unknown> {
  const [name, what, ...rest] = process.argv.slice(2);
  const before = facts(process.env.PULUMI_COMMAND_STDOUT);
  for (const variable of ["PULUMI_COMMAND_STDOUT", "PULUMI_COMMAND_STDERR"]) delete process.env[variable];
  if (name === "check" && what === undefined) return checkAll(parseCheck(await text(process.stdin)));
  if (!isItem(name) || (what !== "apply" && what !== "remove") || rest.length > 0)
    throw new InputError(
      `usage: node scripts/dify/main.ts ${itemNames.join("|")} apply|remove, or check; with JSON on standard input`,
    );
  return run(name, what, before);
}

const isItem = (word: string | undefined): word is ItemName => (itemNames as (string | undefined)[]).includes(word);

async function run<Name extends ItemName>(
  name: Name,
  what: "apply" | "remove",
  before: Record<string, unknown> | undefined,
) {
  const input = parseItem(name, await text(process.stdin));
  masker.add(input.dify.password, input.dify.initPassword);
  learn(input);
  // What is inside of an own Dify goes with its volumes, or stays with them.
  if (what === "remove" && input.own) return undefined;
  const console = consoleOf(input);
  // The first item finds out what stands there, and logs in itself.
  if (name !== "setup") await console.login();
  return items[name][what]({ console, input, say, before, force: Boolean(process.env.ATELIER_FORCE) });
}

async function checkAll(input: CheckInput) {
  masker.add(input.dify.password, input.dify.initPassword);
  for (const item of Object.values(input.items)) learn(item);
  return { items: await check(consoleOf(input), input) };
}

const consoleOf = ({ dify }: { dify: CheckInput["dify"] }) => new Console(dify, masker);

/** What of an item nobody may see. */
interface Secretive {
  webui?: ItemInput<"tool">["webui"];
  credentials?: Record<string, string>;
  custom?: Record<string, string> | undefined;
  secrets?: string[];
}

/** Before a word is said. */
function learn(item: object): void {
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

try {
  const said = await main();
  process.stdout.write(`${JSON.stringify(said ?? {})}\n`);
} catch (error) {
  const known = error instanceof DifyError || error instanceof InputError;
  say(`error: dify: ${known ? error.message : error instanceof Error ? error.stack : String(error)}`);
  const silent = error instanceof DifyError && error.code === unreachable;
  process.exitCode = error instanceof InputError ? 2 : silent && process.argv[2] === "check" ? 4 : 1;
} finally {
  await closeAll();
}
