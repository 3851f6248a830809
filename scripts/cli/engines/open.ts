import type { Options } from "../options.ts";
import type { Stack } from "../stack.ts";
import type { Terminal } from "../terminal.ts";
import { EmbeddedRunner } from "./embedded.ts";
import type { Runner } from "./engine.ts";
import { PulumiRunner } from "./pulumi.ts";

/** The engine that `--engine` or the stack's settings name. */
export function openRunner(stack: Stack, options: Options, terminal: Terminal): Runner {
  const name = options.engine ?? stack.settings.engine;
  if (name === "embedded") return new EmbeddedRunner(stack.name);
  return new PulumiRunner(stack.name, stack.settingsFile, (line) => terminal.line(line));
}
