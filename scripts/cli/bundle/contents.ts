import { catalog } from "../../../images/catalog.ts";
import { difyImages, difyPlugins, difyServices } from "../../../images/dify.ts";
import { type AtelierLock, lockedWheels, pinnedInputs } from "../../../images/lock.ts";
import { parseLock } from "../../../images/locks.ts";
import { readRecordings } from "../../../images/recorded.ts";
import type { Tokenizer } from "../../../images/tokenizer.ts";
import type { Assembly } from "../../../stacks/assembly.ts";
import { isOwn, packageIn } from "../../../stacks/dify/target.ts";
import { asRecorded } from "../../../stacks/recorded.ts";
import type { Model } from "../../../stacks/schema/models.ts";
import type { Settings } from "../../../stacks/schema.ts";
import { UserError } from "../errors.ts";
import { home } from "../paths.ts";
import type { WantedImage } from "./images.ts";
import type { WantedPlugin } from "./plugins.ts";

export interface Contents {
  for: string;
  git: { name: string; commit: string; paths: string[] }[];
  /** Package -> the sha256 of its files. */
  wheels: Map<string, { name: string; version: string; sha256: Set<string> }>;
  /** Which of those files are of any use to the hosts that it is for. */
  usable(file: string): boolean;
  models: Pick<Model, "name" | "file" | "bytes" | "aboutBytes" | "sha256" | "sources">[];
  tokenizer: Tokenizer;
  dify: DifyContents;
}

export interface DifyContents {
  images: WantedImage[];
  /** `linux/amd64`: of the machine with Dify's Docker engine. */
  platform: string;
  plugins: WantedPlugin[];
  marketplace: string;
}

/** What one stack is made of. */
export function contentsOfStack(stack: string, settings: Settings, assembly: Assembly): Contents {
  const { lock, supervisorLock, gateLock } = assembly.wheels;
  const locks = [lock, supervisorLock, ...(gateLock ? [gateLock] : []), assembly.uvLock];
  return {
    for: stack,
    git: assembly.sources.map(({ name, commit, paths }) => ({ name, commit, paths })),
    wheels: packagesOf(locks),
    usable: (file) => fits(file, settings.host.python, settings.host.kind === "local" ? process.arch : "x64"),
    models: assembly.models.map((model) => asRecorded(model, readRecordings(home).models)),
    tokenizer: assembly.tokenizer,
    dify: difyOfStack(settings),
  };
}

/** A rehearsal's images and packages are made on the machine that it runs on. */
function difyOfStack({ dify, upstreams }: Settings): DifyContents {
  const nothing = { images: [], platform: "linux/amd64", plugins: [], marketplace: "" };
  if (!dify || (upstreams.profile === "rehearsal" && !dify.url)) return nothing;
  const lock = pinnedInputs().dify;
  const services = difyServices.filter((service) => service !== "weaviate" || dify.vectorStore === "weaviate");
  const { plugins: from, model } = dify;
  const plugins = [difyPlugins.tool, ...(model ? [difyPlugins[model.provider]] : [])].map((plugin): WantedPlugin => {
    const { id, version } = plugin;
    if (from === "marketplace") return lockedPlugin(plugin, lock);
    // One that is not there is a mistake of the settings, which the program tells as well.
    const { found } = packageIn(from.folder, plugin);
    if (!found)
      throw new UserError(`${from.folder} has no package of ${id} ${version} (atelier:dify.plugins.folder).`, 2);
    const { identifier } = isOwn(from) ? {} : lockedPlugin(plugin, lock);
    return { id, version, identifier, package: found };
  });
  const here = dify.docker.host.startsWith("unix://") && process.arch === "arm64";
  return {
    ...nothing,
    images: dify.url
      ? []
      : imagesOf(
          services.map((service) => difyImages[service]),
          lock,
        ),
    platform: here ? "linux/arm64" : "linux/amd64",
    plugins,
    marketplace: dify.marketplace,
  };
}

const imagesOf = (names: readonly string[], { images }: AtelierLock["dify"]): WantedImage[] =>
  [...new Set(names)].map((image) => ({ image, digest: images[image] }));

/** As it is locked; what was only computed, as this machine recorded it when the marketplace told. */
function lockedPlugin({ id, version }: { id: string; version: string }, lock: AtelierLock["dify"]): WantedPlugin {
  const locked = lock.plugins[id];
  if (locked?.version !== version) return { id, version };
  if (!locked.computed) return { id, version, identifier: locked.identifier };
  const recorded = readRecordings(home).plugins[id];
  if (recorded?.version === version) return { id, version, identifier: recorded.identifier };
  return { id, version, computed: locked.identifier };
}

const difyOfLock = ({ dify }: AtelierLock): DifyContents => ({
  images: imagesOf(Object.values(difyImages), dify),
  platform: "linux/amd64",
  plugins: Object.values(difyPlugins).map((plugin) => lockedPlugin(plugin, dify)),
  marketplace: "https://marketplace.dify.ai",
});

/** Everything in the lock. */
export function contentsOfLock(lock: AtelierLock): Contents {
  const locks = Object.keys(lock.wheels).filter((name) => name !== "rehearsal");
  return {
    for: "everything",
    git: [...lock.sources, ...lock.extensions],
    wheels: packagesOf(locks.map((name) => lockedWheels(name).text)),
    usable: (file) => fits(file, ["3.10", "3.11"], "x64"),
    models: catalog.map((model) => ({ ...model, ...lock.models.find(({ name }) => name === model.name) })),
    tokenizer: lock.tokenizer,
    dify: difyOfLock(lock),
  };
}

function packagesOf(locks: string[]): Contents["wheels"] {
  const packages: Contents["wheels"] = new Map();
  for (const text of locks)
    for (const { name, version, sha256 } of parseLock("", text).packages) {
      const key = `${name}==${version}`;
      const known = packages.get(key) ?? { name, version, sha256: new Set() };
      for (const hash of sha256) known.sha256.add(hash);
      packages.set(key, known);
    }
  return packages;
}

/** A wheel's file name says which Pythons and machines it is for. */
function fits(file: string, pythons: readonly string[], arch: string): boolean {
  if (!file.endsWith(".whl")) return true;
  const [tags = "", abi = "", platform = ""] = file.slice(0, -".whl".length).split("-").slice(-3);
  const machine = arch === "arm64" ? "aarch64" : "x86_64";
  if (platform !== "any" && !platform.includes(machine)) return false;
  if (abi === "abi3" || tags.includes("py3") || pythons.includes("any")) return true;
  return pythons.some((version) => tags === `cp${version.replace(".", "")}`);
}
