import { randomBytes } from "node:crypto";
import { linkSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { messageOf, UserError } from "./errors.ts";
import { makeFolder, readIfThere } from "./files.ts";
import { passphraseFile } from "./paths.ts";

/**
 * The passphrase of the stacks' secrets: PULUMI_CONFIG_PASSPHRASE, then PULUMI_CONFIG_PASSPHRASE_FILE, as Pulumi has it,
 * then a file of our own that is made at first use (mode 0600).
 */
export function readPassphrase(env: NodeJS.ProcessEnv = process.env): string {
  if (env.PULUMI_CONFIG_PASSPHRASE !== undefined) return env.PULUMI_CONFIG_PASSPHRASE;
  const file = env.PULUMI_CONFIG_PASSPHRASE_FILE || passphraseFile;
  const text = readable(file);
  if (text !== undefined) return text.trim();
  if (file !== passphraseFile)
    throw new UserError(`PULUMI_CONFIG_PASSPHRASE_FILE names ${file}, and there is no such file.`, 2);
  return makePassphrase();
}

function readable(file: string): string | undefined {
  try {
    return readIfThere(file);
  } catch (error) {
    throw new UserError(`The passphrase's file ${file} can't be read: ${messageOf(error)}.`, 2);
  }
}

/** Two first uses at once agree on one passphrase: a link never overwrites. */
function makePassphrase(): string {
  makeFolder(dirname(passphraseFile));
  const beside = `${passphraseFile}.${process.pid}.${randomBytes(4).toString("hex")}`;
  const made = randomBytes(24).toString("base64url");
  writeFileSync(beside, `${made}\n`, { mode: 0o600 });
  try {
    linkSync(beside, passphraseFile);
    return made;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    return (readIfThere(passphraseFile) ?? "").trim();
  } finally {
    rmSync(beside, { force: true });
  }
}
