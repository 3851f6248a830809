// Shows 200 resources in the display that the command line would take, as fast as they come: some with names of double width, all
// saying coloured, long and overwritten lines.
import { existsSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { openDisplay } from "../../../scripts/cli/run.ts";
import { openTerminal } from "../../../scripts/cli/terminal.ts";
import { done, failed, says, start } from "./recorded.ts";

const [stop] = process.argv.slice(2);
const terminal = openTerminal();
const display = openDisplay({ options: { verbose: false } as never, terminal }, { idle: "working" });
const names = Array.from(
  { length: 200 },
  (_, n) => `${n}-${["resource-of-some-length", "模型下载", "👩‍💻🇨🇳", "é̂ñ"][n % 4]}`,
);
const now = () => Date.now() / 1000;
for (const [n, name] of names.entries()) {
  display.event(start(name, "create", now()));
  display.event(
    says(name, `\x1b[31m\x1b[2J下载 ${n} %\r\x1b[1A正在下载 v1-5-pruned-emaonly.safetensors 62 MB/s`, now()),
  );
  if (n === 100)
    display.event(says(name, "a warning that is a good deal longer than forty columns are wide", now(), "warning"));
  if (n >= 20)
    display.event(n === 150 ? failed("130-é̂ñ", "create", now()) : done(names[n - 20] as string, "create", now()));
  if (n % 10 === 0) await sleep(30);
  // Half-way, until somebody has done what he wants to do meanwhile.
  while (n === 100 && stop !== undefined && existsSync(stop)) await sleep(30);
}
display.note("a note");
for (const name of names.slice(-20)) display.event(done(name, "create", now()));
await sleep(120);
display.end();
terminal.line("the end");
