import { encodePlain, encodeSorted, omit } from "./json.ts";
import type { PendingOperation, Snapshot } from "./resource.ts";
import type { PassphraseSecrets } from "./secrets.ts";
import { freshManifest } from "./snapshot.ts";
import { decodeResource, encodeResource } from "./stateForm.ts";

export { BrokenState, integrityFaults, verifyIntegrity } from "./integrity.ts";
export { emptySnapshot, freshManifest } from "./snapshot.ts";

type Json = Record<string, unknown>;

const VERSION = 3;
const FEATURES_VERSION = 4;

const LATEST_FIELDS = new Set(["manifest", "secrets_providers", "resources", "pending_operations", "metadata"]);
const CHECKPOINT_FIELDS = new Set(["stack", "latest"]);
const MANIFEST_FIELDS = new Set(["time", "magic", "version"]);

export interface DecodedCheckpoint {
  snapshot: Snapshot;
  /** Undefined: the file names no secrets provider (a stack that has none yet, or no state). */
  secrets: PassphraseSecrets | undefined;
  /** `organization/<project>/<stack>`; "" in an export. */
  stack: string;
}

/**
 * Reads a stack's state: the file of the backend, or what `pulumi stack export` prints.
 * @param open makes the secrets of the salt that the file names; called at most once
 * @param path the file's, for messages
 * @throws when the file is no state, or needs what this engine does not know; the integrity is not checked here
 */
export async function decodeCheckpoint(
  text: string,
  open: (state: { salt: string }) => Promise<PassphraseSecrets>,
  path = "",
): Promise<DecodedCheckpoint> {
  const file = parseState(text, path);
  refuseUnknown(file, path);
  const checkpoint = "checkpoint" in file ? file.checkpoint : { latest: file.deployment };
  // Null is a stack that nothing was done to yet; a file that only says its version must not pass for one.
  const empty =
    isForm(checkpoint) && (checkpoint.latest === null || ("checkpoint" in file && !("latest" in checkpoint)));
  const latest = empty ? {} : isForm(checkpoint) && checkpoint.latest;
  if (!isForm(checkpoint) || !isForm(latest)) throw holdsNone(path);
  const secrets = await openSecrets(latest.secrets_providers as Json | null | undefined, open);
  const manifest = (latest.manifest ?? freshManifest()) as Json;
  const resources = listAt(latest, "resources").map((form, i) => decodeResource(form, secrets, i));
  const pendingOperations = listAt(latest, "pending_operations").map((form, i) => ({
    type: form?.type as PendingOperation["type"],
    resource: decodeResource(form?.resource as Json | undefined, secrets, i),
  }));
  const rest = {
    manifest: omit(manifest, MANIFEST_FIELDS),
    latest: omit(latest, LATEST_FIELDS),
    checkpoint: omit(checkpoint, CHECKPOINT_FIELDS),
  };
  return {
    snapshot: {
      manifest: {
        time: String(manifest.time ?? ""),
        magic: String(manifest.magic ?? ""),
        version: String(manifest.version ?? ""),
      },
      resources,
      pendingOperations,
      metadata: (latest.metadata ?? {}) as Json,
      unknownFields: Object.fromEntries(Object.entries(rest).filter(([, fields]) => Object.keys(fields).length > 0)),
    },
    secrets,
    stack: String(checkpoint.stack ?? ""),
  };
}

export interface EncodeOptions {
  stack: string;
  project: string;
  secrets: PassphraseSecrets | undefined;
}

/** The file of the backend for a snapshot: compact JSON in UTF-8, field by field as Pulumi writes it. */
export function encodeCheckpoint(snapshot: Snapshot, { stack, project, secrets }: EncodeOptions): Uint8Array {
  const unknown = (snapshot.unknownFields.checkpoint ?? {}) as Json;
  let json = `{"version":${VERSION},"checkpoint":{"stack":${encodeSorted(`organization/${project}/${stack}`)}`;
  if ("config" in unknown) json += `,"config":${encodePlain(unknown.config)}`;
  const others = membersOf(omit(unknown, new Set(["config"]))).map((member) => `,${member}`);
  // Of bytes that are kept from save to save: texts would be joined, and encoded, as a whole each time.
  const pieces = [json, ',"latest":', ...encodeLatest(snapshot, secrets), ...others, "}}"];
  return Buffer.concat(pieces.map((piece) => (typeof piece === "string" ? Buffer.from(piece) : piece)));
}

const COMMA = Buffer.from(",");

function encodeLatest(snapshot: Snapshot, secrets: PassphraseSecrets | undefined): (string | Uint8Array)[] {
  const { time, magic, version } = snapshot.manifest;
  let json = `{"manifest":${encodePlain({ time, magic, version, ...(snapshot.unknownFields.manifest as Json | undefined) })}`;
  if (secrets) json += `,"secrets_providers":${encodePlain({ type: "passphrase", state: { salt: secrets.salt } })}`;
  const pieces: (string | Uint8Array)[] = [json];
  for (const [index, state] of snapshot.resources.entries())
    pieces.push(index === 0 ? ',"resources":[' : COMMA, encodeResource(state, secrets));
  if (snapshot.resources.length > 0) pieces.push("]");
  for (const [index, { resource, type }] of snapshot.pendingOperations.entries()) {
    const before = index === 0 ? ',"pending_operations":[' : ",";
    pieces.push(before, '{"resource":', encodeResource(resource, secrets), `,"type":${encodeSorted(type)}}`);
  }
  if (snapshot.pendingOperations.length > 0) pieces.push("]");
  pieces.push(`,"metadata":${encodePlain(snapshot.metadata)}`);
  for (const member of membersOf((snapshot.unknownFields.latest ?? {}) as Json)) pieces.push(`,${member}`);
  pieces.push("}");
  return pieces;
}

function membersOf(fields: Json): string[] {
  return Object.entries(fields).map(([key, value]) => `${JSON.stringify(key)}:${encodePlain(value)}`);
}

function listAt(latest: Json, key: string): (Json | null)[] {
  const list = latest[key] ?? [];
  if (Array.isArray(list)) return list;
  throw new Error(
    `The state's "${key}" are no list. Restore the backup beside it (.bak) or one under .pulumi/backups.`,
  );
}

/** The JSON of a state's file. @throws when it is none, with the way out */
export function parseState(text: string, path: string): Json {
  let form: unknown;
  try {
    // The mark with which some editors and shells begin a file.
    form = JSON.parse(text.replace(/^\uFEFF/, ""));
  } catch (error) {
    throw new Error(`${fileAt(path)} is not valid JSON (${(error as Error).message}). ${wayOut(path)}`);
  }
  if (!isForm(form)) throw holdsNone(path);
  return form;
}

function isForm(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function holdsNone(path: string): Error {
  return new Error(`${fileAt(path)} holds no state. ${wayOut(path)}`);
}

function fileAt(path: string): string {
  return path === "" ? "The file" : `The state file ${path}`;
}

/** @param path "": what was given from outside, and not the stack's own file */
function wayOut(path: string): string {
  return path === ""
    ? 'It has to be what "stack export" prints: {"version": 3, "deployment": {…}}.'
    : "Restore the backup beside it (.bak) or one under .pulumi/backups.";
}

function refuseUnknown(file: Json, path: string): void {
  if (file.version === undefined) throw holdsNone(path);
  const { version } = file;
  if (typeof version !== "number") {
    throw new Error(`${fileAt(path)} has the version ${JSON.stringify(version)}, which is no number. ${wayOut(path)}`);
  }
  if (version < VERSION) {
    throw new Error(
      `The state is of version ${version}, which is too old. Let a current official CLI write it once: pulumi stack export | pulumi stack import.`,
    );
  }
  if (version > FEATURES_VERSION) {
    throw new Error(
      `The state is of version ${version}. This engine reads version ${VERSION}, and the official CLI of today ${FEATURES_VERSION}. ` +
        "Go on with a CLI that knows it (--engine pulumi), or go back to a state from before it (.pulumi/backups).",
    );
  }
  const features = Array.isArray(file.features) ? file.features.map(String) : [];
  if (features.length > 0) {
    throw new Error(
      `The state uses ${features.join(", ")}, which the embedded engine does not cover. Use the official CLI: --engine pulumi.`,
    );
  }
}

async function openSecrets(
  provider: Json | null | undefined,
  open: (state: { salt: string }) => Promise<PassphraseSecrets>,
): Promise<PassphraseSecrets | undefined> {
  if (!provider?.type) return undefined;
  const salt = (provider.state as Json | undefined)?.salt;
  if (provider.type === "passphrase" && typeof salt === "string" && salt !== "") return open({ salt });
  throw new Error(
    provider.type === "passphrase"
      ? "The state's passphrase provider has no salt. Restore the backup beside the state file (.bak)."
      : `The state's secrets are kept by the provider "${String(provider.type)}"; the embedded engine knows passphrase only. ` +
          "Use the official CLI (--engine pulumi), or change it: pulumi stack change-secrets-provider passphrase.",
  );
}
