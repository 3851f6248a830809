import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import type { Writable } from "node:stream";
import { SecretFilter } from "../../masking.ts";
import type { CallContext } from "../../provider.ts";
import { type PropertyMap, Secret } from "../../values.ts";
import { CommandFailed } from "./errors.ts";
import { Output } from "./output.ts";
import { list, reveal, text, textMap } from "./plain.ts";

/** Between asking a stopped command to end and making it. */
const GRACE_MS = 5000;

/** What the command left: both streams, each less one newline at its end. */
export interface Streams {
  stdout: string;
  stderr: string;
}

/**
 * Runs one command on this machine, in a process group of its own, and waits until both its streams are closed.
 * @param inputs the resource's (or the function's) checked inputs
 * @param previous what the last run said, for PULUMI_COMMAND_STDOUT and PULUMI_COMMAND_STDERR
 * @throws CommandFailed for anything but exit 0, and when the signal stops it
 */
export async function runLocal(
  command: string,
  inputs: PropertyMap,
  previous: Streams,
  call: Pick<CallContext, "signal" | "log">,
  programDir: string,
): Promise<Streams> {
  const output = new Output(call.log, text(inputs, "logging"));
  const cause = await execute(command, inputs, previous, output, call.signal, programDir);
  output.end();
  if (cause !== undefined) {
    const filter = new SecretFilter();
    filter.addSecrets(inputs);
    throw new CommandFailed(cause.text, filter.apply(command), filter.apply(output.all()), cause.exitCode);
  }
  return { stdout: output.of("stdout"), stderr: output.of("stderr") };
}

/** The folder that the command runs in, as an absolute path. */
export function workingDir(inputs: PropertyMap, programDir: string): string {
  return resolve(programDir, text(inputs, "dir") ?? ".");
}

interface Cause {
  text: string;
  exitCode?: number;
}

async function execute(
  command: string,
  inputs: PropertyMap,
  previous: Streams,
  output: Output,
  signal: AbortSignal,
  programDir: string,
): Promise<Cause | undefined> {
  if (signal.aborted) return { text: "stopped before it started" };
  const [program, ...args] = interpreter(inputs);
  const cwd = workingDir(inputs, programDir);
  const stdin = text(inputs, "stdin") ?? "";
  const hidden = hides(inputs, command);
  const child = spawn(program, [...args, hidden ? FROM_PIPE : command], {
    cwd,
    env: environment(inputs, previous),
    stdio: [stdin === "" ? "ignore" : "pipe", "pipe", "pipe", ...(hidden ? (["pipe"] as const) : [])],
    // A group of its own, so that stopping the command stops what it has started too.
    detached: process.platform !== "win32",
  });
  if (hidden) sendCommand(child, command);
  child.stdout?.on("data", (data: Buffer) => output.push("stdout", data));
  child.stderr?.on("data", (data: Buffer) => output.push("stderr", data));
  // A command that does not read its input closes the pipe: no fault of anyone.
  child.stdin?.on("error", () => {});
  child.stdin?.end(stdin);

  const stop = () => stopGroup(child);
  signal.addEventListener("abort", stop, { once: true });
  try {
    return await ended(child, program, cwd, signal);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

/** What the shell gets in the place of a secret command, which every user of the machine could read in its arguments. */
const FROM_PIPE = 'eval "exec 3<&-; $(cat <&3)"';

/** Whether the command is a secret that can be kept out of the arguments: an interpreter of the user's own wants it there. */
function hides(inputs: PropertyMap, command: string): boolean {
  if (process.platform === "win32" || (list(inputs, "interpreter") ?? []).length > 0) return false;
  return Object.values(inputs).some((value) => value instanceof Secret && value.element === command);
}

function sendCommand(child: ChildProcess, command: string): void {
  const pipe = child.stdio[3] as Writable | null | undefined;
  pipe?.on("error", () => {});
  pipe?.end(command);
}

function ended(child: ChildProcess, program: string, cwd: string, signal: AbortSignal): Promise<Cause | undefined> {
  return new Promise((done) => {
    child.once("error", (error: NodeJS.ErrnoException) => done({ text: startFailure(error, program, cwd) }));
    child.once("exit", () => {
      // A stopped command's children may outlive it, and hold its pipes open.
      const finish = () => setTimeout(() => endGroup(child), 500);
      if (signal.aborted) finish();
      else signal.addEventListener("abort", finish, { once: true });
    });
    child.once("close", (code, by) => {
      if (signal.aborted) done({ text: "stopped, as the update was interrupted or the resource's time is over" });
      else if (by !== null) done({ text: `signal: ${signalWords[by] ?? by}` });
      else if (code !== 0) done({ text: `exit status ${code}`, exitCode: code ?? undefined });
      else done(undefined);
    });
  });
}

function endGroup(child: ChildProcess): void {
  kill(child, "SIGKILL");
  child.stdout?.destroy();
  child.stderr?.destroy();
}

function stopGroup(child: ChildProcess): void {
  kill(child, "SIGTERM");
  setTimeout(() => kill(child, "SIGKILL"), GRACE_MS).unref();
}

function kill(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    if (process.platform === "win32") child.kill(signal);
    else process.kill(-child.pid, signal);
  } catch {
    // The whole group is gone already.
  }
}

function interpreter(inputs: PropertyMap): [string, ...string[]] {
  const [program, ...args] = list(inputs, "interpreter") ?? [];
  if (program !== undefined) return [program, ...args];
  return process.platform === "win32" ? ["cmd", "/C"] : ["/bin/sh", "-c"];
}

function environment(inputs: PropertyMap, previous: Streams): NodeJS.ProcessEnv {
  // The state's passphrase is the engine's: a command that wants it is given it, or finds the file that holds it.
  const { PULUMI_CONFIG_PASSPHRASE: _, ...inherited } = process.env;
  return { ...inherited, ...textMap(inputs, "environment"), ...previousOutput(inputs, previous) };
}

/** The variables that tell a command what its last run said: none for what was empty, none if it does not want them. */
export function previousOutput(inputs: PropertyMap, previous: Streams): Record<string, string> {
  if (reveal(inputs.addPreviousOutputInEnv ?? null) === false) return {};
  const result: Record<string, string> = {};
  if (previous.stdout !== "") result.PULUMI_COMMAND_STDOUT = previous.stdout;
  if (previous.stderr !== "") result.PULUMI_COMMAND_STDERR = previous.stderr;
  return result;
}

function startFailure(error: NodeJS.ErrnoException, program: string, cwd: string): string {
  if (error.code !== "ENOENT") return `cannot start ${program}: ${error.code ?? error.message}`;
  if (!existsSync(cwd)) return `chdir ${cwd}: no such file or directory`;
  if (program.includes("/")) return `fork/exec ${program}: no such file or directory`;
  return `exec: ${JSON.stringify(program)}: executable file not found in $PATH`;
}

const signalWords: Partial<Record<NodeJS.Signals, string>> = {
  SIGHUP: "hangup",
  SIGINT: "interrupt",
  SIGQUIT: "quit",
  SIGABRT: "aborted",
  SIGKILL: "killed",
  SIGSEGV: "segmentation fault",
  SIGPIPE: "broken pipe",
  SIGALRM: "alarm clock",
  SIGTERM: "terminated",
};
