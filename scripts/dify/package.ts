import { join, resolve } from "node:path";
import { readRecordings } from "../../images/recorded.ts";
import type { Console } from "./client.ts";
import { DifyError } from "./errors.ts";
import type { Work } from "./item.ts";
import { identifierAt, isIdentifier } from "./marketplace.ts";
import type { Installed } from "./plugins.ts";
import { note, type Say } from "./wait.ts";

type Wanted = Work<"plugin">["input"]["plugin"];

export interface Chosen {
  identifier: string;
  /** What comes has to be this very package, not only this version. */
  sure: boolean;
  /** Who says so. */
  by: string;
}

/**
 * Which package of the marketplace a plugin's version is: as it is locked; else as this machine recorded it; else what is installed;
 * else what the marketplace says of it, asked from here and then from Dify; else as the lock has it computed.
 * @throws DifyError when none of them tells
 */
export async function choosePackage({
  console,
  wanted,
  installed,
  say,
}: {
  console: Console;
  wanted: Wanted;
  installed: Installed | undefined;
  say: Say;
}): Promise<Chosen> {
  const { id, version, identifier, computed, marketplace } = wanted;
  if (identifier) return { identifier, sure: true, by: "the lock" };
  const home = process.env.ATELIER_HOME ?? join(resolve(import.meta.dirname, "../.."), ".atelier");
  const recorded = readRecordings(home).plugins[id];
  if (recorded?.version === version)
    return { identifier: recorded.identifier, sure: true, by: join(home, "recorded.json") };
  if (installed?.version === version) return { identifier: installed.plugin_unique_identifier, sure: true, by: "Dify" };
  const whys: string[] = [];
  if (marketplace) {
    const told = await identifierAt(marketplace, wanted);
    if (told.identifier !== undefined) return asTold(told.identifier, computed, say);
    whys.push(told.why);
  }
  const told = await askThroughDify(console, wanted);
  if (told.identifier) return asTold(told.identifier, computed, say);
  whys.push(told.why);
  if (computed) {
    say(note(`nobody tells the checksum of ${id} ${version} (${whys.join("; ")}); trying the one that was computed`));
    return { identifier: computed, sure: false, by: "the lock" };
  }
  throw new DifyError(
    `No checksum of ${id} ${version} is locked, and the marketplace did not tell one:\n${whys.map((why) => `  - ${why}`).join("\n")}\n` +
      "Run `npx atelier lock` where it answers, or give the packages: dify.plugins: { folder: … }.",
  );
}

function asTold(identifier: string, computed: string | undefined, say: Say): Chosen {
  if (identifier === computed) say(`the marketplace has ${identifier}, as it was computed`);
  else say(`the marketplace has ${identifier}${computed ? `; computed was ${computed}` : ""}`);
  return { identifier, sure: true, by: "the marketplace" };
}

/** Dify has a way to the marketplace that this machine may lack; it tells of the newest version only. */
export async function askThroughDify(
  console: Console,
  wanted: Wanted,
): Promise<{ identifier?: string; reached?: boolean; why: string }> {
  const { id } = wanted;
  try {
    const { versions } = await console.post<{
      versions: Record<string, { version: string; unique_identifier: string } | null>;
    }>("/workspaces/current/plugin/list/latest-versions", { plugin_ids: [id] }, { seconds: 60 });
    const latest = versions[id];
    if (!latest) return { why: "Dify does not reach the marketplace" };
    if (!isIdentifier(latest.unique_identifier, wanted))
      return { reached: true, why: `Dify is told of version ${latest.version} only` };
    return { identifier: latest.unique_identifier, why: "" };
  } catch (error) {
    if (!(error instanceof DifyError)) throw error;
    return { why: error.message };
  }
}
