import type { Recorded } from "../images/lock.ts";
import { readRecordings } from "../images/recorded.ts";
import type { Model } from "./schema/models.ts";

/** Models whose entry has no sha256, as they were recorded at their first verified download. */
export const readRecorded = (home: string): Recorded => readRecordings(home).models;

/** The model with the sha256 that was recorded, where its entry has none: the next host is held to it. */
export function asRecorded(model: Model, recorded: Recorded): Model {
  const seen = recorded[model.name];
  if (model.sha256 !== undefined || seen?.file !== model.file) return model;
  return { ...model, bytes: model.bytes ?? seen.bytes, sha256: seen.sha256 };
}
