import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { readManifest, remake } from "../cli/bundle/manifest.ts";
import { DifyError } from "./errors.ts";

/**
 * A plugin's package out of a bundle, held to what the bundle's manifest says.
 * @param bundle its folder on this machine
 * @throws DifyError where it is not in there, or not what it was
 */
export function bundledPackage(
  bundle: string,
  { id, version, identifier }: { id: string; version: string; identifier?: string | undefined },
): { name: string; bytes: Buffer } {
  const { plugins, for: whose } = readManifest(bundle);
  const mend = `${remake(bundle)} mends it.`;
  const found = plugins.find((plugin) => plugin.id === id && plugin.version === version);
  if (!found) {
    const has = plugins.map((plugin) => `${plugin.id} ${plugin.version}`).join(", ") || "none at all";
    throw new DifyError(
      `The bundle ${bundle} (made for ${whose}) has no plugin ${id} ${version}; it has ${has}. ${mend}`,
    );
  }
  if (identifier && found.identifier !== identifier)
    throw new DifyError(
      `The bundle ${bundle} has ${found.identifier}; the lock has ${identifier}. It was made with another lock: ${mend}`,
    );
  const bytes = readFileSync(join(bundle, found.path));
  const got = createHash("sha256").update(bytes).digest("hex");
  if (got !== found.sha256)
    throw new DifyError(
      `The bundle ${bundle} is broken: the sha256 of ${found.path} is ${got}; it was ${found.sha256}. It is not installed. ${mend}`,
    );
  return { name: basename(found.path), bytes };
}
