import { catalog } from "../../../images/catalog.ts";
import { type AtelierLock, lockedWheels } from "../../../images/lock.ts";
import { parseLock } from "../../../images/locks.ts";
import type { Tokenizer } from "../../../images/tokenizer.ts";
import type { Assembly } from "../../../stacks/assembly.ts";
import type { Model } from "../../../stacks/schema/models.ts";
import type { Settings } from "../../../stacks/schema.ts";

export interface Contents {
  for: string;
  git: { name: string; commit: string; paths: string[] }[];
  /** Package -> the sha256 of its files. */
  wheels: Map<string, { name: string; version: string; sha256: Set<string> }>;
  /** Which of those files are of any use to the hosts that it is for. */
  usable(file: string): boolean;
  models: Pick<Model, "name" | "file" | "bytes" | "sha256" | "sources">[];
  tokenizer: Tokenizer;
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
    models: assembly.models,
    tokenizer: assembly.tokenizer,
  };
}

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
