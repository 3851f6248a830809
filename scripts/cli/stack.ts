import { readdirSync } from "node:fs";
import { join } from "node:path";
import { parseYaml } from "@atelier/engine/yamlText";
import { readPlatform, withPlatform } from "../../stacks/platforms/saved.ts";
import { parseSettings, type Settings, SettingsError } from "../../stacks/schema.ts";
import { UserError } from "./errors.ts";
import { readIfThere } from "./files.ts";
import { didYouMean, nearestOf } from "./nearest.ts";
import { home, project, root } from "./paths.ts";

/** A stack as its settings file tells it, before any engine runs. */
export interface Stack {
  name: string;
  settingsFile: string;
  settings: Settings;
  /** The rehearsal asks nothing: it touches nothing but its own folder. */
  asks: boolean;
  /** Its box was not looked at yet: settings that its platform proposes are missing (`platform.ts`). */
  unseen: boolean;
}

/**
 * Reads and checks `stacks/Pulumi.<stack>.yaml`.
 * @throws UserError (exit code 2) with every mistake at once
 */
export function openStack(name: string): Stack {
  const settingsFile = join(root, "stacks", `Pulumi.${name}.yaml`);
  const text = readIfThere(settingsFile);
  if (text === undefined) {
    throw new UserError(
      `There is no stack \`${name}\`: ${settingsFile} does not exist. Stacks here: ${stackNames().join(", ")}.${didYouMean(name, stackNames())} ` +
        `A new one, for a rented box: npx atelier init --stack ${name} "<the SSH command that its platform shows>"`,
      2,
    );
  }
  const written = readConfig(text, settingsFile);
  const { raw, missing } = withPlatform(written, readPlatform(home, name), `${project}/${name}`);
  const settings = validate(name, raw);
  return { name, settingsFile, settings, asks: settings.upstreams.profile !== "rehearsal", unseen: missing };
}

/** What the settings say of the WebUI's address themselves, without a default and without what a platform proposes. */
export function writtenSettings(name: string): { webui: { port?: number; publicUrl?: string; exposure?: string } } {
  const settingsFile = join(root, "stacks", `Pulumi.${name}.yaml`);
  return { webui: {}, ...readConfig(readIfThere(settingsFile) ?? "", settingsFile) };
}

/** The stacks that have a settings file. */
function stackNames(): string[] {
  return readdirSync(join(root, "stacks"))
    .map((file) => /^Pulumi\.([\w-]+)\.yaml$/.exec(file)?.[1])
    .filter((name) => name !== undefined)
    .sort();
}

/** Values by key, without `atelier:`; a secret is a placeholder that any of our checks accepts. */
function readConfig(text: string, file: string): Record<string, unknown> {
  let read: Record<string, unknown> & { config?: unknown };
  try {
    read = (parseYaml(text) as typeof read | null) ?? {};
  } catch (error) {
    const why = (error as Error).message.replace(/; please use .*?\(\)/, ", of which only one would be read,");
    throw new UserError(`${file} is not YAML: ${why}${hintAt(text, error)}`, 2);
  }
  const outside = Object.keys(read).filter((key) => key.startsWith(`${project}:`));
  if (outside.length > 0)
    throw new UserError(
      `${file}: outside of \`config:\`, where nobody reads them: ${outside.join(", ")}. Wanted: \`config:\` on a line of its own, and they below it, two spaces further in.`,
      2,
    );
  const config = read.config ?? {};
  const strange = Object.keys(config).filter(isMisspelt);
  if (strange.length > 0)
    throw new UserError(
      `${file}: of a project that there is not, so nobody reads them: ${strange.join(", ")}. Did you mean \`${project}:\`?`,
      2,
    );
  const raw: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(config as Record<string, unknown>)) {
    // Without a namespace it is the project's, as both engines have it.
    const [namespace, name] = key.includes(":") ? key.split(/:(.*)/s) : [project, key];
    if (namespace !== project || !name) continue;
    if (Object.hasOwn(raw, name))
      throw new UserError(`${file}: \`${name}\` and \`${project}:${name}\` are the same setting. Keep one of them.`, 2);
    raw[name] = withoutSecrets(value);
  }
  return raw;
}

/** Whether a key's namespace was meant to be ours: those of others are none of our business. */
function isMisspelt(key: string): boolean {
  const [namespace = "", name] = key.split(":");
  return name !== undefined && namespace !== project && nearestOf(namespace, [project]) !== undefined;
}

/** What makes a line no YAML and is hard to see there. */
const unseen: [RegExp, string][] = [
  [/^ *\t/, "a tab; it is indented by spaces"],
  [/[：，“”‘’\u3000\u00a0]/, 'a wide or curly letter (： ， “ ” or a wide space); wanted are : , " and a plain space'],
  [/^ *[\w-]+:(?![\w-]+:(\s|$))[^\s:]/, "no space behind a colon"],
];

/** The first such line about the one that the parser names: it often notices late. */
function hintAt(text: string, error: unknown): string {
  const at = (error as { linePos?: { line: number }[] }).linePos?.[0]?.line ?? 0;
  const lines = text.split("\n");
  for (const number of [at, at - 1, at + 1]) {
    const found = unseen.find(([form]) => form.test(lines[number - 1] ?? ""));
    if (found) return `\nLine ${number} has ${found[1]}.`;
  }
  return "";
}

// Only the engine decrypts; the program then checks the real value.
const placeholder = "PRIVATE KEY, encrypted";

/** Whether a setting's text is not its own: it is encrypted in the file (stackSecrets.ts). */
export const isEncrypted = (text: string): boolean => text === placeholder;

function withoutSecrets(value: unknown): unknown {
  // As the program gets it, from JSON.
  if (typeof value === "bigint") return Number(value);
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(withoutSecrets);
  if (typeof (value as { secure?: unknown }).secure === "string") return placeholder;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, withoutSecrets(inner)]));
}

function validate(name: string, raw: Record<string, unknown>): Settings {
  try {
    return parseSettings(raw, name, nearestOf);
  } catch (error) {
    if (error instanceof SettingsError) throw new UserError(error.message, 2);
    throw error;
  }
}
