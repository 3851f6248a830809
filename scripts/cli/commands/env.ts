import { delimiter, dirname, join } from "node:path";
import { copySettings } from "../engines/pulumi.ts";
import { makeFolder, readIfThere } from "../files.ts";
import { startMachine } from "../machine.ts";
import { readPassphrase } from "../passphrase.ts";
import { backendUrl, home, passphraseFile, root, stateDir } from "../paths.ts";
import { settlePlatform } from "../platform.ts";
import { openStack } from "../stack.ts";
import type { Context } from "./command.ts";
import { ensureTrusted } from "./trust.ts";

/** `eval "$(npx atelier env)"`: what plain `pulumi` needs, as shell exports. */
export async function env({ options, terminal, interrupt }: Context): Promise<number> {
  let stack = openStack(options.stack);
  await startMachine(stack);
  if (stack.unseen) {
    await interrupt.orLeave(ensureTrusted(stack, options.yes, terminal));
    stack = await interrupt.orLeave(settlePlatform(stack, { fresh: false }, terminal));
  }
  readPassphrase();
  makeFolder(stateDir);
  const values: Record<string, string> = { PULUMI_BACKEND_URL: backendUrl, PULUMI_STACK: stack.name };
  if (process.env.ATELIER_HOME) values.ATELIER_HOME = home;
  if (process.env.ATELIER_BUNDLE) values.ATELIER_BUNDLE = process.env.ATELIER_BUNDLE;
  if (process.env.PULUMI_CONFIG_PASSPHRASE === undefined)
    values.PULUMI_CONFIG_PASSPHRASE_FILE = process.env.PULUMI_CONFIG_PASSPHRASE_FILE || passphraseFile;
  // Pulumi adds its salt to the settings that it reads. Where they hold no secret, as on a host of this machine, that would
  // only soil the clone, so it reads a copy.
  const copied =
    stack.settings.host.kind === "local" && !/^encryptionsalt:/m.test(readIfThere(stack.settingsFile) ?? "");
  if (copied) values.PULUMI_OPTION_CONFIG_FILE = copySettings(stack.name, stack.settingsFile);
  if (options.json) {
    terminal.answer(JSON.stringify(values));
    return 0;
  }
  const path = [dirname(process.execPath), join(root, "node_modules", ".bin")].join(delimiter);
  const lines = Object.entries(values).map(([name, value]) => `export ${name}=${quote(value)}`);
  lines.push(`export PATH=${quote(path)}${delimiter}"$PATH"`);
  if (copied)
    lines.push(`# The settings are a copy: after a change in stacks/Pulumi.${stack.name}.yaml, run this again.`);
  terminal.answer(lines.join("\n"));
  return 0;
}

const quote = (value: string): string => `'${value.replaceAll("'", "'\\''")}'`;
