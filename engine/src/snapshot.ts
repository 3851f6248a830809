import { createHash } from "node:crypto";
import type { Snapshot } from "./resource.ts";

/** The manifest's check word: hash of the version that wrote it, empty without one. */
export function magicOf(version: string): string {
  return version === "" ? "" : createHash("sha256").update(version).digest("hex");
}

/** A manifest of this moment; the engine names no version, as no release of Pulumi's wrote the file. */
export function freshManifest(version = ""): Snapshot["manifest"] {
  return { time: new Date().toISOString(), magic: magicOf(version), version };
}

/** The state of a stack in which nothing exists yet. */
export function emptySnapshot(): Snapshot {
  return { manifest: freshManifest(), resources: [], pendingOperations: [], metadata: {}, unknownFields: {} };
}
