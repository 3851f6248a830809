import { createReadStream } from "node:fs";
import { basename, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { type Pack, pack } from "tar-stream";
import { indexPages } from "../cli/bundle/indexPages.ts";
import { hashFile, inWords, type Manifest, readManifest, remake } from "../cli/bundle/manifest.ts";
import type { Call } from "./engine.ts";
import type { Input } from "./input.ts";

/** Where the volume lies in the container that fills it. */
const place = "/wheels";

/**
 * Lays the Python packages that a bundle's plugins want into a volume, as a simple index that any web server can serve.
 * Without a bundle the volume stays as it is.
 * @returns how many files there are
 * @throws Error where one is not what the bundle's manifest says
 */
export async function layWheels(
  { volume, image, name, labels }: Input<"wheels">,
  call: Call,
  bundle?: string,
): Promise<{ files: number }> {
  const { engine, signal, say } = call;
  const wheels = bundle ? readManifest(bundle).pluginWheels : [];
  if (!bundle || wheels.length === 0) return { files: 0 };
  await prove(bundle, wheels);
  const ask = <T>(what: string, question: Parameters<typeof engine.ask<T>>[2], seconds?: number) =>
    engine.ask(what, call, question, seconds);
  // What a run that was cut off left.
  await ask(`remove the container ${name}`, (docker) => docker.getContainer(name).remove({ force: true })).catch(
    () => {},
  );
  // Never started: an engine takes files into a volume by a container alone.
  const box = await ask(`make a container that holds the volume ${volume}`, (docker) =>
    docker.createContainer({
      name,
      Image: image,
      Entrypoint: ["true"],
      Labels: labels,
      HostConfig: { NetworkMode: "none", Mounts: [{ Type: "volume", Source: volume, Target: place }] },
    }),
  );
  try {
    say(
      `${wheels.length} Python packages of the plugins, ${inWords(wheels.reduce((sum, { bytes }) => sum + bytes, 0))}`,
    );
    const archive = pack();
    const filling = fill(archive, bundle, wheels, signal);
    filling.catch((error: Error) => archive.destroy(error));
    await ask(
      `fill the volume ${volume}`,
      () => box.putArchive(archive as NodeJS.ReadableStream, { path: place }),
      600,
    );
    await filling;
    return { files: wheels.length };
  } finally {
    await box.remove({ force: true }).catch(() => {});
  }
}

async function prove(bundle: string, wheels: Manifest["pluginWheels"]): Promise<void> {
  for (const { path, sha256 } of wheels) {
    const got = await hashFile(join(bundle, path));
    if (got !== sha256)
      throw new Error(
        `The bundle ${bundle} is broken: the sha256 of ${path} is ${got}; it was ${sha256}. ${remake(bundle)} mends it.`,
      );
  }
}

async function fill(
  archive: Pack,
  bundle: string,
  wheels: Manifest["pluginWheels"],
  signal: AbortSignal,
): Promise<void> {
  for (const [path, page] of indexPages(wheels)) archive.entry({ name: `${path.slice(1)}index.html` }, page);
  for (const { path, bytes } of wheels) {
    const entry = archive.entry({ name: `wheels/${basename(path)}`, size: bytes });
    await pipeline(createReadStream(join(bundle, path)), entry, { signal });
  }
  archive.finalize();
}
