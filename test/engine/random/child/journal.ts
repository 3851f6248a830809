import { existsSync, readFileSync } from "node:fs";
import { Secret } from "../../../../engine/src/values.ts";
import { World, type WorldObject } from "../world.ts";

/** An object as it is now, on a line. */
export function journalLine(object: WorldObject): string {
  return `${JSON.stringify(object, (_key, value) => (value instanceof Secret ? { $secret: value.element } : value))}\n`;
}

/** The world that a journal tells of. A last line that was cut short by a kill never happened. */
export function readJournal(path: string): World {
  const world = new World();
  const lines = existsSync(path) ? readFileSync(path, "utf8").split("\n").slice(0, -1) : [];
  for (const line of lines)
    world.put(JSON.parse(line, (_key, value) => (isSecret(value) ? new Secret(value.$secret) : value)));
  return world;
}

function isSecret(value: unknown): value is { $secret: string } {
  return typeof value === "object" && value !== null && Object.keys(value).join() === "$secret";
}
