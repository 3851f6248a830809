import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { difyVersion } from "../../../images/dify.ts";
import { readPluginPackage } from "../../dify/difypkg.ts";
import { identifierAt } from "../../dify/marketplace.ts";
import type { Wanted } from "./download.ts";
import { type BundledPlugin, hashFile } from "./manifest.ts";

export interface WantedPlugin {
  /** `langgenius/stablediffusion` */
  id: string;
  version: string;
  /** `<id>:<version>@<checksum>`: what comes is held to it. */
  identifier?: string | undefined;
  /** The same, computed only: the marketplace is asked first. */
  computed?: string | undefined;
  /** On this machine. @default from the marketplace */
  package?: string | undefined;
}

/**
 * Takes one plugin package into the bundle: from its folder, or from the marketplace by its identifier, whose checksum the package itself must have.
 * @throws Error where it is another one
 */
export async function takePlugin(
  wanted: WantedPlugin,
  {
    folder,
    marketplace,
    get,
  }: {
    folder: string;
    marketplace: string;
    get: (what: string, wanted: Wanted) => Promise<{ bytes: number; sha256: string } | undefined>;
  },
): Promise<BundledPlugin | undefined> {
  const { id, version, package: from } = wanted;
  const path = `plugins/${id.replace("/", "-")}_${version}.difypkg`;
  const place = join(folder, path);
  let { identifier } = wanted;
  if (from !== undefined) {
    mkdirSync(dirname(place), { recursive: true });
    copyFileSync(from, place);
  } else {
    identifier ??= await identifierOf(wanted, marketplace);
    // Only its content tells whether a package that is there is the one that is wanted.
    if (existsSync(place) && readPluginPackage(readFileSync(place))?.identifier !== identifier) rmSync(place);
    const url = `${marketplace}/api/v1/plugins/download?unique_identifier=${encodeURIComponent(identifier)}`;
    if (!(await get(`plugin ${id} ${version}`, { urls: [url], path: place, headers: asDify }))) return undefined;
  }
  const got = readPluginPackage(readFileSync(place));
  const isIt = identifier ? got?.identifier === identifier : got?.id === id && got.version === version;
  if (got && isIt)
    return {
      id,
      version,
      identifier: got.identifier,
      path,
      bytes: statSync(place).size,
      sha256: await hashFile(place),
    };
  rmSync(place);
  throw new Error(
    `what ${from ?? marketplace} has is ${got ? got.identifier : "no plugin package"}; wanted: ${identifier ?? `${id} ${version}`}. It was thrown away`,
  );
}

/** The marketplace refuses clients that do not say which Dify they are of. */
const asDify = async () => ({ "x-dify-version": difyVersion });

async function identifierOf({ id, version, computed }: WantedPlugin, marketplace: string): Promise<string> {
  const told = await identifierAt(marketplace, { id, version });
  const identifier = told.identifier ?? computed;
  if (identifier) return identifier;
  throw new Error(`no identifier of it is locked, and ${"why" in told ? told.why : "nobody tells it"}`);
}
