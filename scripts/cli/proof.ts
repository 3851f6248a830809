import { spawn } from "node:child_process";
import { join } from "node:path";
import { type Proof, parseProof } from "../../healthchecks/result.ts";
import { Interrupted, UserError } from "./errors.ts";
import { root } from "./paths.ts";

/**
 * The check that ends every `up`: the password refused and accepted, one small picture.
 * @param input what the stack's output `liveCheck` says, as JSON; it holds the password, so it goes by standard input
 * @throws UserError when the check could not run, Interrupted when the user ended it
 */
export function checkLive(input: string, say: (line: string) => void, signal: AbortSignal): Promise<Proof> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(interrupted());
    const child = spawn(process.execPath, [join(root, "healthchecks", "main.ts"), "live"], {
      cwd: root,
      stdio: ["pipe", "pipe", "pipe"],
    });
    const stop = () => child.kill("SIGINT");
    signal.addEventListener("abort", stop);
    const late = setTimeout(() => child.kill("SIGKILL"), 3600_000);
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr = (stderr + text).slice(-4096);
      for (const line of text.split("\n")) if (line.trim() !== "") say(line);
    });
    // A child that ends before it has read all: its exit says why.
    child.stdin.on("error", () => {});
    child.stdin.end(input);
    child.on("error", reject);
    child.on("close", (code) => {
      clearTimeout(late);
      signal.removeEventListener("abort", stop);
      // Whatever it says then, it was not let come to its end.
      if (signal.aborted) return reject(interrupted());
      try {
        resolve(parseProof(stdout));
      } catch {
        reject(
          new UserError(
            `The live check (node healthchecks/main.ts live) did not run (exit ${code}):\n${stderr.trim()}`,
          ),
        );
      }
    });
  });
}

const interrupted = () =>
  new Interrupted("Interrupted in the live check. What was made is there, and the state is saved.");
