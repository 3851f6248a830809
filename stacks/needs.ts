import type { Recorded } from "../images/lock.ts";
import { parseLock } from "../images/locks.ts";
import type { Assembly } from "./assembly.ts";
import { asRecorded } from "./recorded.ts";

/**
 * What a host that may fetch nothing from outside has to have, or to get from a bundle: a line each, its name and what it is known by there;
 * then the service manager without which it is not wanted.
 */
export function needsOf({ sources, wheels, uvLock, models, tokenizer }: Assembly, recorded: Recorded): string[] {
  const locks = [wheels.lock, ...(wheels.gateLock ? [wheels.gateLock] : []), uvLock];
  const packages = locks.flatMap(packagesOf);
  const rows = [
    ...sources.map(({ name, commit }) => [`repository ${name}`, commit]),
    ...models.map((model) => {
      const { name, file, sha256 } = asRecorded(model, recorded);
      // A cache knows files by their sha256 alone, a bundle by their names too.
      return sha256 ? [`model ${name}`, sha256] : [`model ${name} (of unknown sha256)`, `${name}/${file}`];
    }),
    ...tokenizer.files.map(({ file, sha256 }) => [`tokenizer ${file}`, sha256]),
    ...packages,
  ];
  const always = rows.map(([name, ...known]) => `${name}\t${known.join(" ")}`);
  const supervisors = packagesOf(wheels.supervisorLock).map(([name, ...known]) => `${name}\t${known.join(" ")}`);
  const rest = supervisors.filter((row) => !always.includes(row)).map((row) => `${row}\tsupervisor`);
  return [...new Set([...always, ...rest])];
}

const packagesOf = (lock: string): string[][] =>
  parseLock("", lock).packages.map(({ name, version, sha256 }) => [
    `package ${name} ${version}`,
    `${name}==${version}`,
    ...sha256,
  ]);
