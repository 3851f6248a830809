import { createHash } from "node:crypto";
import { strFromU8, unzipSync } from "fflate";
import { parse } from "yaml";

/** A plugin package (.difypkg), as Dify's plugin daemon reads it. */
export interface PluginPackage {
  /** `<author>/<name>` */
  id: string;
  version: string;
  /** `<id>:<version>@<checksum>` */
  identifier: string;
  /** Path in the package -> content. */
  files: Record<string, Uint8Array>;
}

const sha256 = (data: string | Uint8Array) => createHash("sha256").update(data).digest();

/** Undefined for what is no package. */
export function readPluginPackage(bytes: Uint8Array): PluginPackage | undefined {
  try {
    const files = Object.fromEntries(Object.entries(unzipSync(bytes)).filter(([path]) => !path.endsWith("/")));
    const { author, name, version } = parse(strFromU8(files["manifest.yaml"] ?? new Uint8Array())) as Record<
      string,
      unknown
    >;
    if (!author || !name || !version) return undefined;
    const id = `${author}/${name}`;
    return { id, version: String(version), identifier: `${id}:${version}@${checksumOf(files)}`, files };
  } catch {
    return undefined;
  }
}

/** Over names and contents, whichever way they were packed: the daemon's own way (tried on packages whose identifiers it had told). */
function checksumOf(files: Record<string, Uint8Array>): string {
  const hash = createHash("sha256");
  // By bytes, not by a language's order.
  for (const path of Object.keys(files).sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))))
    hash.update(sha256(path)).update(sha256(files[path] as Uint8Array));
  return hash.digest("hex");
}
