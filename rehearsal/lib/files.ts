import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

/** Writes `content` to `path` beside it first, so that no reader ever sees half of it. Makes its folders. */
export function writeWhole(path: string, content: string | Uint8Array, mode = 0o644): void {
  mkdirSync(dirname(path), { recursive: true });
  const beside = `${path}.${process.pid}.new`;
  writeFileSync(beside, content, { mode });
  renameSync(beside, path);
}

/** Writes only what differs, so that an unchanged file keeps its time. */
export function writeIfChanged(path: string, content: string, mode = 0o644): void {
  if (existsSync(path) && readFileSync(path, "utf8") === content) return;
  writeWhole(path, content, mode);
}

/** The JSON in a file; undefined where there is none, or no JSON: what is cut off counts as absent. */
export function readJson<T>(path: string): T | undefined {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as T;
  } catch {
    return undefined;
  }
}
