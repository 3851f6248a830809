import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { z } from "zod";
import { type CatalogModel, catalog } from "./catalog.ts";
import { difyDigests, difyImages, difyPlugins, tunnelBase } from "./dify.ts";
import { extensions } from "./extensions.ts";
import { lockNames, readLock, type WheelLock } from "./locks.ts";
import { type Source, sources, webuiVersion } from "./sources.ts";
import { type Tokenizer, tokenizer } from "./tokenizer.ts";

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const commit = z.string().regex(/^[0-9a-f]{40}$/);
const repository = z.strictObject({ name: z.string(), commit, paths: z.array(z.string()).min(1) });

/** What an upstream showed when the lock was made; `atelier lock --check` says what has moved since. Not what is installed. */
const seenSchema = z.strictObject({
  /** Repository path -> ref -> commit. */
  git: z.record(z.string(), z.record(z.string(), commit)).default({}),
  /** Package -> newest version. */
  packages: z.record(z.string(), z.string()).default({}),
  /** Model -> what a HEAD of its first source told. */
  models: z
    .record(z.string(), z.strictObject({ bytes: z.number().optional(), etag: z.string().optional() }))
    .default({}),
});

const pluginSchema = z.strictObject({
  version: z.string(),
  /** `<id>:<version>@<checksum>`, as the marketplace has it. */
  identifier: z.string().regex(/^[\w-]+\/[\w-]+:[\w.-]+@[0-9a-f]{32,64}$/),
  /** Made from the publisher's source: the marketplace is asked at the first installation, and what it says is recorded. */
  computed: z.literal(true).optional(),
});

const lockSchema = z.strictObject({
  form: z.literal(1),
  webui: z.string(),
  sources: z.array(repository),
  extensions: z.array(repository),
  wheels: z.record(z.string(), z.strictObject({ for: z.string(), packages: z.number(), bytes: z.number(), sha256 })),
  models: z.array(
    z.strictObject({
      name: z.string(),
      file: z.string(),
      bytes: z.number().int().positive().optional(),
      sha256: sha256.optional(),
    }),
  ),
  tokenizer: z.strictObject({
    repository: z.string(),
    revision: commit,
    files: z.array(z.strictObject({ file: z.string(), bytes: z.number(), sha256 })),
  }),
  dify: z.strictObject({
    /** Image -> digest. */
    images: z.record(z.string(), z.string().regex(/^sha256:[0-9a-f]{64}$/)),
    /** Plugin -> its package. */
    plugins: z.record(z.string(), pluginSchema),
  }),
  seen: seenSchema.optional(),
});

/** Everything that a stack may be made of, each by what proves it: a commit, a digest, a sha256. */
export type AtelierLock = z.infer<typeof lockSchema>;
export type Seen = z.infer<typeof seenSchema>;

/** What the machine recorded at the first verified download of a model without a sha256; see docs/architecture.md. */
export type Recorded = Record<string, { file: string; bytes: number; sha256: string; source?: string; at?: string }>;

/** What the marketplace said of plugins when this machine installed them, where the lock had it computed only. */
export type RecordedPlugins = Record<string, { version: string; identifier: string; at?: string }>;

/** The lock is missing, broken, or says something else than the files beside it. */
export class LockError extends Error {
  constructor(mistakes: string[]) {
    super(
      `images/atelier.lock does not fit the files of images/:\n${mistakes.map((mistake) => `  - ${mistake}`).join("\n")}\n` +
        "If the change is wanted, run `npx atelier lock`, look at the difference, and commit both.",
    );
    this.name = "LockError";
  }
}

export const lockPath = join(import.meta.dirname, "atelier.lock");

/**
 * Reads the lock.
 * @throws LockError when it is missing or not a lock
 */
export function readAtelierLock(path = lockPath): AtelierLock {
  if (!existsSync(path)) throw new LockError([`${path} does not exist`]);
  let raw: unknown;
  try {
    raw = parse(readFileSync(path, "utf8"));
  } catch (error) {
    throw new LockError([`it is not YAML: ${(error as Error).message.split("\n")[0]}`]);
  }
  const parsed = lockSchema.safeParse(raw);
  if (parsed.success) return parsed.data;
  throw new LockError(parsed.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`));
}

/** What a lock has recorded of models, as a machine has it. */
export const recordedIn = ({ models }: AtelierLock): Recorded =>
  Object.fromEntries(
    models.flatMap(({ name, file, bytes, sha256 }) => (bytes && sha256 ? [[name, { file, bytes, sha256 }]] : [])),
  );

/** What the files of `images/` say, as a lock without what was seen. A model's unknown size and hash come from `recorded`. */
export function lockOfFiles(recorded: Recorded = {}): AtelierLock {
  const pinned = ({ name, commit, paths }: Pick<Source, "name" | "commit" | "paths">) => ({ name, commit, paths });
  return {
    form: 1,
    webui: webuiVersion,
    sources: sources.map(pinned),
    extensions: extensions.map(pinned),
    wheels: Object.fromEntries(lockNames().map((name) => [name, wheelsOf(name)])),
    models: catalog.map((model) => lockedModel(model, recorded)),
    tokenizer,
    dify: difyOfFiles(),
  };
}

function difyOfFiles(): AtelierLock["dify"] {
  const names = [...new Set([...Object.values(difyImages), tunnelBase])].sort();
  return {
    images: Object.fromEntries(names.flatMap((name) => (difyDigests[name] ? [[name, difyDigests[name].digest]] : []))),
    plugins: Object.fromEntries(
      Object.values(difyPlugins).map(({ id, version, checksum, sure }) => [
        id,
        {
          version,
          identifier: `${id}:${version}@${checksum}`,
          ...(sure === "computed" ? { computed: true as const } : {}),
        },
      ]),
    ),
  };
}

/** What is known of Dify's images and plugins before anybody is asked: of the lock, of this machine's first installations, of the files. */
export function knownDify(
  before: AtelierLock["dify"] | undefined,
  recorded: RecordedPlugins = {},
): AtelierLock["dify"] {
  const files = difyOfFiles();
  const plugins = Object.entries(files.plugins).map(([id, written]) => {
    const locked = before?.plugins[id];
    if (locked?.version === written.version && !locked.computed) return [id, locked];
    const seen = recorded[id];
    return [id, seen?.version === written.version ? { version: seen.version, identifier: seen.identifier } : written];
  });
  const images = Object.keys(files.images).map((name) => [name, before?.images[name] ?? files.images[name]]);
  return { images: Object.fromEntries(images), plugins: Object.fromEntries(plugins) };
}

function wheelsOf(name: string): AtelierLock["wheels"][string] {
  const { text, packages, bytes } = readLock(name);
  const [, targets = ""] = /^# For (.*)\.$/m.exec(text) ?? [];
  const pythons = new Set([...targets.matchAll(/Python (\d+\.\d+)/g)].map(([, version]) => version));
  return {
    for: `Python ${[...pythons].join(", ")}`,
    packages: packages.length,
    bytes,
    sha256: createHash("sha256").update(text).digest("hex"),
  };
}

function lockedModel({ name, file, bytes, sha256 }: CatalogModel, recorded: Recorded): AtelierLock["models"][number] {
  const seen = sha256 === undefined && recorded[name]?.file === file ? recorded[name] : undefined;
  return {
    name,
    file,
    ...(bytes === undefined && seen === undefined ? {} : { bytes: bytes ?? seen?.bytes }),
    ...(sha256 === undefined && seen === undefined ? {} : { sha256: sha256 ?? seen?.sha256 }),
  };
}

/**
 * Where the lock says something else than the files: a line each.
 * A model that the files have no hash of may have one in the lock: it was recorded.
 */
export function disagreements(lock: AtelierLock, files: AtelierLock = lockOfFiles()): string[] {
  const lines: string[] = [];
  const differ = (what: string, locked: unknown, written: unknown) => {
    const [a, b] = [show(locked), show(written)];
    if (a !== b) lines.push(`${what}: the lock has ${a}, the files have ${b}`);
  };
  differ("the WebUI's release", lock.webui, files.webui);
  for (const kind of ["sources", "extensions"] as const)
    for (const name of namesOf(lock[kind], files[kind])) {
      const [locked, written] = [lock[kind], files[kind]].map((list) => list.find((entry) => entry.name === name));
      differ(`${kind.slice(0, -1)} ${name}`, locked?.commit, written?.commit);
      if (locked && written) differ(`${kind.slice(0, -1)} ${name}, paths`, locked.paths, written.paths);
    }
  for (const name of new Set([...Object.keys(lock.wheels), ...Object.keys(files.wheels)]))
    differ(`wheels/${name}.txt`, lock.wheels[name]?.sha256, files.wheels[name]?.sha256);
  for (const name of namesOf(lock.models, files.models)) {
    const [locked, written] = [lock.models, files.models].map((list) => list.find((entry) => entry.name === name));
    differ(`model ${name}`, locked?.file, written?.file);
    if (!locked || !written) continue;
    if (written.sha256 !== undefined) differ(`model ${name}, sha256`, locked.sha256, written.sha256);
    if (written.bytes !== undefined) differ(`model ${name}, bytes`, locked.bytes, written.bytes);
  }
  differ("the tokenizer's revision", lock.tokenizer.revision, files.tokenizer.revision);
  differ("the tokenizer's files", filesOf(lock.tokenizer), filesOf(files.tokenizer));
  // Their digests and checksums may be newer ones: a registry was asked.
  differ("Dify's images", Object.keys(lock.dify.images).sort(), Object.keys(files.dify.images).sort());
  for (const id of new Set([...Object.keys(lock.dify.plugins), ...Object.keys(files.dify.plugins)]))
    differ(`plugin ${id}`, lock.dify.plugins[id]?.version, files.dify.plugins[id]?.version);
  return lines;
}

const show = (value: unknown): string =>
  value === undefined ? "none" : Array.isArray(value) ? value.join(" ") : String(value);
const filesOf = ({ files }: Tokenizer) => files.map(({ file, bytes, sha256 }) => `${file}:${bytes}:${sha256}`);
const namesOf = (...lists: { name: string }[][]) => new Set(lists.flat().map(({ name }) => name));

let checked: AtelierLock | undefined;

/**
 * The lock, held against the files beside it; read once a process.
 * @throws LockError with every disagreement
 */
export function pinnedInputs(): AtelierLock {
  if (checked) return checked;
  const lock = readAtelierLock();
  const mistakes = disagreements(lock);
  if (mistakes.length > 0) throw new LockError(mistakes);
  checked = lock;
  return lock;
}

/**
 * A wheel lock whose text is the one that is locked.
 * @throws LockError when it is not
 */
export function lockedWheels(name: string): WheelLock {
  const wheels = readLock(name);
  const locked = (checked ?? readAtelierLock()).wheels[name]?.sha256;
  const written = createHash("sha256").update(wheels.text).digest("hex");
  if (locked === written) return wheels;
  throw new LockError([`wheels/${name}.txt: the lock has ${locked ?? "none"}, the files have ${written}`]);
}
