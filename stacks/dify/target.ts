import { existsSync, readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { type DifyPlugin, type DifyService, difyImages, difyPlugins, difyServices } from "../../images/dify.ts";
import type { AtelierLock } from "../../images/lock.ts";
import { type EngineLogin, engineLogin, readText } from "../docker/login.ts";
import type { DifyModel, DifySettings, DifyWritten } from "../schema/dify.ts";
import type { Settings } from "../schema.ts";
import { planReach, type Reach } from "./reach.ts";
import type { PinnedPlugin } from "./wiring.ts";

/** A Dify that stands somewhere already: somebody's, or a rehearsal's process. */
export interface StandingDify {
  url: string;
  email: string;
  password: string;
  /** Of a Dify that is ours. */
  initPassword?: string | undefined;
  own: boolean;
}

/** A Dify as the settings tell it, with what lies beside them. */
export interface DifyTarget {
  settings: DifySettings;
  /** Of the language model's provider. */
  modelKey: string | undefined;
  plugins: { tool: PinnedPlugin; model: PinnedPlugin };
  /** The public key that packages are signed with, as PEM. */
  publicKey: string | undefined;
  reach: Reach;
  /** Undefined: it is made of containers. */
  standing: StandingDify | undefined;
  engine: EngineLogin;
  /** With digest where the lock has one; in a rehearsal the stand-in's. */
  images: Record<DifyService, string>;
  standIn: boolean;
}

/** What `rehearsal/dify.ts` tells of the stand-in; see docs/architecture.md, "Dify". */
export interface DifyFacts {
  kind: "process" | "containers";
  url: string;
  email: string;
  password: string;
  initPassword: string;
  model: DifyModel;
  plugins: Record<string, string>;
  images?: Partial<Record<DifyService, string>>;
}

export interface TargetSources {
  settings: Settings & { dify: DifyWritten };
  lock: AtelierLock["dify"] | undefined;
  /** Of a rehearsal. */
  facts: DifyFacts | undefined;
}

/** Joins the settings with keys, certificates, packages and the lock. Mistakes are added to the list. */
export function difyTarget({ settings, lock, facts }: TargetSources, mistakes: string[]): DifyTarget | undefined {
  const { dify } = settings;
  const model = facts?.model ?? dify.model;
  if (!model) return undefined;
  const standing = standingDify(dify, facts, mistakes);
  return {
    settings: { ...dify, model },
    modelKey: modelKey(model, mistakes),
    plugins: {
      tool: pinnedPlugin(difyPlugins.tool, dify, { lock, facts }, mistakes),
      model: pinnedPlugin(difyPlugins[model.provider], dify, { lock, facts }, mistakes),
    },
    publicKey: publicKey(dify, mistakes),
    reach: planReach(settings, standing?.url, mistakes),
    standing,
    engine: engineLogin(dify.docker, "atelier:dify.docker.certPath", mistakes),
    images: imagesOf(lock, facts),
    standIn: facts !== undefined,
  };
}

function standingDify(dify: DifyWritten, facts: DifyFacts | undefined, mistakes: string[]): StandingDify | undefined {
  if (facts?.kind === "process") {
    const { url, email, password, initPassword } = facts;
    return { url, email, password, initPassword, own: true };
  }
  if (!dify.url) return undefined;
  const password = dify.password ?? variable(dify.passwordEnv, "dify.passwordEnv", mistakes);
  return { url: dify.url, email: dify.email, password: password ?? "", own: false };
}

function modelKey(model: DifyModel, mistakes: string[]): string | undefined {
  if (!("apiKey" in model || "apiKeyEnv" in model)) return undefined;
  return model.apiKey ?? variable(model.apiKeyEnv, "dify.model.apiKeyEnv", mistakes);
}

function variable(name: string | undefined, key: string, mistakes: string[]): string | undefined {
  if (!name) return undefined;
  const value = process.env[name];
  if (!value) mistakes.push(`atelier:${key}: the environment has no ${name}; set it, or write a secret`);
  return value;
}

/** Relative to the project, as key files are. */
const placeOf = (path: string) => resolve(import.meta.dirname, "../..", path);

function pinnedPlugin(
  plugin: DifyPlugin,
  { plugins }: DifyWritten,
  { lock, facts }: Pick<TargetSources, "lock" | "facts">,
  mistakes: string[],
): PinnedPlugin {
  const given = facts?.plugins[plugin.id];
  if (given) return { ...plugin, package: given };
  const locked = lock?.plugins[plugin.id];
  const pinned = { ...plugin, ...(locked?.identifier && { identifier: locked.identifier }) };
  if (plugins === "marketplace") {
    if (!pinned.identifier)
      mistakes.push(
        `atelier:dify.plugins: images/atelier.lock has no identifier of ${plugin.id} ${plugin.version} yet; run \`npx atelier lock\` where the marketplace answers, or name a folder with its package`,
      );
    return pinned;
  }
  const folder = placeOf(plugins.folder);
  const name = plugin.id.split("/")[1] ?? "";
  const all = existsSync(folder) ? readdirSync(folder).filter((file) => file.endsWith(".difypkg")) : [];
  const found = all
    .filter((file) => file.includes(name) && file.includes(plugin.version))
    .sort((a, b) => a.length - b.length)[0];
  if (!found) {
    mistakes.push(
      `atelier:dify.plugins.folder: ${plugins.folder} has no package of ${plugin.id} ${plugin.version} (langgenius-${name}_${plugin.version}.difypkg); it has ${all.join(", ") || "none at all"}`,
    );
    return pinned;
  }
  return { ...pinned, package: join(folder, found) };
}

function publicKey({ plugins }: DifyWritten, mistakes: string[]): string | undefined {
  if (plugins === "marketplace" || !plugins.publicKey) return undefined;
  return readText(placeOf(plugins.publicKey), "atelier:dify.plugins.publicKey", mistakes);
}

function imagesOf(lock: AtelierLock["dify"] | undefined, facts: DifyFacts | undefined): DifyTarget["images"] {
  const locked = (name: string) => (lock?.images[name] ? `${name}@${lock.images[name]}` : name);
  const entries = difyServices.map((service) => [service, facts?.images?.[service] ?? locked(difyImages[service])]);
  return Object.fromEntries(entries) as Record<DifyService, string>;
}
