import type { Recorded } from "../images/lock.ts";
import { parseLock } from "../images/locks.ts";
import type { Assembly } from "./assembly.ts";
import { asRecorded } from "./recorded.ts";

/**
 * What a host that may fetch nothing from outside has to have, or to get from a bundle: a line each, its name and what it is known by there.
 * What first downloads have yet to tell, and what only some hosts want (the service manager's packages), is not among it.
 */
export function needsOf({ sources, wheels, uvLock, models, tokenizer }: Assembly, recorded: Recorded): string[] {
  const locks = [wheels.lock, ...(wheels.gateLock ? [wheels.gateLock] : []), uvLock];
  const packages = locks.flatMap((text) => parseLock("", text).packages);
  const rows = [
    ...sources.map(({ name, commit }) => [`repository ${name}`, commit]),
    ...models.flatMap((model) => {
      const { name, sha256 } = asRecorded(model, recorded);
      return sha256 ? [[`model ${name}`, sha256]] : [];
    }),
    ...tokenizer.files.map(({ file, sha256 }) => [`tokenizer ${file}`, sha256]),
    ...packages.map(({ name, version, sha256 }) => [`package ${name} ${version}`, `${name}==${version}`, ...sha256]),
  ];
  return [...new Set(rows.map(([name, ...known]) => `${name}\t${known.join(" ")}`))];
}
