import { Module } from "node:module";
import { Socket } from "node:net";
import { hide } from "./hiddenVariables.mjs";
import { ENGINE_FD, firstLine } from "./order.mjs";
import { mapped, quickStart } from "./quickStart.mjs";
import { errorsAlone, errorsOfProgram } from "./thrown.mjs";

// What a child process of the engine begins with. Its argument is the script of the SDK that it is going to be; the engine says
// where and with what on a pipe of its own, when it knows it.
const path = process.argv[2];
process.argv.splice(1, 2, path);
quickStart(path);
if (/[\\/]cmd[\\/]dynamic-provider[\\/]/.test(path)) errorsAlone(path);
else errorsOfProgram();

const { cwd, env, args, hidden } = firstLine();
process.chdir(cwd);
Object.assign(process.env, env);
hide(hidden);
process.argv.push(...args);
mapped(args.at(-1));
if (process.report) process.report.excludeEnv = true;

// What was printed is with the engine before it hears of anything later, and is not lost however this process ends: what does not fit
// where the engine is slow to read, node would keep, and give up at the end.
for (const { _handle } of [process.stdout, process.stderr]) _handle?.setBlocking?.(true);

// It ends when the engine does, also when that was killed and could not tell it.
const engine = new Socket({ fd: ENGINE_FD });
engine.on("end", () => process.exit(0));
engine.on("error", () => process.exit(0));
engine.resume();
engine.unref();

Module.runMain();
