// The proof as a program: JSON in, JSON out. Exit codes: 0 proved, 1 a check failed, 2 wrong usage or input,
// 130 interrupted. Standard error has the progress; nothing that it prints holds the password.
import { dify } from "./dify/prove.ts";
import { keepFailed } from "./failed.ts";
import { CallFailed } from "./failure.ts";
import { InputError, parseInput } from "./input.ts";
import { live } from "./live.ts";
import type { Check } from "./result.ts";
import { Session } from "./session.ts";
import { smoke } from "./smoke.ts";

const proofs = { smoke, live, dify };
const stdinSeconds = 30;
const stdinBytes = 1024 * 1024;

async function main(): Promise<number> {
  const [mode, ...rest] = process.argv.slice(2);
  if ((mode !== "smoke" && mode !== "live" && mode !== "dify") || rest.length) {
    throw new InputError("usage: node healthchecks/main.ts smoke|live|dify, with the input as JSON on standard input");
  }
  const input = parseInput(await readStdin());
  if (mode === "dify" && !input.dify) throw new InputError("the proof's input has 1 mistake(s):\n  dify: missing");
  const end = new AbortController();
  const overall = setTimeout(() => {
    const what = `The proof was not done after ${input.deadlines.total} s`;
    end.abort(new CallFailed("late", what, "Give it a longer deadlines.total if the host is slow"));
  }, input.deadlines.total * 1000);
  let interrupted = false;
  const stop = () => {
    interrupted = true;
    end.abort(new CallFailed("late", "The proof was interrupted"));
  };
  process.once("SIGINT", stop);
  process.once("SIGTERM", stop);
  const session = new Session(input, end.signal, (line) => process.stderr.write(`${line}\n`));
  try {
    const proof = await proofs[mode](session);
    const masked = (_key: string, value: unknown) => (typeof value === "string" ? session.mask(value) : value);
    const text = `${JSON.stringify(proof, masked)}\n`;
    const kept = mode !== "live" && !interrupted;
    if (kept) keepFailed(input.reportDir, mode, proof.ok, text);
    // What a command printed is part of its error: a failed proof is told in words there, and lies beside its pictures.
    if (proof.ok || !kept) process.stdout.write(text);
    if (interrupted) return 130;
    if (proof.ok) return 0;
    process.stderr.write(`${summary(proof.checks, session.mask)}\n`);
    return 1;
  } finally {
    clearTimeout(overall);
    await session.close();
  }
}

/** The failed checks once more, at the end, where a reader looks; those that could not run in one line. */
function summary(checks: readonly Check[], mask: (text: string) => string): string {
  const failed = checks.filter(({ ok, detail }) => !ok && !detail.startsWith("Not run"));
  const skipped = checks.filter(({ detail }) => detail.startsWith("Not run")).map(({ name }) => name);
  const lines = failed.map(({ name, detail }) => `  ${name}: ${mask(detail)}`);
  if (skipped.length) lines.push(`  not run for that reason: ${skipped.join(", ")}`);
  return [`The proof failed, ${failed.length} of ${checks.length} checks:`, ...lines].join("\n");
}

async function readStdin(): Promise<string> {
  const late = setTimeout(() => {
    process.stdin.destroy(new InputError(`no input on standard input after ${stdinSeconds} s`));
  }, stdinSeconds * 1000);
  try {
    const chunks: Buffer[] = [];
    let length = 0;
    for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
      length += chunk.length;
      if (length > stdinBytes) throw new InputError(`the input is longer than ${stdinBytes} bytes`);
      chunks.push(chunk);
    }
    return Buffer.concat(chunks).toString("utf8");
  } finally {
    clearTimeout(late);
  }
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(
    `${error instanceof InputError ? error.message : error instanceof Error ? error.stack : error}\n`,
  );
  process.exitCode = error instanceof InputError ? 2 : 1;
}
