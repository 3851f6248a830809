import { Module } from "node:module";
import { hide } from "./hiddenVariables.mjs";
import { firstLine } from "./order.mjs";
import { quickStart } from "./quickStart.mjs";

// What a child process of the engine begins with. Its argument is the script of the SDK that it is going to be; the engine says
// where and with what on standard input, when it knows it.
const path = process.argv[2];
process.argv.splice(1, 2, path);
quickStart(path);

const { cwd, env, args, hidden } = firstLine();
process.chdir(cwd);
Object.assign(process.env, env);
hide(hidden);
process.argv.push(...args);
if (process.report) process.report.excludeEnv = true;

// It ends when the engine does, also when that was killed and could not tell it.
process.stdin.on("end", () => process.exit(0));
process.stdin.on("error", () => process.exit(0));
process.stdin.resume();
process.stdin.unref?.();

Module.runMain();
