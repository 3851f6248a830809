#!/usr/bin/env node
// The way in: plain JavaScript that runs on the Node that is there (18 and newer), and goes on in TypeScript on a current one.
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { continueOn, runTool } from "./bootstrap/child.mjs";
import { BootstrapError, say } from "./bootstrap/errors.mjs";
import { findNode, isCurrent, setEnvironment } from "./bootstrap/node.mjs";
import { ensurePackages } from "./bootstrap/packages.mjs";
import { ensureSystemPackages } from "./bootstrap/system.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const args = process.argv.slice(2);

try {
  process.exitCode = await main();
} catch (error) {
  if (!(error instanceof BootstrapError)) throw error;
  say(error.message);
  process.exitCode = error.exitCode;
}

async function main() {
  await ensurePackages(root);
  const node = findNode(root);
  setEnvironment(root, node);
  if (args[0] === "run") {
    const rest = args.slice(1);
    // The tests run real SSH servers, git and virtual environments.
    if (rest[0] === "--with-system-packages") {
      rest.shift();
      ensureSystemPackages({ required: false });
    }
    if (rest.length === 0)
      throw new BootstrapError("Usage: atelier run <tool> [arguments], such as: atelier run vitest", 2);
    return runTool(root, node, rest);
  }
  if (!isCurrent(process.version)) return continueOn(node, [fileURLToPath(import.meta.url), ...args]);
  const { main } = await import(pathToFileURL(join(root, "scripts", "cli", "main.ts")).href);
  return main(args);
}
