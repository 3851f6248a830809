import { enableCompileCache } from "node:module";

// As the command line does it: its entry is plain JavaScript, and compiled code is kept between runs.
enableCompileCache(process.env.NODE_COMPILE_CACHE);
const { readFileSync } = await import("node:fs");
const { up } = await import("../../engine/src/operations.ts");

const [projectDir = "", stack = "", backend = "", passphraseFile = ""] = process.argv.slice(2);
const { result, changes, diagnostics } = await up({
  projectDir,
  stack,
  backend,
  passphrase: async () => readFileSync(passphraseFile, "utf8"),
});
process.stdout.write(`${result} ${JSON.stringify(changes)}\n${diagnostics.map((item) => item.message).join("\n")}\n`);
if (result !== "succeeded") process.exitCode = 1;
