import { createHash, createHmac } from "node:crypto";
import { strFromU8, strToU8, unzipSync, type Zippable, zipSync } from "fflate";
import { parse, stringify } from "yaml";
import declarations from "./contract/plugins.json" with { type: "json" };
import { isObject, type JsonObject, objectIn, textIn } from "./json.ts";
import type { Package } from "./state.ts";

const signatureFile = ".rehearsal-signature";
/** Known to everybody who reads this: it tells a package of ours from another, and protects nothing. */
const signatureKey = "atelier rehearsal";

/** The plugins that the stand-in knows by what the real ones declare. */
export const knownPlugins = Object.entries(declarations as unknown as Record<string, JsonObject>).map(
  ([name, declaration]) => ({ id: `langgenius/${name}`, name, version: textIn(declaration, "version") }),
);

/**
 * Reads a .difypkg: a zip with `manifest.yaml` in it. Those of known names get the real one's declaration.
 * Gives undefined for what is no package.
 */
export function readPackage(bytes: Uint8Array): Package | undefined {
  let files: Record<string, Uint8Array>;
  let manifest: unknown;
  try {
    files = unzipSync(bytes);
    manifest = parse(strFromU8(files["manifest.yaml"] ?? new Uint8Array()));
  } catch {
    return undefined;
  }
  const [author, name, version] = ["author", "name", "version"].map((key) => textIn(manifest, key));
  if (!author || !name || !version) return undefined;
  const checksum = checksumOf(files);
  const { [signatureFile]: signature, ...signed } = files;
  const verified = signature !== undefined && strFromU8(signature) === signatureOf(signed);
  const known = (declarations as unknown as Record<string, JsonObject>)[name];
  const declaration = author === "langgenius" && known ? known : declared(manifest);
  return {
    id: `${author}/${name}:${version}@${checksum}`,
    pluginId: `${author}/${name}`,
    author,
    name,
    version,
    checksum,
    verified,
    declaration: { ...declaration, author, name, version, verified },
  };
}

/** A stand-in package of a known plugin: its manifest and a word that it is one; signed with the stand-in's key. */
export function makePackage(
  name: string,
  options: { version?: string; signed?: boolean; author?: string; readme?: string } = {},
): Uint8Array {
  const known = (declarations as unknown as Record<string, JsonObject>)[name] ?? {};
  const manifest = {
    version: options.version ?? (textIn(known, "version") || "0.0.1"),
    type: "plugin",
    author: options.author ?? "langgenius",
    name,
    label: objectIn(known, "label"),
    description: { en_US: `REHEARSAL: a stand-in for ${name}; it holds nothing that runs` },
    created_at: "2026-01-01T00:00:00Z",
    resource: objectIn(known, "resource"),
    plugins: objectIn(known, "plugins"),
    meta: {
      version: "0.0.1",
      arch: ["amd64", "arm64"],
      runner: { language: "python", version: "3.12", entrypoint: "main" },
    },
  };
  const files: Record<string, Uint8Array> = {
    "manifest.yaml": strToU8(stringify(manifest)),
    "README.md": strToU8(
      options.readme ?? `REHEARSAL\n\nA stand-in for the plugin ${name}. Nothing in it runs in a real Dify.\n`,
    ),
  };
  if (options.signed !== false) files[signatureFile] = strToU8(signatureOf(files));
  // One time for all files: the same package is the same bytes on every machine.
  const dated: Zippable = Object.fromEntries(
    Object.entries(files).map(([path, content]) => [path, [content, { mtime: "2026-01-01T12:00:00", level: 0 }]]),
  );
  return zipSync(dated);
}

/** As the real daemon has it: over names and contents, so that it doesn't depend on how they were packed. */
function checksumOf(files: Record<string, Uint8Array>): string {
  const hash = createHash("sha256");
  const sum = (data: string | Uint8Array) => createHash("sha256").update(data).digest();
  for (const [path, content] of Object.entries(files).sort(([one], [other]) => (one < other ? -1 : 1)))
    hash.update(sum(path)).update(sum(content));
  return hash.digest("hex");
}

const signatureOf = (files: Record<string, Uint8Array>) =>
  createHmac("sha256", signatureKey).update(checksumOf(files)).digest("hex");

/** The declaration of a plugin that the stand-in doesn't know: it can be installed, and does nothing. */
function declared(manifest: unknown): JsonObject {
  const plugins = objectIn(manifest, "plugins");
  const none = {
    repo: null,
    tool: null,
    model: null,
    endpoint: null,
    agent_strategy: null,
    datasource: null,
    trigger: null,
  };
  return {
    description: objectIn(manifest, "description"),
    icon: textIn(manifest, "icon"),
    icon_dark: "",
    label: objectIn(manifest, "label"),
    category: plugins.models ? "model" : plugins.tools ? "tool" : "extension",
    created_at: isObject(manifest) ? String(manifest.created_at ?? "") : "",
    resource: objectIn(manifest, "resource"),
    plugins: { tools: null, models: null, endpoints: null, datasources: null, triggers: null, ...plugins },
    tags: [],
    ...none,
    meta: objectIn(manifest, "meta"),
  };
}
