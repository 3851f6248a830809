import { access, readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { type Declaration, readDeclarations } from "./configTypes.ts";
import { encodeSorted } from "./json.ts";
import type { PassphraseSecrets } from "./secrets.ts";
import { parseYaml } from "./yamlText.ts";

type Json = Record<string, unknown>;

/** What Pulumi.yaml says. */
export interface Project {
  /** The folder of Pulumi.yaml, absolute. */
  dir: string;
  name: string;
  runtime: { name: string; options: Record<string, unknown> };
  /** The program's file or folder, relative to `dir`; undefined: `dir` itself. */
  main: string | undefined;
  /** Where Pulumi.<stack>.yaml lies, absolute. */
  stackConfigDir: string;
  /** `backend.url`, as written. */
  backendUrl: string | undefined;
  /** `options.refresh: always`: what would change something asks first what is really there. */
  refreshFirst: boolean;
  /** `requiredPulumiVersion`, as written. */
  requiredVersion: string | undefined;
  /** What `config:` says of each setting, keys `project:name`. */
  declared: Record<string, Declaration>;
}

/** What Pulumi.<stack>.yaml says. */
export interface StackSettings {
  /** The file, absolute; it may not exist. */
  file: string;
  encryptionSalt: string | undefined;
  /** Keys `project:name`; values of any YAML type, secret texts as `{secure: ciphertext}`. */
  config: Record<string, unknown>;
}

/** Settings as the program gets them. */
export interface ResolvedConfig {
  /** Keys `project:name`; objects and lists as JSON text, secrets decrypted. */
  values: Record<string, string>;
  /** The keys whose value is secret, as a whole or in part. */
  secretKeys: string[];
  /** Each text that was encrypted, at the top or inside of a value. */
  secretTexts: string[];
}

/**
 * Reads Pulumi.yaml.
 * @throws when there is none in the folder, or it is not one that this engine can run
 */
export async function loadProject(dir: string): Promise<Project> {
  const file = await firstOf(["Pulumi.yaml", "Pulumi.yml"].map((name) => join(dir, name)));
  if (file === undefined) throw new Error(`There is no Pulumi.yaml in ${dir}. Run it in the project's folder.`);
  const form = await readYaml(file);
  if (typeof form.name !== "string" || form.name === "")
    throw new Error(`${file} gives the project no name. Add "name: …".`);
  const runtime = typeof form.runtime === "string" ? { name: form.runtime } : ((form.runtime ?? {}) as Json);
  if (runtime.name !== "nodejs") {
    throw new Error(
      `${file}: the runtime "${String(runtime.name)}" is not covered by the embedded engine, which runs nodejs. Use the official CLI: --engine pulumi.`,
    );
  }
  const stackConfigDir = form.stackConfigDir ?? (typeof form.config === "string" ? form.config : ".");
  const config = typeof form.config === "object" ? ((form.config ?? {}) as Json) : {};
  for (const key of Object.keys(config)) if (key.includes(":")) parseKey(key, file);
  const { declared, faults } = readDeclarations(form.name, config);
  if (faults.length > 0) throw new Error(`${file} is wrong:\n${faults.map((fault) => `  - ${fault}`).join("\n")}`);
  return {
    dir: resolve(dir),
    name: form.name,
    runtime: { name: "nodejs", options: (runtime.options ?? {}) as Record<string, unknown> },
    main: typeof form.main === "string" ? form.main : undefined,
    stackConfigDir: resolve(dir, String(stackConfigDir)),
    refreshFirst: refreshFirst(form.options, file),
    requiredVersion: typeof form.requiredPulumiVersion === "string" ? form.requiredPulumiVersion : undefined,
    backendUrl: ((form.backend ?? {}) as { url?: string }).url,
    declared,
  };
}

function refreshFirst(options: unknown, file: string): boolean {
  const { refresh } = (options ?? {}) as Json;
  if (refresh === undefined || refresh === null) return false;
  if (refresh === "always") return true;
  throw new Error(`${file}: options.refresh must be "always", or not be there; it is ${JSON.stringify(refresh)}.`);
}

/**
 * Reads a stack's settings; a stack without a file has none.
 * @throws when the file is malformed, or its secrets are kept by a provider other than the passphrase
 */
export async function loadStackSettings(project: Project, stack: string): Promise<StackSettings> {
  const candidates = ["yaml", "yml", "json"].map((type) => join(project.stackConfigDir, `Pulumi.${stack}.${type}`));
  const file = await firstOf(candidates);
  if (file === undefined) return { file: candidates[0]!, encryptionSalt: undefined, config: {} };
  const form = await readYaml(file);
  const provider = form.secretsprovider;
  if ((typeof provider === "string" && provider !== "" && provider !== "passphrase") || form.encryptedkey) {
    throw new Error(
      `${file}: secrets kept by "${String(provider ?? "encryptedkey")}" are not covered by the embedded engine, which knows passphrase. Use the official CLI: --engine pulumi.`,
    );
  }
  if (form.environment !== undefined) {
    throw new Error(
      `${file}: "environment" (Pulumi ESC) is not covered by the embedded engine. Use the official CLI: --engine pulumi.`,
    );
  }
  const config: Record<string, unknown> = {};
  if (typeof (form.config ?? {}) !== "object" || Array.isArray(form.config))
    throw new Error(
      `${file}: "config" is no map of settings. It reads "config:", and below it a line for each: key: value.`,
    );
  for (const [key, value] of Object.entries((form.config ?? {}) as Json)) {
    // As the official CLI has it, a key without a namespace is the project's.
    config[parseKey(/^[^:]+$/.test(key) ? `${project.name}:${key}` : key, file)] = value;
  }
  const salt = form.encryptionsalt;
  return { file, encryptionSalt: typeof salt === "string" && salt !== "" ? salt : undefined, config };
}

/** True when some value is encrypted, so that the passphrase is needed to run the program. */
export function hasSecureValue(settings: StackSettings): boolean {
  return Object.values(settings.config).some(holdsSecure);
}

/**
 * The settings as texts, the project's defaults below the stack's own.
 * @param secrets undefined is fine as long as nothing is encrypted
 * @throws when a value cannot be decrypted; the message names the key
 */
export function resolveConfig(
  project: Project,
  settings: StackSettings,
  secrets: PassphraseSecrets | undefined,
): ResolvedConfig {
  const values: Record<string, string> = {};
  const secretKeys: string[] = [];
  const secretTexts: string[] = [];
  const open = (ciphertext: string): string => {
    const text = secrets!.decryptConfig(ciphertext);
    secretTexts.push(text);
    return text;
  };
  const fallbacks = Object.entries(project.declared).flatMap(([key, { fallback }]) =>
    fallback === undefined ? [] : [[key, fallback] as const],
  );
  for (const [key, value] of Object.entries({ ...Object.fromEntries(fallbacks), ...settings.config })) {
    if (holdsSecure(value)) {
      secretKeys.push(key);
      if (secrets === undefined) {
        throw new Error(
          `${settings.file}: ${key} is encrypted, but neither the file nor the state has an encryption salt. Restore "encryptionsalt", or set the value anew.`,
        );
      }
    }
    try {
      values[key] = asText(decrypt(value, open));
    } catch (error) {
      throw new Error(`${settings.file}: ${key}: ${(error as Error).message}`, { cause: error });
    }
  }
  return { values, secretKeys, secretTexts };
}

function asText(value: unknown): string {
  if (value === null || value === undefined) return "";
  if (typeof value === "string") return value;
  // As Go writes JSON, so that a program which takes the text as it is gets the same from both engines.
  return encodeJson(value).replace(/[<>&]/g, (letter) => `\\u00${letter.charCodeAt(0).toString(16)}`);
}

/** Integers of any size stay what they are. */
function encodeJson(value: unknown): string {
  if (typeof value === "bigint") return String(value);
  if (Array.isArray(value)) return `[${value.map(encodeJson).join(",")}]`;
  if (typeof value !== "object" || value === null) return encodeSorted(value);
  const keys = Object.keys(value).sort();
  return `{${keys.map((key) => `${encodeSorted(key)}:${encodeJson((value as Json)[key])}`).join(",")}}`;
}

function decrypt(value: unknown, open: (ciphertext: string) => string): unknown {
  if (Array.isArray(value)) return value.map((element) => decrypt(element, open));
  if (typeof value !== "object" || value === null) return value;
  const ciphertext = secureText(value);
  if (ciphertext !== undefined) return open(ciphertext);
  return Object.fromEntries(Object.entries(value).map(([key, element]) => [key, decrypt(element, open)]));
}

function holdsSecure(value: unknown): boolean {
  if (Array.isArray(value)) return value.some(holdsSecure);
  if (typeof value !== "object" || value === null) return false;
  return secureText(value) !== undefined || Object.values(value).some(holdsSecure);
}

/** The ciphertext of `{secure: …}`, which is the only key then. */
function secureText(value: object): string | undefined {
  const { secure } = value as { secure?: unknown };
  return typeof secure === "string" && Object.keys(value).length === 1 ? secure : undefined;
}

/** `project:name`; the older `project:config:name` is the same. */
function parseKey(key: string, file: string): string {
  const match = /^([^:]+):(?:config:)?([^:]+)$/.exec(key);
  if (match === null) throw new Error(`${file}: "${key}" is no key of a setting. Keys read <project>:<name>.`);
  return `${match[1]}:${match[2]}`;
}

async function readYaml(file: string): Promise<Json> {
  let form: unknown;
  try {
    form = parseYaml(await readFile(file, "utf8"));
  } catch (error) {
    throw new Error(`${file} cannot be read: ${(error as Error).message}`, { cause: error });
  }
  if (form === null || form === undefined) return {};
  if (typeof form !== "object" || Array.isArray(form)) throw new Error(`${file} is not a YAML map of keys to values.`);
  return form as Json;
}

async function firstOf(files: string[]): Promise<string | undefined> {
  for (const file of files) {
    if (
      await access(file).then(
        () => true,
        () => false,
      )
    ) {
      return file;
    }
  }
  return undefined;
}
