import { registryDigest } from "@atelier/engine/providers/docker/registry/digest";
import { difyImages, difyPlugins, tunnelBase } from "../../../images/dify.ts";
import type { AtelierLock } from "../../../images/lock.ts";
import { atMirror } from "../../docker/images.ts";
import { inParallel, request, whyFailed } from "../http.ts";
import type { Finding } from "./look.ts";

type Dify = AtelierLock["dify"];

/** Seconds that one question may take. */
const patience = 20;

/**
 * Asks registries for the digest of each of Dify's images, and the marketplace for the identifier of each plugin.
 * @returns what was found of each, and as it was locked where nobody answered
 */
export async function lookAtDify(
  locked: Dify,
  { docker: mirrors, marketplace }: { docker: readonly string[]; marketplace: string },
): Promise<{ findings: Finding[]; dify: Dify }> {
  const names = [...new Set([...Object.values(difyImages), tunnelBase])].sort();
  const images = await inParallel(names, 4, (name) => lookAtImage(name, locked.images[name], mirrors));
  const plugins = await inParallel(Object.values(difyPlugins), 4, (plugin) =>
    lookAtPlugin(plugin, locked.plugins[plugin.id], marketplace),
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
): Promise<{ finding: Finding; digest: string | undefined }> {
  const places = [
    ...mirrors.map((mirror) => ({ name: atMirror(name, mirror) ?? name, base: new URL(mirror).origin })),
    { name, base: undefined },
  ];
  const whys: string[] = [];
  for (const place of places) {
    try {
      const signal = AbortSignal.timeout(patience * 1000);
      const digest = await registryDigest(place.name, { logins: [], insecure: false, signal, base: place.base });
      const moved = before !== undefined && before !== digest;
      const detail = moved ? `the tag was at ${before}, is at ${digest}` : digest;
      return { finding: { kind: "image", name, status: moved ? "moved" : "same", detail }, digest };
    } catch (error) {
      whys.push((error as Error).message);
    }
  }
  return { finding: { kind: "image", name, status: "unreachable", detail: whys.join("; ") }, digest: before };
}

async function lookAtPlugin(
  { id, version }: { id: string; version: string },
  before: Dify["plugins"][string] | undefined,
  marketplace: string,
): Promise<{ finding: Finding; entry: Dify["plugins"][string] | undefined }> {
  const name = `${id} ${version}`;
  const known = before?.version === version ? before : undefined;
  const found = (status: Finding["status"], detail: string, entry = known) => ({
    finding: { kind: "plugin" as const, name, status, detail },
    entry,
  });
  const url = `${marketplace}/api/v1/plugins/${id}/versions?page=1&page_size=100`;
  try {
    const answer = await request(url, { headers: { accept: "application/json" }, seconds: patience });
    if (answer.status !== 200) return found("unreachable", `${url}: HTTP ${answer.status}`);
    const { data } = (await answer.json()) as {
      data?: { versions?: { version: string; unique_identifier: string }[] };
    };
    const identifier = data?.versions?.find((one) => one.version === version)?.unique_identifier;
    if (!identifier) return found("moved", `${new URL(marketplace).host} has no ${name} any more`);
    // Another answer than of a marketplace.
    if (!new RegExp(`^${id}:${version.replaceAll(".", "\\.")}@[0-9a-f]{32,64}$`).test(identifier))
      return found("unreachable", `${url}: its identifier is ${identifier}`);
    if (known?.identifier && known.identifier !== identifier)
      return found("moved", `was ${known.identifier}, is ${identifier}`, { version, identifier });
    return found("same", identifier, { ...known, version, identifier });
  } catch (error) {
    return found("unreachable", `${url}: ${whyFailed(error)}`);
  }
}
