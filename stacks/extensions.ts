import { extensions as catalog, type Extension } from "../images/extensions.ts";
import type { AtelierLock } from "../images/lock.ts";
import { lockNames } from "../images/locks.ts";
import type { Source } from "../images/sources.ts";
import type { Settings } from "./schema.ts";
import type { RehearsalUpstreams } from "./settings.ts";

/**
 * The extensions of the settings: those of the catalog at their locked commits, those of one's own as they stand there.
 * @param mistakes gets a line for each that is not known
 */
export function chooseExtensions(
  { webui, sources: overrides }: Settings,
  lock: AtelierLock | undefined,
  rehearsal: RehearsalUpstreams | undefined,
  mistakes: string[],
): Extension[] {
  const chosen = webui.extensions.flatMap((entry, index): Extension[] => {
    const key = `atelier:webui.extensions.${index}`;
    if (typeof entry !== "string") {
      for (const name of entry.wheels.filter((name) => !lockNames().includes(name)))
        mistakes.push(`${key}.wheels: got ${JSON.stringify(name)}; accepted: ${lockNames().join(", ")}`);
      return [{ ...entry, folder: entry.name }];
    }
    const known = catalog.find(({ name }) => name === entry);
    if (!known) {
      const names = catalog.map(({ name }) => name).join(", ");
      mistakes.push(`${key}: got ${JSON.stringify(entry)}; accepted: ${names}, or an extension of your own`);
      return [];
    }
    const standIn = rehearsal?.sources.find(({ into }) => into === placeOf(known));
    const locked = lock?.extensions.find(({ name }) => name === entry);
    const { commit, paths } = overrides[entry] ?? {};
    const base = standIn
      ? { ...known, commit: standIn.commit, paths: [standIn.path], wheels: [] }
      : { ...known, ...locked };
    return [{ ...base, commit: commit ?? base.commit, paths: paths ?? base.paths }];
  });
  const folders = chosen.map(({ folder }) => folder);
  for (const folder of new Set(folders.filter((one, index) => folders.indexOf(one) !== index)))
    mistakes.push(`atelier:webui.extensions: ${folder} is there twice`);
  return chosen;
}

/** An extension as a source: a checkout below the WebUI's data. */
export const extensionSource = (extension: Extension): Source => ({
  name: extension.folder,
  into: placeOf(extension),
  commit: extension.commit,
  paths: extension.paths,
});

const placeOf = ({ folder }: Extension) => `data/extensions/${folder}`;
export const extensionNames = catalog.map(({ name }) => name);
