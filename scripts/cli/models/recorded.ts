import { join } from "node:path";
import { text } from "@atelier/engine/providers/command/plain";
import type { Recorded } from "../../../images/lock.ts";
import { readRecorded } from "../../../stacks/recorded.ts";
import { listResources } from "../engines/state.ts";
import { writeWhole } from "../files.ts";
import { home } from "../paths.ts";

/**
 * After an update: models without a sha256 of their own, as they came to the host for the first time, into `.atelier/recorded.json`.
 * From then on every host of this machine's stacks is held to them.
 * @returns the new ones
 */
export async function keepRecorded(stack: string): Promise<Recorded> {
  const step = (await listResources(stack)).find(({ urn }) => urn.endsWith("::models"));
  const facts = step && (readJson(text(step.outputs, "stdout") ?? "") as { recorded?: Recorded } | undefined);
  const known = readRecorded(home);
  const at = new Date().toISOString();
  const fresh = Object.entries(facts?.recorded ?? {}).filter(([name, { file }]) => known[name]?.file !== file);
  if (fresh.length === 0) return {};
  const added = Object.fromEntries(fresh.map(([name, entry]) => [name, { ...entry, at }]));
  writeWhole(join(home, "recorded.json"), `${JSON.stringify({ models: { ...known, ...added } }, null, 2)}\n`);
  return added;
}

function readJson(stdout: string): unknown {
  try {
    return JSON.parse(stdout.trim().split("\n").pop() ?? "");
  } catch {
    return undefined;
  }
}
