import { existsSync, readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import {
  type DifyPlugin,
  type DifyService,
  difyImages,
  difyPlugins,
  difyServices,
  tunnelBase,
} from "../../images/dify.ts";
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
  /** Of the admin, as the settings tell it; undefined: generated, where the Dify is made here. */
  password: string | undefined;
  plugins: { tool: PinnedPlugin; model: PinnedPlugin };
  /** The public key that packages are signed with, as PEM. */
  publicKey: string | undefined;
  reach: Reach;
  /** Undefined: it is made of containers. */
  standing: StandingDify | undefined;
  engine: EngineLogin;
  /** With digest where the lock has one; in a rehearsal the stand-in's. */
  images: Record<DifyService, string>;
  /** What the tunnel's image is built on. */
  tunnelBase: string;
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
  /** Images and packages come from a bundle (`--upstreams`), which is looked into when they are wanted. */
  bundled?: boolean;
}

/** Joins the settings with keys, certificates, packages and the lock. Mistakes are added to the list. */
export function difyTarget(
  { settings, lock, facts, bundled }: TargetSources,
  mistakes: string[],
): DifyTarget | undefined {
  const { dify } = settings;
  const model = facts?.model ?? dify.model;
  if (!model) return undefined;
  const password = dify.password ?? variable(dify.passwordEnv, "dify.passwordEnv", mistakes);
  const standing = standingDify(dify, facts, password);
  const images = imagesOf(lock, facts);
  return {
    settings: { ...dify, model },
    modelKey: modelKey(model, mistakes),
    password,
    plugins: {
      tool: pinnedPlugin(difyPlugins.tool, dify, { lock, facts, bundled }, mistakes),
      model: pinnedPlugin(difyPlugins[model.provider], dify, { lock, facts, bundled }, mistakes),
    },
    publicKey: publicKey(dify, mistakes),
    reach: planReach(settings, standing?.url, mistakes),
    standing,
    engine: engineLogin(dify.docker, "atelier:dify.docker.certPath", mistakes),
    images,
    tunnelBase: facts ? images.api : withDigest(tunnelBase, lock),
    standIn: facts !== undefined,
  };
}

function standingDify(
  dify: DifyWritten,
  facts: DifyFacts | undefined,
  password: string | undefined,
): StandingDify | undefined {
  if (facts?.kind === "process") {
    const { url, email, initPassword } = facts;
    return { url, email, password: password ?? facts.password, initPassword, own: true };
  }
  if (!dify.url) return undefined;
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
  { id, version }: DifyPlugin,
  { plugins, marketplace }: DifyWritten,
  { lock, facts, bundled }: Pick<TargetSources, "lock" | "facts" | "bundled">,
  mistakes: string[],
): PinnedPlugin {
  const pinned = { id, version };
  const given = facts?.plugins[id];
  if (given) return { ...pinned, package: given };
  const locked = lock?.plugins[id];
  const known = locked?.version === version ? locked : undefined;
  if (plugins === "marketplace")
    return { ...pinned, ...(known && { [known.computed ? "computed" : "identifier"]: known.identifier }), marketplace };
  const held = known && !known.computed && !isOwn(plugins) && { identifier: known.identifier };
  if (bundled) return { ...pinned, ...held };
  const { found, name, all } = packageIn(plugins.folder, { id, version });
  if (found) return { ...pinned, ...held, package: found };
  mistakes.push(
    `atelier:dify.plugins.folder: ${plugins.folder} has no package of ${id} ${version} (langgenius-${name}_${version}.difypkg); it has ${all.join(", ") || "none at all"}`,
  );
  return pinned;
}

/** One packed by hand has another checksum than the marketplace's, and is known by its bytes. */
export const isOwn = (plugins: Exclude<DifyWritten["plugins"], "marketplace">): boolean =>
  plugins.unsigned || plugins.publicKey !== undefined;

/** A plugin's package in a folder that a setting names. */
export function packageIn(
  folder: string,
  { id, version }: Pick<DifyPlugin, "id" | "version">,
): { found: string | undefined; name: string; all: string[] } {
  const place = placeOf(folder);
  const name = id.split("/")[1] ?? "";
  const all = existsSync(place) ? readdirSync(place).filter((file) => file.endsWith(".difypkg")) : [];
  const found = all
    .filter((file) => file.includes(name) && file.includes(version))
    .sort((a, b) => a.length - b.length)[0];
  return { found: found && join(place, found), name, all };
}

function publicKey({ plugins }: DifyWritten, mistakes: string[]): string | undefined {
  if (plugins === "marketplace" || !plugins.publicKey) return undefined;
  return readText(placeOf(plugins.publicKey), "atelier:dify.plugins.publicKey", mistakes);
}

function imagesOf(lock: AtelierLock["dify"] | undefined, facts: DifyFacts | undefined): DifyTarget["images"] {
  const entries = difyServices.map((service) => [
    service,
    facts?.images?.[service] ?? withDigest(difyImages[service], lock),
  ]);
  return Object.fromEntries(entries) as Record<DifyService, string>;
}

const withDigest = (name: string, lock: AtelierLock["dify"] | undefined) =>
  lock?.images[name] ? `${name}@${lock.images[name]}` : name;

/** Its name without the digest: what `docker load` keeps of an image, so all that it can be known by offline. */
export const tagOf = (image: string): string => image.split("@")[0] ?? image;
