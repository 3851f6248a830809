// A process of its own that runs one remote command and tells what it took: {"characters", "megabytes": peak over what it had before}.
import { text } from "node:stream/consumers";
import { runRemote } from "../../../engine/src/providers/command/remote.ts";
import { Links } from "../../../engine/src/providers/command/ssh/link.ts";
import type { PropertyMap } from "../../../engine/src/values.ts";

const { connection, create } = JSON.parse(await text(process.stdin)) as {
  connection: PropertyMap;
  create: string;
};
const links = new Links();
const call = { signal: new AbortController().signal, log: () => {} };
const run = (command: string) => runRemote(command, { connection }, { stdout: "", stderr: "" }, call, links);
const peak = () => process.resourceUsage().maxRSS / 1024;

await run("true");
const before = peak();
const { stdout } = await run(create);
const megabytes = peak() - before;
links.close();
console.log(JSON.stringify({ characters: stdout.length, megabytes }));
