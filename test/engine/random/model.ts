/**
 * A program as data. Entries are known by `uid`, whatever their names and places in the tree become; an entry leans only on
 * entries before it, and what it would lean on that is not there (any more) is left out when the program is made.
 */
export interface Model {
  entries: Entry[];
  /** What was taken out, so that it can come back as the same. */
  removed: Entry[];
  /** The version of the package: another one means another default provider. */
  version: number;
}

/**
 * `thing`: a name made up by its provider, replaced by creating first. `solo`: a name of its own that only one can have, so its
 * provider wants the old one deleted first. `plain`: a provider that takes no secrets, can't preview and can't tell differences.
 * `part`: a component. `provider`: an explicit provider of things and solos.
 */
export type Kind = "thing" | "solo" | "plain" | "part" | "provider";

export interface Link {
  to: number;
  /** Which output is taken. */
  of: "id" | "out" | "hidden";
  /** True: the property can't be changed in place. */
  hard: boolean;
}

export interface Entry {
  uid: number;
  kind: Kind;
  parent: number | undefined;
  dependsOn: number[];
  links: Link[];
  /** `deletedWith`, and in the world really inside it: who deletes that deletes this. */
  inside: number | undefined;
  provider: number | undefined;
  /** Can be changed in place. */
  n: number;
  /** Can't. */
  fixed: number;
  secret: number | undefined;
  protect: boolean | undefined;
  retain: boolean | undefined;
  deleteBeforeReplace: boolean | undefined;
  ignoreN: boolean;
  replaceOnN: boolean;
  hideOut: boolean;
  /** How often it was renamed. */
  renamed: number;
  /** Every URN that it has had. */
  former: string[];
}

/** A thing that leans on nothing. */
export const EMPTY: Omit<Entry, "uid"> = {
  kind: "thing",
  parent: undefined,
  dependsOn: [],
  links: [],
  inside: undefined,
  provider: undefined,
  n: 0,
  fixed: 0,
  secret: undefined,
  protect: undefined,
  retain: undefined,
  deleteBeforeReplace: undefined,
  ignoreN: false,
  replaceOnN: false,
  hideOut: false,
  renamed: 0,
  former: [],
};

/** One change of a program. `at` picks an entry, `value` what the change needs. */
export interface Change {
  kind: (typeof CHANGES)[number];
  at: number;
  value: number;
}

export const CHANGES = [
  "n",
  "fixed",
  "secret",
  "add",
  "remove",
  "restore",
  "rename",
  "reparent",
  "last",
  "link",
  "unlink",
  "depend",
  "inside",
  "provider",
  "protect",
  "retain",
  "before",
  "ignore",
  "replaceOn",
  "hide",
  "version",
] as const;

export const PROJECT = "random";
export const STACK = "dev";
export const TYPES: Record<Kind, string> = {
  thing: "fake:index:Thing",
  solo: "fake:index:Solo",
  plain: "plain:index:Thing",
  part: "test:index:Part",
  provider: "pulumi:providers:fake",
};

export function nameOf(entry: Entry): string {
  return `${entry.kind[0]}${entry.uid}-${entry.renamed}`;
}

export const isCustom = (entry: Entry): boolean => entry.kind !== "part" && entry.kind !== "provider";

/** The entry's URN as the engine has to make it. */
export function urnOf(model: Model, entry: Entry): string {
  const types = [TYPES[entry.kind]];
  for (let at = parentOf(model, entry); at !== undefined; at = parentOf(model, at)) types.unshift(TYPES[at.kind]);
  return `urn:pulumi:${STACK}::${PROJECT}::${types.join("$")}::${nameOf(entry)}`;
}

/** The entry of that uid before another, of one of the kinds. */
export function before(model: Model, entry: Entry, uid: number | undefined, kinds: Kind[]): Entry | undefined {
  if (uid === undefined) return undefined;
  const place = model.entries.indexOf(entry);
  return model.entries.find((one, i) => one.uid === uid && i < place && kinds.includes(one.kind));
}

export function parentOf(model: Model, entry: Entry): Entry | undefined {
  return entry.kind === "provider" ? undefined : before(model, entry, entry.parent, ["part"]);
}

/** The program after the change. An entry that gets another URN notes the one that it had, and so do all below it. */
export function changed(model: Model, { kind, at, value }: Change, fresh: () => Entry): Model {
  const urns = new Map(model.entries.map((entry) => [entry.uid, urnOf(model, entry)]));
  const next = apply(model, kind, at, value, fresh);
  const entries = next.entries.map((entry) => {
    const urn = urns.get(entry.uid);
    if (urn === undefined || urn === urnOf(next, entry)) return entry;
    return { ...entry, former: [...new Set([urn, ...entry.former])] };
  });
  return { ...next, entries };
}

function apply(model: Model, kind: Change["kind"], at: number, value: number, fresh: () => Entry): Model {
  const { entries, removed } = model;
  if (kind === "version") return { ...model, version: 1 - model.version };
  if (kind === "add") return { ...model, entries: [...entries, placed(fresh(), entries, value)] };
  if (kind === "restore") {
    const back = removed[at % Math.max(1, removed.length)];
    if (back === undefined) return model;
    return { ...model, entries: [...entries, back], removed: removed.filter((one) => one !== back) };
  }
  const entry = entries[at % Math.max(1, entries.length)];
  if (entry === undefined) return model;
  const rest = entries.filter((one) => one !== entry);
  if (kind === "remove") return { ...model, entries: rest, removed: [...removed, entry] };
  if (kind === "last") return { ...model, entries: [...rest, entry] };
  const next = altered(entry, kind, value, entries);
  return { ...model, entries: entries.map((one) => (one === entry ? next : one)) };
}

function altered(entry: Entry, kind: Change["kind"], value: number, entries: Entry[]): Entry {
  const earlier = entries.slice(0, entries.indexOf(entry));
  const pick = (kinds: Kind[]): number | undefined => {
    const found = earlier.filter((one) => kinds.includes(one.kind));
    return found[value % (found.length + 1)]?.uid;
  };
  const tristate = (old: boolean | undefined): boolean | undefined => (old === undefined ? value % 2 === 0 : undefined);
  switch (kind) {
    case "n":
      return { ...entry, n: entry.n + 1 };
    case "fixed":
      return { ...entry, fixed: entry.fixed + 1 };
    case "secret":
      return { ...entry, secret: entry.secret === undefined || value % 3 > 0 ? (entry.secret ?? 0) + 1 : undefined };
    case "rename":
      return { ...entry, renamed: entry.renamed + 1 };
    case "reparent":
      return { ...entry, parent: pick(["part"]) };
    case "link": {
      const to = pick(["thing", "solo", "plain"]);
      if (to === undefined) return entry;
      const of = (["id", "out", "hidden"] as const)[value % 3] ?? "id";
      return { ...entry, links: [...entry.links.filter((link) => link.to !== to), { to, of, hard: value % 2 === 0 }] };
    }
    case "unlink":
      return { ...entry, links: entry.links.slice(1) };
    case "depend": {
      const on = pick(["thing", "solo", "plain"]);
      return { ...entry, dependsOn: on === undefined ? [] : [...new Set([...entry.dependsOn, on])] };
    }
    case "inside":
      return { ...entry, inside: pick(["thing", "solo"]) };
    case "provider":
      return { ...entry, provider: pick(["provider"]) };
    case "protect":
      return { ...entry, protect: tristate(entry.protect) };
    case "retain":
      return { ...entry, retain: tristate(entry.retain) };
    case "before":
      return { ...entry, deleteBeforeReplace: tristate(entry.deleteBeforeReplace) };
    case "ignore":
      return { ...entry, ignoreN: !entry.ignoreN };
    case "replaceOn":
      return { ...entry, replaceOnN: !entry.replaceOnN };
    case "hide":
      return { ...entry, hideOut: !entry.hideOut };
    default:
      return entry;
  }
}

/** What a new entry leans on, given as numbers, becomes uids of entries that are there. */
function placed(entry: Entry, entries: Entry[], value: number): Entry {
  const pick = (at: number | undefined, kinds: Kind[]): number | undefined => {
    const found = entries.filter((one) => kinds.includes(one.kind));
    return at === undefined || found.length === 0 ? undefined : found[(at + value) % found.length]?.uid;
  };
  const made: Kind[] = ["thing", "solo", "plain"];
  const links = entry.links.map((link) => ({ ...link, to: pick(link.to, made) }));
  return {
    ...entry,
    parent: pick(entry.parent, ["part"]),
    dependsOn: [...new Set(entry.dependsOn.map((at) => pick(at, made)).filter((uid) => uid !== undefined))],
    links: links.filter((link, i): link is Link => {
      return link.to !== undefined && links.findIndex((one) => one.to === link.to) === i;
    }),
    inside: pick(entry.inside, ["thing", "solo"]),
    provider: pick(entry.provider, ["provider"]),
  };
}

/** A program of these entries, in order. */
export function planted(seeds: Omit<Entry, "uid">[]): Model {
  const entries: Entry[] = [];
  for (const [uid, seed] of seeds.entries()) entries.push(placed({ ...seed, uid }, entries, 0));
  return { entries, removed: [], version: 0 };
}
