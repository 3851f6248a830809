import { before, type Entry, isCustom, type Kind, type Model, nameOf, parentOf, TYPES, urnOf } from "./model.ts";

/** A value of an input: plain, a secret, or an output of a resource registered before. */
export type InputValue = number | string | { secret: string } | { from: number; output: "id" | "out" | "hidden" };

/** What the program asks for, one resource a piece; it stands in the program's settings as JSON. */
export interface Registration {
  uid: number;
  type: string;
  name: string;
  urn: string;
  custom: boolean;
  version: string;
  parent?: number;
  provider?: number;
  dependsOn: number[];
  deletedWith?: number;
  inputs: Record<string, InputValue>;
  protect?: boolean;
  retainOnDelete?: boolean;
  deleteBeforeReplace?: boolean;
  ignoreChanges: string[];
  replaceOnChanges: string[];
  additionalSecretOutputs: string[];
  /** URNs. */
  aliases: string[];
}

/** What the program is to do instead of going on. */
export interface ProgramFault {
  kind: "throws" | "exits";
  /** After so many registrations. */
  after: number;
}

export interface ProgramText {
  registrations: Registration[];
  fault?: ProgramFault;
}

/** Every secret input has this in it: it must be nowhere in clear. */
export const SECRET_MARK = "hush-hush";

const MADE: Kind[] = ["thing", "solo", "plain"];

export function registrationsOf(model: Model): Registration[] {
  return model.entries.map((entry) => registration(model, entry));
}

function registration(model: Model, entry: Entry): Registration {
  const earlier = (uid: number | undefined, kinds: Kind[]) => before(model, entry, uid, kinds)?.uid;
  const isFake = entry.kind === "thing" || entry.kind === "solo";
  const custom = isCustom(entry);
  const inside = isFake ? earlier(entry.inside, ["thing", "solo"]) : undefined;
  const urn = urnOf(model, entry);
  return {
    uid: entry.uid,
    type: TYPES[entry.kind],
    name: nameOf(entry),
    urn,
    custom: entry.kind !== "part",
    version: entry.kind === "part" ? "" : `1.${model.version}.0`,
    parent: parentOf(model, entry)?.uid,
    provider: isFake ? earlier(entry.provider, ["provider"]) : undefined,
    dependsOn: custom ? entry.dependsOn.filter((uid) => earlier(uid, MADE) !== undefined) : [],
    deletedWith: inside,
    inputs: inputsOf(model, entry, inside),
    // Two that both have their name can't be there at once, whatever else the program says.
    ...(entry.kind === "solo"
      ? { deleteBeforeReplace: entry.deleteBeforeReplace === false ? undefined : entry.deleteBeforeReplace }
      : { deleteBeforeReplace: entry.deleteBeforeReplace, retainOnDelete: custom ? entry.retain : undefined }),
    protect: custom || entry.kind === "part" ? entry.protect : undefined,
    ignoreChanges: custom && entry.ignoreN ? ["n"] : [],
    replaceOnChanges: custom && entry.replaceOnN ? ["n"] : [],
    additionalSecretOutputs: custom && entry.hideOut ? ["out"] : [],
    aliases: entry.former.filter((one) => one !== urn),
  };
}

function inputsOf(model: Model, entry: Entry, inside: number | undefined): Registration["inputs"] {
  const { uid, kind, n, fixed, secret } = entry;
  if (kind === "provider") return { zone: n };
  const inputs: Registration["inputs"] = { uid, n };
  if (secret !== undefined) inputs.secret = { secret: `${SECRET_MARK}-${uid}-${secret}` };
  if (kind === "part") return inputs;
  inputs.fixed = fixed;
  if (inside !== undefined) inputs.inside = { from: inside, output: "id" };
  for (const link of entry.links) {
    if (before(model, entry, link.to, MADE) === undefined) continue;
    inputs[`${link.hard ? "hard" : "soft"}${link.to}`] = { from: link.to, output: link.of };
  }
  return inputs;
}
