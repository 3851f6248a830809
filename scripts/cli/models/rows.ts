import { existsSync } from "node:fs";
import { join } from "node:path";
import { catalog, modelFolders } from "../../../images/catalog.ts";
import { asRecorded, readRecorded } from "../../../stacks/recorded.ts";
import { type Model, modelSchema } from "../../../stacks/schema/models.ts";
import { assemblyOf } from "../commands/upstreams.ts";
import { home, stackHome } from "../paths.ts";
import type { Stack } from "../stack.ts";
import type { HostStore } from "./host.ts";

/** A model as `atelier models` tells of it. */
export interface Row extends Model {
  /** Below the WebUI's `models`. */
  folder: string;
  /** `recorded`: at its first download; `unknown`: will be recorded then. */
  sha256From: "entry" | "recorded" | "unknown";
  /** The stack's settings name it. */
  wanted: boolean;
  from: "catalog" | "settings" | "stand-in";
  /** Where the host was asked. */
  host?: { present: boolean; stored: boolean; verified: boolean; usedBy: string[] };
}

/** The catalog's models and those of the stack's settings; the latter first. */
export async function modelRows(stack: Stack, store: HostStore | undefined): Promise<Row[]> {
  const wanted = await wantedModels(stack);
  const names = new Set(wanted.map(({ name }) => name));
  const rehearsal = stack.settings.upstreams.profile === "rehearsal";
  const recorded = readRecorded(home);
  const row = (model: Model, isWanted: boolean): Row => {
    const known = asRecorded(model, recorded);
    const from = catalog.some(({ name }) => name === model.name)
      ? rehearsal && isWanted
        ? "stand-in"
        : "catalog"
      : "settings";
    return {
      ...known,
      folder: modelFolders[model.kind],
      sha256From: model.sha256 ? "entry" : known.sha256 ? "recorded" : "unknown",
      wanted: isWanted,
      from,
      ...(store && { host: onHost(known, store) }),
    };
  };
  const others = catalog.filter(({ name }) => !names.has(name)).map((model) => modelSchema.parse(model));
  return [...wanted.map((model) => row(model, true)), ...others.map((model) => row(model, false))];
}

function onHost({ kind, file, sha256 }: Model, { links, store }: HostStore): Row["host"] {
  const folder = modelFolders[kind];
  const path = `${folder === "embeddings" ? "" : "models/"}${folder}/${file}`;
  const link = links.find((candidate) => candidate.path === path);
  const stored = store.find((candidate) => candidate.sha256 === (sha256 ?? link?.sha256));
  return {
    present: link?.present ?? false,
    stored: stored !== undefined,
    verified: stored?.verified ?? false,
    usedBy: stored?.usedBy ?? [],
  };
}

/** The models that the stack's settings name, as the program will have them. */
async function wantedModels(stack: Stack): Promise<Model[]> {
  const { upstreams, models } = stack.settings;
  // A rehearsal that does not run: its stand-ins are made when it starts, and listing starts nothing.
  if (upstreams.profile === "rehearsal" && !existsSync(join(stackHome(stack.name), "upstreams", "upstreams.json")))
    return models.flatMap((entry) =>
      typeof entry === "string"
        ? catalog.filter(({ name }) => name === entry).map((model) => modelSchema.parse(model))
        : [entry],
    );
  return (await assemblyOf(stack)).models;
}
