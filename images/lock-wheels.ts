import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { lockNames, parseLock, readLock } from "./locks.ts";

/**
 * Makes the wheel locks anew: `node images/lock-wheels.ts [--upgrade] [lock …]`, with uv on PATH or in $UV (it is on PyPI).
 * Versions that a lock has already stay, unless `--upgrade` lets go of them. A lock keeps the versions that the first target resolves to, and for every target the files that it can install: names, versions and sha256, never an address.
 */

interface Target {
  python: string;
  platform: string;
}

const linux = (...pythons: string[]): Target[] =>
  pythons.map((python) => ({ python, platform: "x86_64-manylinux_2_28" }));

// The rehearsal runs on whatever Python the machine has.
const everywhere = ["3.10", "3.11", "3.12", "3.13", "3.14"].flatMap((python) => [
  { python, platform: "x86_64-manylinux_2_28" },
  { python, platform: "aarch64-manylinux_2_28" },
]);

/** Lock -> its targets. `wheels/<lock>.in` says what it is for. */
const locks: Record<string, Target[]> = {
  "a1111-cu121": linux("3.10", "3.11"),
  "a1111-cu128": linux("3.10", "3.11"),
  "xformers-cu121": linux("3.10", "3.11"),
  "xformers-cu128": linux("3.10", "3.11"),
  controlnet: linux("3.10", "3.11"),
  supervisor: linux("3.10"),
  gate: everywhere,
  rehearsal: everywhere,
  uv: [...linux("3.10"), { python: "3.10", platform: "aarch64-manylinux_2_28" }],
};

/** Locks that are installed beside another one: they take its versions, and hold only what it lacks. Those of the WebUI differ in torch and its kin alone. */
const beside: Record<string, string> = { controlnet: "a1111-cu121" };

/** Never installed: the same `cv2` as opencv-python's, whose files these would take with them when they go. */
const leftOut = ["opencv-contrib-python", "opencv-python-headless"];

/** A locked package: the files that some target installs. */
interface Package {
  version: string;
  files: Map<string, number>;
}

const uv = process.env.UV ?? "uv";
const wheels = join(import.meta.dirname, "wheels");

/** Versions that are settled already. */
type Pins = Map<string, { version: string }>;

/** Resolves `<lock>.in` for one target. */
function resolve(lock: string, { python, platform }: Target, pins: Pins): Map<string, Package> {
  const scratch = mkdtempSync(join(tmpdir(), "atelier-lock-"));
  try {
    const constraints = join(scratch, "constraints.txt");
    writeFileSync(constraints, [...pins].map(([name, { version }]) => `${name}==${version}\n`).join(""));
    const output = join(scratch, "pylock.toml");
    const overrides = join(scratch, "overrides.txt");
    // uv has no other word for "not this one" than a condition that never holds.
    writeFileSync(overrides, leftOut.map((name) => `${name}; python_version < "0"\n`).join(""));
    const dependencies = lock.startsWith("xformers") ? ["--no-deps"] : [];
    execFileSync(
      uv,
      ["pip", "compile", "--quiet", "--no-config", "--format", "pylock.toml", "--python-version", python]
        .concat(["--python-platform", platform, "--constraint", constraints, "--output-file", output])
        .concat("--override", overrides, dependencies, join(wheels, `${lock}.in`)),
      { stdio: ["ignore", "ignore", "inherit"], encoding: "utf8", timeout: 300_000 },
    );
    return readPylock(readFileSync(output, "utf8"));
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** Packages of a PEP 751 lock as uv writes it. A source archive counts only where there is no wheel. */
function readPylock(toml: string): Map<string, Package> {
  const packages = new Map<string, Package>();
  for (const block of toml.split("[[packages]]\n").slice(1)) {
    const name = /^name = "([^"]+)"$/m.exec(block)?.[1];
    const version = /^version = "([^"]+)"$/m.exec(block)?.[1];
    const [source = "", built = ""] = block.split(/^wheels = /m);
    const file = /size = (\d+), hashes = \{ sha256 = "([0-9a-f]{64})" \}/g;
    const files = new Map([...(built || source).matchAll(file)].map(([, size, sha256 = ""]) => [sha256, Number(size)]));
    if (!name || !version || files.size === 0) throw new Error(`not understood in uv's lock:\n${block}`);
    packages.set(name, { version, files });
  }
  return packages;
}

/** Adds another target's files to those of the first. */
function merge(lock: string, target: Target, into: Map<string, Package>, from: Map<string, Package>): void {
  for (const [name, { version, files }] of from) {
    const known = into.get(name);
    if (known?.version !== version) {
      throw new Error(
        `${lock}: ${target.python} on ${target.platform} wants ${name} ${version}, the first target has ${known?.version ?? "none"}`,
      );
    }
    for (const [sha256, size] of files) known.files.set(sha256, size);
  }
}

function render(lock: string, targets: Target[], packages: Map<string, Package>): string {
  const names = [...packages.keys()].sort();
  // One file of each is installed: the largest is the safe guess for the disk.
  const bytes = names.reduce((sum, name) => sum + Math.max(...(packages.get(name)?.files.values() ?? [])), 0);
  const head = [
    `# Made by images/lock-wheels.ts from wheels/${lock}.in; do not edit.`,
    `# For ${targets.map(({ python, platform }) => `Python ${python} on ${platform}`).join(", ")}.`,
    `# bytes: ${bytes}`,
  ];
  const body = names.map((name) => {
    const { version = "", files = new Map<string, number>() } = packages.get(name) ?? {};
    const hashes = [...files.keys()].sort().map((sha256) => `    --hash=sha256:${sha256}`);
    return `${[`${name}==${version}`, ...hashes].join(" \\\n")}\n    # bytes: ${Math.max(...files.values())}`;
  });
  return `${[...head, ...body].join("\n")}\n`;
}

const upgrade = process.argv.includes("--upgrade");
const asked = process.argv.slice(2).filter((word) => word !== "--upgrade");
for (const lock of asked.length > 0 ? asked : Object.keys(locks)) {
  const [first, ...others] = locks[lock] ?? [];
  if (!first) throw new Error(`no lock \`${lock}\`; there are ${Object.keys(locks).join(", ")}`);
  const kept: Pins = new Map();
  if (!upgrade && lockNames().includes(lock))
    for (const { name, version } of readLock(lock).packages) kept.set(name, { version });
  const below = beside[lock] ? readLock(beside[lock]).packages : [];
  for (const { name, version } of below) kept.set(name, { version });
  const packages = resolve(lock, first, kept);
  const pins = new Map([...kept, ...packages]);
  for (const target of others) merge(lock, target, packages, resolve(lock, target, pins));
  for (const { name } of below) packages.delete(name);
  const text = render(lock, [first, ...others], packages);
  const { bytes } = parseLock(lock, text);
  const path = join(wheels, `${lock}.txt`);
  writeFileSync(`${path}.new`, text);
  renameSync(`${path}.new`, path);
  console.log(`${lock}: ${packages.size} packages, ${(bytes / 1e6).toFixed(1)} MB`);
}
