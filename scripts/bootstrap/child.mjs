import { spawn } from "node:child_process";
import { closeSync, existsSync } from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import { BootstrapError } from "./errors.mjs";

/** Runs this same program on another Node; gives its exit code. */
export function continueOn(node, args) {
  return follow(spawn(node, args, { stdio: "inherit" }), node);
}

/** Runs a tool of `node_modules/.bin`, or `node` itself; gives its exit code. */
export function runTool(root, node, [tool, ...args]) {
  if (tool === "node") return continueOn(node, args);
  const windows = process.platform === "win32";
  const local = join(root, "node_modules", ".bin", windows ? `${tool}.cmd` : tool);
  const command = existsSync(local) ? local : tool;
  // A .cmd file only runs through the shell, which takes the words as they are.
  const child = windows
    ? spawn(quote(command), args.map(quote), { stdio: "inherit", shell: true })
    : spawn(command, args, { stdio: "inherit" });
  return follow(child, tool);
}

const quote = (word) => (/[\s"^&|<>]/.test(word) ? `"${word.replaceAll('"', '""')}"` : word);

function follow(child, name) {
  return new Promise((resolve, reject) => {
    // On Windows the console tells every process of it; kill() there would end the child unsaved.
    const forward = process.platform === "win32" ? () => {} : (signal) => child.kill(signal);
    process.once("SIGHUP", () => child.once("exit", leaveTerminal));
    const signals = ["SIGINT", "SIGTERM", "SIGHUP"];
    for (const signal of signals) process.on(signal, forward);
    child.on("error", (error) => reject(new BootstrapError(`${name} can't be run: ${error.message}`)));
    child.on("exit", (code, signal) => {
      for (const name of signals) process.off(name, forward);
      resolve(code ?? 128 + (constants.signals[signal] ?? 1));
    });
  });
}

/** Node 20 and older set a terminal back as they end, and abort where it is gone; what is closed they leave alone. */
function leaveTerminal() {
  for (const stream of [0, 1, 2]) {
    try {
      closeSync(stream);
    } catch {
      // Closed already, as a daemon's.
    }
  }
}
