import { createHash } from "node:crypto";
import { createReadStream, existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { atelier, quoted } from "../../../healthchecks/hint.ts";
import { UserError } from "../errors.ts";
import { writeWhole } from "../files.ts";
import { manifestOf } from "./folder.ts";

const file = { bytes: z.number().int().nonnegative(), sha256: z.string().regex(/^[0-9a-f]{64}$/) };
// Every path is below the bundle: it is served, and copied to a host.
const path = z.string().regex(/^[\w@+-][\w.@+-]*(\/[\w@+-][\w.@+-]*)*$/);
const digest = z.string().regex(/^sha256:[0-9a-f]{64}$/);
const manifestSchema = z.strictObject({
  form: z.literal(1),
  /** The stack that it was made for, or `everything`. */
  for: z.string(),
  /** Bare repositories: the commit is the proof of the content. */
  git: z.array(z.strictObject({ name: z.string(), commit: z.string(), paths: z.array(z.string()), folder: path })),
  wheels: z.array(z.strictObject({ project: z.string(), path, ...file })),
  models: z.array(z.strictObject({ name: z.string(), file: z.string(), path, ...file })),
  tokenizer: z.strictObject({
    repository: z.string(),
    revision: z.string(),
    files: z.array(z.strictObject({ file: z.string(), path, ...file })),
  }),
  /** Dify's images, as an OCI layout in `images/`. `digest` is what the registry has under the tag, `manifest` this platform's in it. */
  images: z.array(z.strictObject({ image: z.string(), platform: z.string(), digest, manifest: digest })),
  /** Dify's plugin packages; `identifier` as the lock has it. */
  plugins: z.array(
    z.strictObject({ id: z.string(), version: z.string(), identifier: z.string().optional(), path, ...file }),
  ),
  /** Python packages that the plugins want when they are installed. */
  pluginWheels: z.array(z.strictObject({ project: z.string(), path, ...file })).default([]),
  /** Every file of the bundle but this one. */
  files: z.array(z.strictObject({ path, ...file })),
});

/** What a bundle holds: all that a stack is made of, but Python and the system's packages. */
export type Manifest = z.infer<typeof manifestSchema>;
export type BundledImage = Manifest["images"][number];
export type BundledPlugin = Manifest["plugins"][number];

/**
 * Reads a bundle's manifest.
 * @throws UserError where the folder is no bundle, or not a whole one
 */
export function readManifest(folder: string): Manifest {
  if (!existsSync(manifestOf(folder)))
    throw new UserError(
      `${folder} is no bundle: it has no bundle.json. ${remake(folder)} makes one, and goes on where it was cut.`,
      2,
    );
  const parsed = manifestSchema.safeParse(jsonOf(readFileSync(manifestOf(folder), "utf8")));
  if (!parsed.success)
    throw new UserError(
      `${manifestOf(folder)} is not as this version of Atelier writes it, or not whole. ${remake(folder)} makes it anew, and takes what is there.`,
      2,
    );
  const broken = parsed.data.files.filter(
    ({ path, bytes }) => statSync(join(folder, path), { throwIfNoEntry: false })?.size !== bytes,
  );
  if (broken.length === 0) return parsed.data;
  throw new UserError(
    `The bundle ${folder} is not whole: ${broken
      .slice(0, 3)
      .map(({ path }) => path)
      .join(", ")}${broken.length > 3 ? ` and ${broken.length - 3} more` : ""}. ` + `${remake(folder)} mends it.`,
  );
}

/** The command that makes a bundle whole for this stack. */
export const remake = (folder: string): string => atelier(`bundle create ${quoted(folder)}`);

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Where a bundle keeps what has this digest: a blob of its images. */
export const blobPath = (digest: string): string => `images/blobs/${digest.replace(":", "/")}`;

export const writeManifest = (folder: string, manifest: Manifest): void =>
  writeWhole(manifestOf(folder), `${JSON.stringify(manifest, null, 1)}\n`);

/** sha256 of a file, read as a stream: a checkpoint is larger than memory. */
export async function hashFile(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer);
  return hash.digest("hex");
}

/** Every file below a folder, as paths with slashes, sorted. */
export function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) =>
      join(entry.parentPath, entry.name)
        .slice(folder.length + 1)
        .replaceAll("\\", "/"),
    )
    .sort();
}

/** `812 kB`, `4.3 MB`, `3.01 GB`. */
export function inWords(bytes: number): string {
  if (bytes >= 1e9) return `${(bytes / 1e9).toFixed(2)} GB`;
  return bytes >= 1e6 ? `${(bytes / 1e6).toFixed(1)} MB` : `${Math.ceil(bytes / 1e3)} kB`;
}
