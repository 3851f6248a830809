import { registryDigest } from "@atelier/engine/providers/docker/registry/digest";
import { difyImages, difyPlugins, tunnelBase } from "../../../images/dify.ts";
import type { AtelierLock } from "../../../images/lock.ts";
import { identifierAt } from "../../dify/marketplace.ts";
import { atMirror } from "../../docker/images.ts";
import { inParallel } from "../http.ts";
import { Servers } from "../silence.ts";
import type { Finding } from "./look.ts";

type Dify = AtelierLock["dify"];

/** Seconds that one question may take. */
const patience = 20;

/**
 * Asks registries for the digest of each of Dify's images, and the marketplace for the identifier of each plugin.
 * @param known what is said of them where nobody answers
 * @returns what was found of each
 */
export async function lookAtDify(
  known: Dify,
  { docker: mirrors, marketplace }: { docker: readonly string[]; marketplace: string },
): Promise<{ findings: Finding[]; dify: Dify }> {
  const names = [...new Set([...Object.values(difyImages), tunnelBase])].sort();
  const servers = new Servers();
  const images = await inParallel(names, 4, (name) => lookAtImage(name, known.images[name], mirrors, servers));
  const plugins = await inParallel(Object.values(difyPlugins), 4, (plugin) =>
    lookAtPlugin(plugin, known.plugins[plugin.id], marketplace),
  );
  return {
    findings: [...images, ...plugins].map(({ finding }) => finding),
    dify: {
      images: Object.fromEntries(names.map((name, at) => [name, images[at]?.digest]).filter(([, digest]) => digest)),
      plugins: Object.fromEntries(
        Object.values(difyPlugins)
          .map(({ id }, at) => [id, plugins[at]?.entry])
          .filter(([, entry]) => entry),
      ),
    },
  };
}

async function lookAtImage(
  name: string,
  before: string | undefined,
  mirrors: readonly string[],
  servers: Servers,
): Promise<{ finding: Finding; digest: string | undefined }> {
  const places = [
    ...mirrors.map((mirror) => ({ name: atMirror(name, mirror) ?? name, base: new URL(mirror).origin })),
    { name, base: undefined },
  ];
  const whys: string[] = [];
  for (const place of places) {
    let signal: AbortSignal | undefined;
    const ask = () => {
      signal = AbortSignal.timeout(patience * 1000);
      return registryDigest(place.name, { logins: [], insecure: false, signal, base: place.base });
    };
    try {
      const digest = await servers.ask(place.base ?? "", ask, () => signal?.aborted === true);
      const moved = before !== undefined && before !== digest;
      const detail = moved ? `the tag was at ${before}, is at ${digest}` : digest;
      return { finding: { kind: "image", name, status: moved ? "moved" : "same", detail }, digest };
    } catch (error) {
      // That a registry can't be reached is the same for every image.
      whys.push((error as Error).message.replace(/ for the digest of \S+:(?! it answered)/, ":"));
    }
  }
  return { finding: { kind: "image", name, status: "unreachable", detail: whys.join("; ") }, digest: before };
}

async function lookAtPlugin(
  { id, version }: { id: string; version: string },
  known: Dify["plugins"][string] | undefined,
  marketplace: string,
): Promise<{ finding: Finding; entry: Dify["plugins"][string] | undefined }> {
  const name = `${id} ${version}`;
  const found = (status: Finding["status"], detail: string, entry = known) => ({
    finding: { kind: "plugin" as const, name, status, detail },
    entry,
  });
  const told = await identifierAt(marketplace, { id, version });
  if (told.identifier === undefined) return found(told.gone ? "moved" : "unreachable", told.why);
  const { identifier } = told;
  if (known && known.identifier !== identifier)
    return found("moved", `was ${known.computed ? "computed as " : ""}${known.identifier}, is ${identifier}`, {
      version,
      identifier,
    });
  return found("same", identifier, { version, identifier });
}
