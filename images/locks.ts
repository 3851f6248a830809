import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const folder = join(import.meta.dirname, "wheels");

/** A lock of Python packages: a requirements file in which every package has a version and the sha256 of its files. */
export interface WheelLock {
  name: string;
  /** For `uv pip install --require-hashes` or `pip install --require-hashes`. */
  text: string;
  packages: readonly LockedPackage[];
  /** What an empty cache has to download; 0 where the lock does not say. */
  bytes: number;
}

export interface LockedPackage {
  name: string;
  version: string;
  sha256: readonly string[];
}

/**
 * Reads `images/wheels/<name>.txt`.
 * @throws Error for an unknown lock, and for one that would let unproven files in
 */
export function readLock(name: string): WheelLock {
  const path = join(folder, `${name}.txt`);
  if (!existsSync(path)) throw new Error(`no wheel lock \`${name}\`; images/wheels has ${lockNames().join(", ")}`);
  return parseLock(name, readFileSync(path, "utf8"));
}

export const lockNames = () =>
  readdirSync(folder)
    .filter((file) => file.endsWith(".txt"))
    .map((file) => file.slice(0, -".txt".length))
    .sort();

/** One lock of several, such as the WebUI's and xformers'. */
export function joinLocks(locks: readonly WheelLock[]): WheelLock {
  const name = locks.map((lock) => lock.name).join("+");
  return parseLock(name, locks.map((lock) => lock.text).join(""));
}

/**
 * A lock from its text.
 * @throws Error with the line that is no `name==version` with hashes
 */
export function parseLock(name: string, text: string): WheelLock {
  const refuse = (line: string, why: string) => new Error(`wheel lock \`${name}\`: ${why}: ${line}`);
  const packages: LockedPackage[] = [];
  let bytes = 0;
  for (const line of text.replaceAll(/\\\n/g, " ").split("\n")) {
    bytes += Number(/^# bytes: (\d+)$/.exec(line)?.[1] ?? 0);
    const requirement = line.replace(/(^|\s)#.*$/, "").trim();
    if (requirement === "") continue;
    // An option or an address would send the installer elsewhere than the settings say.
    const [pin = "", ...hashes] = requirement.split(/\s+/);
    const named = /^([a-z0-9][a-z0-9.-]*)==([\w.+!-]+)$/.exec(pin);
    if (!named?.[1] || !named[2]) throw refuse(pin, "not a package with its exact version");
    const sha256 = hashes.map((hash) => /^--hash=sha256:([0-9a-f]{64})$/.exec(hash)?.[1] ?? "");
    if (sha256.length === 0 || sha256.includes("")) throw refuse(pin, "not proved by sha256");
    if (packages.some((other) => other.name === named[1])) throw refuse(pin, "there twice");
    packages.push({ name: named[1], version: named[2], sha256 });
  }
  if (packages.length === 0) throw new Error(`wheel lock \`${name}\`: empty`);
  return { name, text, packages, bytes };
}
