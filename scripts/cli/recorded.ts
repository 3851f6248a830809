import { join } from "node:path";
import { text } from "@atelier/engine/providers/command/plain";
import { type AtelierLock, type Recorded, type RecordedPlugins, readAtelierLock } from "../../images/lock.ts";
import { type Recordings, readRecordings } from "../../images/recorded.ts";
import { listResources } from "./engines/state.ts";
import { writeWhole } from "./files.ts";
import { home } from "./paths.ts";

/**
 * After an update: what came for the first time and the lock does not know for sure, into `.atelier/recorded.json`: models without a sha256
 * of their own, plugins whose checksum was computed. From then on every stack of this machine is held to them.
 * @returns the new ones
 */
export async function keepRecorded(stack: string): Promise<Recordings> {
  const known = readRecordings(home);
  const resources = await listResources(stack);
  const facts = (name: string) => {
    const step = resources.find(({ urn }) => urn.endsWith(`::${name}`));
    return step ? readJson(text(step.outputs, "stdout") ?? "") : undefined;
  };
  const fresh = {
    models: freshModels((facts("models") as { recorded?: Recorded } | undefined)?.recorded ?? {}, known.models),
    plugins: freshPlugins([facts("dify-plugin-tool"), facts("dify-plugin-model")], known.plugins, readAtelierLock()),
  };
  keep(known, fresh);
  return fresh;
}

/**
 * Models that came by a bundle, without a sha256 of their own: offline, a host finds them by no other name.
 * @returns those that this machine had recorded as something else, which stays
 */
export function keepPushed(models: readonly { name: string; file: string; bytes: number; sha256: string }[]): string[] {
  const known = readRecordings(home);
  const came = Object.fromEntries(
    models.map(({ name, file, bytes, sha256 }) => [name, { file, bytes, sha256, source: "bundle" }]),
  );
  keep(known, { models: freshModels(came, known.models), plugins: {} });
  return models
    .filter(({ name, file, sha256 }) => known.models[name]?.file === file && known.models[name].sha256 !== sha256)
    .map(({ name }) => name);
}

function keep(known: Recordings, fresh: Recordings): void {
  if (Object.keys(fresh.models).length + Object.keys(fresh.plugins).length === 0) return;
  const all = { models: { ...known.models, ...fresh.models }, plugins: { ...known.plugins, ...fresh.plugins } };
  writeWhole(join(home, "recorded.json"), `${JSON.stringify(all, null, 2)}\n`);
}

function freshModels(came: Recorded, known: Recorded): Recorded {
  const fresh = Object.entries(came).filter(([name, { file }]) => known[name]?.file !== file);
  return Object.fromEntries(fresh.map(([name, entry]) => [name, { ...entry, at: now() }]));
}

/** What the items of `scripts/dify` say of plugins: a package from a folder is nobody's but that stack's. */
export function freshPlugins(said: unknown[], known: RecordedPlugins, { dify }: AtelierLock): RecordedPlugins {
  const fresh: RecordedPlugins = {};
  for (const one of said) {
    const { identifier = "", made, source } = (one ?? {}) as { identifier?: string; made?: boolean; source?: string };
    const [id = "", version = ""] = identifier.split(/[:@]/);
    const locked = dify.plugins[id];
    if (!made || source !== "marketplace" || locked?.version !== version || !locked.computed) continue;
    if (known[id]?.version !== version) fresh[id] = { version, identifier, at: now() };
  }
  return fresh;
}

const now = () => new Date().toISOString();

function readJson(stdout: string): unknown {
  try {
    return JSON.parse(stdout.trim().split("\n").pop() ?? "");
  } catch {
    return undefined;
  }
}
