import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Recorded, RecordedPlugins } from "./lock.ts";

export interface Recordings {
  models: Recorded;
  plugins: RecordedPlugins;
}

/**
 * What this machine recorded at the first verified download of what the lock does not know for sure (`.atelier/recorded.json`).
 * @throws Error when the file is there and not JSON
 */
export function readRecordings(home: string): Recordings {
  const path = join(home, "recorded.json");
  if (!existsSync(path)) return { models: {}, plugins: {} };
  try {
    return { models: {}, plugins: {}, ...(JSON.parse(readFileSync(path, "utf8")) as Partial<Recordings>) };
  } catch {
    throw new Error(`${path} is not JSON: remove it, and the next download records anew.`);
  }
}
