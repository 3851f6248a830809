import { relative } from "node:path";
import { fileURLToPath } from "node:url";
import { parseDuration } from "../../duration.ts";
import { formatPath, type PropertyPath, parsePath } from "../../paths.ts";
import { isUrn } from "../../urn.ts";
import type { PropertyMap } from "../../values.ts";
import { type AliasSpec, type Goal, notCovered, Refusal } from "../plan/goal.ts";
import { isProviderType } from "../plan/references.ts";
import { containsUnknown } from "../steps/marking.ts";
import type { resourcePb } from "./rpc.ts";
import { fromStruct } from "./structs.ts";

/** Where the program lies: assets are read relative to `programDir`, source positions told relative to `rootDir`. */
export interface Sources {
  programDir: string;
  rootDir: string;
}

type Registration = InstanceType<typeof resourcePb.RegisterResourceRequest>;
type Position = ReturnType<Registration["getSourceposition"]>;

/**
 * What a registration asks for.
 * @param allowUnknown true in a preview, and where a resource may be skipped that others take their inputs from
 * @throws Refusal for what isn't covered, and for an unknown value where none may be
 */
export function registrationGoal(request: Registration, sources: Sources, allowUnknown: boolean): Goal {
  const type = request.getType();
  const label = `${type} "${request.getName()}"`;
  if (request.getRemote()) throw notCovered(`The component ${label}, which a provider would build,`);
  if (request.getPackageref() !== "") throw notCovered(`The parameterized package of ${label}`);
  if (request.getReplaceWithList().length > 0)
    throw notCovered(`The option "replaceWith" of ${label}, which needs a state of version 4,`);
  if (request.hasReplacementTrigger()) throw notCovered(`The option "replacementTrigger" of ${label}`);
  if (request.getStateMigrationsList().length > 0) throw notCovered(`The option "stateMigrations" of ${label}`);
  if (request.getEnvvarmappingsMap().getLength() > 0) throw notCovered(`The option "envVarMappings" of ${label}`);
  const custom = request.getCustom();
  if (custom && type.split(":").length !== 3) {
    throw new Refusal(`"${type}" is no resource type: a custom resource's type is package:module:Name.`);
  }
  const inputs = fromStruct(request.getObject());
  if (!allowUnknown && containsUnknown(inputs)) {
    throw new Refusal(
      `${label} was registered with a value that is not known yet, in a real update. Nothing was done to it.`,
    );
  }
  const dependencies = request.getDependenciesList();
  const ofProperties = propertyDependencies(request, inputs, dependencies);
  if (isProviderType(type) && request.getVersion() !== "") {
    inputs.version = request.getVersion();
    inputs.__internal = {};
  }
  const timeouts = request.getCustomtimeouts();
  const replaceOnChanges = request.getReplaceonchangesList();
  // Kept as they were written.
  paths("replaceOnChanges", replaceOnChanges, label);
  return {
    type,
    name: request.getName(),
    custom,
    inputs,
    parent: request.getParent() || undefined,
    provider: custom ? request.getProvider() : "",
    dependencies,
    propertyDependencies: ofProperties,
    protect: request.hasProtect() ? request.getProtect() : undefined,
    retainOnDelete: request.hasRetainondelete() ? request.getRetainondelete() : undefined,
    deleteBeforeReplace:
      request.getDeletebeforereplacedefined() || request.getDeletebeforereplace()
        ? request.getDeletebeforereplace()
        : undefined,
    deletedWith: request.getDeletedwith() || undefined,
    importId: custom ? request.getImportid() : "",
    ignoreChanges: request.getIgnorechangesList(),
    hideDiff: paths("hideDiffs", request.getHidediffsList(), label).map(formatPath),
    replaceOnChanges,
    additionalSecretOutputs: request.getAdditionalsecretoutputsList(),
    aliases: aliases(request, label),
    customTimeouts:
      timeouts === undefined
        ? undefined
        : seconds(label, {
            create: timeouts.getCreate(),
            update: timeouts.getUpdate(),
            delete: timeouts.getDelete(),
            read: timeouts.getRead(),
          }),
    sourcePosition: sourcePosition(request.getSourceposition(), sources.rootDir),
  };
}

function paths(option: string, texts: string[], label: string): PropertyPath[] {
  const faults: string[] = [];
  const found = texts.map((text) => {
    try {
      return parsePath(text);
    } catch (error) {
      faults.push((error as Error).message);
      return [];
    }
  });
  if (faults.length > 0) throw new Refusal(`The option "${option}" of ${label}: ${faults.join(" ")}`);
  return found;
}

function propertyDependencies(request: Registration, inputs: PropertyMap, all: string[]): Record<string, string[]> {
  const map = request.getPropertydependenciesMap();
  const found: Record<string, string[]> = {};
  if (map.getLength() === 0) {
    for (const key of Object.keys(inputs)) found[key] = all;
  }
  map.forEach((entry: { getUrnsList(): string[] }, key: string) => {
    found[key] = entry.getUrnsList();
  });
  return found;
}

/** @throws Refusal for what names nothing: the resource that it was meant for would be deleted as one that nobody wants */
function aliases(request: Registration, label: string): AliasSpec[] {
  const urn = (text: string): string => {
    if (isUrn(text)) return text;
    throw new Refusal(
      `An alias of ${label}, "${text}", is no URN: a URN reads urn:pulumi:<stack>::<project>::<type>::<name>. ` +
        `Where only the name was another, write { name: "${text}" }.`,
    );
  };
  const found: AliasSpec[] = request.getAliasurnsList().map((text: string) => ({ urn: urn(text) }));
  for (const alias of request.getAliasesList()) {
    const spec = alias.getSpec();
    if (spec === undefined) found.push({ urn: urn(alias.getUrn()) });
    else {
      const parent = spec.getParenturn();
      found.push({
        name: spec.getName() || undefined,
        type: spec.getType() || undefined,
        stack: spec.getStack() || undefined,
        project: spec.getProject() || undefined,
        parentUrn: parent === "" ? undefined : urn(parent),
        noParent: spec.getNoparent(),
      });
    }
  }
  return found;
}

/** @throws Refusal with every one that is no duration */
function seconds(
  label: string,
  texts: Record<"create" | "update" | "delete" | "read", string>,
): Goal["customTimeouts"] {
  const found: NonNullable<Goal["customTimeouts"]> = {};
  const faults: string[] = [];
  for (const key of ["create", "update", "delete", "read"] as const) {
    const text = texts[key];
    if (text === "") continue;
    const nanoseconds = parseDuration(text) ?? -1;
    if (nanoseconds < 0) faults.push(`${key} "${text}"`);
    // Nothing is no time of its own, as with the official CLI.
    else if (nanoseconds > 0) found[key] = nanoseconds / 1e9;
  }
  if (faults.length > 0) {
    throw new Refusal(
      `The option "customTimeouts" of ${label}: ${faults.join(", ")} is no duration. Write it as 90s, 10m or 1h30m.`,
    );
  }
  return Object.keys(found).length > 0 ? found : undefined;
}

/** `project:///index.ts#12,5`; undefined for what lies outside the project, whose place is this machine's own. */
function sourcePosition(position: Position, rootDir: string): string | undefined {
  // Of an ES module the SDK resolves node's URL as if it were a path: file:///<cwd>/file:/<path>.
  const uri = position?.getUri().replace(/^.*\/file:\/+/, "file:///");
  if (position === undefined || !uri?.startsWith("file:")) return undefined;
  const path = relative(rootDir, fileURLToPath(uri)).replaceAll("\\", "/");
  if (path.startsWith("..") || path.startsWith("node_modules/")) return undefined;
  const column = position.getColumn();
  return `project:///${path}#${position.getLine()}${column > 0 ? `,${column}` : ""}`;
}

/** What the program reads and does not own. */
export interface ReadGoal {
  id: string;
  type: string;
  name: string;
  parent: string | undefined;
  provider: string;
  inputs: PropertyMap;
  dependencies: string[];
  additionalSecretOutputs: string[];
  sourcePosition: string | undefined;
}

export function readGoal(request: InstanceType<typeof resourcePb.ReadResourceRequest>, sources: Sources): ReadGoal {
  return {
    id: request.getId(),
    type: request.getType(),
    name: request.getName(),
    parent: request.getParent() || undefined,
    provider: request.getProvider(),
    inputs: fromStruct(request.getProperties()),
    dependencies: request.getDependenciesList(),
    additionalSecretOutputs: request.getAdditionalsecretoutputsList(),
    sourcePosition: sourcePosition(request.getSourceposition(), sources.rootDir),
  };
}
