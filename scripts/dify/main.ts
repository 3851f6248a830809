// What is made inside of Dify, item by item: JSON on standard input, one line of JSON on standard output, progress for people on
// standard error; exit codes as in run.ts.
import { text } from "node:stream/consumers";
import { closeAll } from "./http.ts";
import { runJob } from "./run.ts";

const env = { ...process.env };
// No child is told what an item's facts are.
for (const variable of ["PULUMI_COMMAND_STDOUT", "PULUMI_COMMAND_STDERR"]) delete process.env[variable];

const { code, facts } = await runJob({
  args: process.argv.slice(2),
  input: () => text(process.stdin),
  env,
  print: (line) => process.stderr.write(`${line}\n`),
});
if (code === 0) process.stdout.write(`${JSON.stringify(facts)}\n`);
process.exitCode = code;
await closeAll();
