import { type Platform, type PlatformName, platformNames, platforms } from "./table.ts";

/** What a box showed of itself: names, folders, and the values of its public addresses. Nothing that may be secret. */
export interface Seen {
  user: string;
  home: string;
  /** The login shell, such as `/usr/bin/fish`. */
  shell: string;
  /** Which of the asked variables the container has. */
  names: string[];
  /** Which of the asked paths are there. */
  paths: string[];
  /** Folders that may hold a workspace or a cache. */
  disks: SeenDisk[];
  /** Parts of public addresses, by variable. */
  values: Record<string, string>;
  /** Workspaces of Atelier that are there already. */
  workspaces: { path: string; owner: string; cache: string }[];
  /** Compute capability of each GPU, 120 for sm_120; none where the box does not tell. */
  gpus: number[];
}
export interface SeenDisk {
  /** As in the table: with `*` where the table has one. */
  of: string;
  path: string;
  /** Where its file system is mounted. */
  mount: string;
  sizeMb: number;
  freeMb: number;
  writable: boolean;
}

/** What `scripts/host/platform.sh` is asked, as shell variables; all of it is from the table. */
export function questions(ports: number[]): string {
  const rows = Object.values(platforms);
  const signs = unique(rows.flatMap((row) => row.signs.flat())).filter((sign) => !sign.startsWith("user:"));
  const hooks = rows.flatMap(({ startHook, accelerator }) => [startHook, accelerator]);
  const asked = {
    names: signs.filter((sign) => !sign.startsWith("/")),
    paths: unique([...signs, ...hooks].filter((sign): sign is string => sign?.startsWith("/") === true)),
    disks: unique(rows.flatMap((row) => row.disks.map(({ path }) => path))),
    values: unique(ports.flatMap((port) => rows.flatMap(({ urls }) => urls.flatMap((url) => variablesOf(url, port))))),
  };
  return Object.entries(asked)
    .map(([name, words]) => `${name}='${words.join(" ")}'\n`)
    .join("");
}

/** Every port that a platform maps, and the one that is wanted. */
export const portsToAsk = (wanted: number): number[] =>
  unique([wanted, ...Object.values(platforms).flatMap(({ ports = [] }: Platform) => ports)]);

export const variablesOf = (url: string, port: number): string[] =>
  [...url.replaceAll("<port>", String(port)).matchAll(/\{(\w+)\}/g)].map((match) => match[1] ?? "");

/** Reads the answer of `scripts/host/platform.sh`. @throws Error when it is no such answer */
export function readSeen(text: string): Seen {
  const nothing = { names: [], paths: [], disks: [], values: {}, workspaces: [], gpus: [] };
  const seen: Seen = { user: "", home: "", shell: "", ...nothing };
  for (const line of text.split("\n")) {
    const [kind, ...rest] = line.split("\t");
    const [a = "", b = "", c = "", d = "", e = "", f = ""] = rest;
    if (kind === "login") Object.assign(seen, { user: a, home: b, shell: c });
    else if (kind === "name") seen.names.push(a);
    else if (kind === "path") seen.paths.push(a);
    else if (kind === "disk")
      seen.disks.push({ of: a, path: b, mount: c, sizeMb: Number(d), freeMb: Number(e), writable: f === "yes" });
    // Only what an address is made of: anything else in such a variable is none of ours.
    else if (kind === "value" && /^[\w.:/-]+$/.test(b)) seen.values[a] = b;
    else if (kind === "gpu" && /^\d+$/.test(a)) seen.gpus.push(Number(a));
    else if (kind === "workspace") seen.workspaces.push({ path: a, owner: b, cache: c });
  }
  if (seen.user === "") throw new Error(`the box answered ${JSON.stringify(text.slice(0, 200))}`);
  return seen;
}

/** The first platform of which all signs of a set are there, and those signs. */
export function recognise(seen: Seen): { name: PlatformName; signs: string[] } | undefined {
  const has = (sign: string) =>
    sign.startsWith("user:") ? seen.user === sign.slice(5) : [...seen.names, ...seen.paths].includes(sign);
  for (const name of platformNames) {
    const signs = platforms[name].signs.find((set) => set.every(has));
    if (signs) return { name, signs };
  }
  return undefined;
}

const unique = <T>(items: T[]): T[] => [...new Set(items)];
