import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Proposal, propose } from "./propose.ts";
import { type PlatformName, platformNames } from "./table.ts";

/** `.atelier/<stack>/platform.json`: what a look at the box proposed. Written by `scripts/cli/platform.ts`, read where the settings are. */
export interface SavedPlatform {
  platform: PlatformName | "plain";
  /** The signs by which it was recognised. */
  signs: string[];
  /** Which box that was. */
  box: { address: string; port: number; hostKey: string };
  proposal: Proposal;
}

export const platformFile = (home: string, stack: string): string => join(home, stack, "platform.json");

/** What was proposed for a stack's box; nothing where none was looked at. */
export function readPlatform(home: string, stack: string): SavedPlatform | undefined {
  const file = platformFile(home, stack);
  return existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as SavedPlatform) : undefined;
}

type Raw = Record<string, unknown>;

/**
 * Settings as they are written, with what the platform proposes where they are silent.
 * `missing` says that the box must be looked at first: then the settings are as they were.
 */
export function withPlatform(
  raw: Raw,
  saved: SavedPlatform | undefined,
  owner: string,
): { raw: Raw; missing: boolean } {
  const { host, webui = {} } = raw;
  if (!isObject(host) || !isObject(webui) || host.kind !== "ssh" || host.platform === "plain") {
    return { raw, missing: false };
  }
  const proposal = isObject(host.rent) ? withoutBox(host, webui, owner) : ofBox(host, saved);
  if (!proposal) return { raw, missing: !isObject(host.rent) };
  return {
    raw: { ...raw, host: { ...proposal.host, ...host }, webui: { ...proposal.webui, ...webui } },
    missing: false,
  };
}

/** The saved proposal, if it is of the box that the settings name. */
function ofBox(host: Raw, saved: SavedPlatform | undefined): Proposal | undefined {
  if (!saved || saved.box.address !== host.address || saved.box.port !== (host.port ?? 22)) return undefined;
  const { platform = "auto" } = host;
  return platform === "auto" || platform === saved.platform ? saved.proposal : undefined;
}

/** Of a box that is rented by the update itself, the table is all there is. */
function withoutBox(host: Raw, webui: Raw, owner: string): Proposal | undefined {
  const known = platformNames.find((name) => name === host.platform);
  // A name that is none is refused by the schema, after this.
  return known && propose(known, undefined, webui, owner);
}

const isObject = (value: unknown): value is Raw => typeof value === "object" && value !== null && !Array.isArray(value);
