import { messageOf, UserError } from "./errors.ts";
import { project, root } from "./paths.ts";
import { isEncrypted, type Stack } from "./stack.ts";

/** The settings of a stack with their secrets in clear, by `project:key`; undefined where none of them is encrypted. */
export async function settingsInClear(stack: string): Promise<Record<string, string> | undefined> {
  const { loadProject, loadStackSettings, hasSecureValue, resolveConfig } = await import("@atelier/engine/project");
  const pulumiProject = await loadProject(root);
  const settings = await loadStackSettings(pulumiProject, stack);
  if (!hasSecureValue(settings) || settings.encryptionSalt === undefined) return undefined;
  const [{ PassphraseSecrets }, { readPassphrase }] = await Promise.all([
    import("@atelier/engine/secrets"),
    import("./passphrase.ts"),
  ]);
  const secrets = await PassphraseSecrets.open(readPassphrase(), settings.encryptionSalt);
  return resolveConfig(pulumiProject, settings, secrets).values;
}

/** The token for models that want one; undefined where the stack has none. */
export async function huggingfaceToken({ name, settings }: Stack): Promise<string | undefined> {
  const written = settings.huggingfaceToken;
  if (written === undefined || !isEncrypted(written)) return written;
  try {
    return (await settingsInClear(name))?.[`${project}:huggingfaceToken`];
  } catch (error) {
    throw new UserError(`atelier:huggingfaceToken of stack \`${name}\` could not be decrypted. ${messageOf(error)}`, 2);
  }
}
