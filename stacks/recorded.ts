import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Recorded } from "../images/lock.ts";
import type { Model } from "./schema/models.ts";

/**
 * What this machine recorded at the first verified download of models whose entry has no sha256 (`.atelier/recorded.json`).
 * @throws Error when the file is there and not JSON
 */
export function readRecorded(home: string): Recorded {
  const path = join(home, "recorded.json");
  if (!existsSync(path)) return {};
  try {
    return (JSON.parse(readFileSync(path, "utf8")) as { models?: Recorded }).models ?? {};
  } catch {
    throw new Error(`${path} is not JSON: remove it, and the next download records anew.`);
  }
}

/** The model with the sha256 that was recorded, where its entry has none: the next host is held to it. */
export function asRecorded(model: Model, recorded: Recorded): Model {
  const seen = recorded[model.name];
  if (model.sha256 !== undefined || seen?.file !== model.file) return model;
  return { ...model, bytes: model.bytes ?? seen.bytes, sha256: seen.sha256 };
}
