import { findImage, type LocalImage, pullImage } from "@atelier/engine/providers/docker/registry/pull";
import { DOCKER_HUB, parseImage } from "@atelier/engine/providers/docker/registry/reference";
import { type Call, callOf } from "./engine.ts";
import type { Input } from "./input.ts";
import { bundledImage, findBundled, loadedName, loadImage } from "./load.ts";

/** Seconds without a word of progress after which a registry counts as dead. */
const SILENCE = 120;
const AT_ONCE = 3;

/** The name that an image has at a mirror of Docker's own registry; undefined: it is another registry's. */
export function atMirror(name: string, mirror: string): string | undefined {
  const { registry, repository, tag, digest } = parseImage(name);
  if (registry !== DOCKER_HUB) return undefined;
  const base = mirror.replace(/^https?:\/\//, "").replace(/\/+$/, "");
  return `${base}/${repository}${tag ? `:${tag}` : ""}${digest ? `@${digest}` : ""}`;
}

/** Every name that an image may be had by, best first; Docker's own registry last. */
export const namesOf = (name: string, mirrors: string[]): string[] => [
  ...mirrors.map((mirror) => atMirror(name, mirror)).filter((one) => one !== undefined),
  name,
];

/** What the engine has of it already, by whichever name it came. */
export async function presentImage(name: string, mirrors: string[], call: Call): Promise<LocalImage | undefined> {
  const loaded = loadedName(name);
  for (const one of [name, ...(loaded ? [loaded] : []), ...namesOf(name, mirrors)]) {
    const found = await findImage(one, callOf(call));
    if (found) return found;
  }
  return undefined;
}

/**
 * Has the engine get every image that it lacks: out of a bundle, or from the first registry that gives it, held to its digest where that is known.
 * @param bundle a bundle's folder on this machine: what is not in it is an error
 * @returns the id of each
 */
export async function getImages(
  { images, mirrors, offline, tags = {} }: Omit<Input<"images">, "tags"> & { tags?: Record<string, string> },
  call: Call,
  bundle?: string,
): Promise<{ images: Record<string, string> }> {
  const wanted = [...new Set(Object.values(images))];
  const ids = new Map<string, string>();
  let done = 0;
  const next = async (): Promise<void> => {
    const name = wanted.shift();
    if (name === undefined) return;
    const there = await presentImage(bundle ? pinnedByBundle(name, bundle) : name, mirrors, call);
    const get = () => (bundle ? takeFromBundle(name, bundle, call) : getImage(name, { mirrors, offline }, call));
    const image = there ?? (await get());
    ids.set(name, image.Id);
    done += 1;
    if (!there) call.say(`${name} is there (${done} of ${done + wanted.length})`);
    await next();
  };
  await Promise.all(Array.from({ length: AT_ONCE }, next));
  for (const [key, tag] of Object.entries(tags)) {
    const Id = ids.get(images[key] ?? "");
    if (Id) await tagAs({ Id }, tag, call);
  }
  return { images: Object.fromEntries(Object.entries(images).map(([key, name]) => [key, ids.get(name) ?? ""])) };
}

/** What the lock pins by a tag alone, a bundle pins by the digest that it took. */
function pinnedByBundle(name: string, bundle: string): string {
  const found = loadedName(name) ? undefined : findBundled(bundle, name);
  return found ? `${name}@${found.digest}` : name;
}

async function takeFromBundle(name: string, bundle: string, call: Call): Promise<LocalImage> {
  const entry = bundledImage(bundle, name);
  const image = await loadImage(bundle, entry, call);
  await tagAs(image, entry.image, call);
  await tagAs(image, loadedName(`${entry.image}@${entry.digest}`) ?? entry.image, call);
  return image;
}

async function getImage(
  name: string,
  { mirrors, offline }: { mirrors: string[]; offline: boolean },
  call: Call,
): Promise<LocalImage> {
  const where = call.engine.host;
  if (offline)
    throw new Error(
      `The Docker engine at ${where} has no image ${name}, and nothing may be fetched (upstreams: offline). Bring it there by a bundle (--upstreams bundle:<folder>), or by hand (docker load).`,
    );
  const whys: string[] = [];
  for (const one of namesOf(name, mirrors)) {
    try {
      const image = await pull(one, call);
      if (one !== name) await tagAs(image, name, call);
      return image;
    } catch (error) {
      if (call.signal.aborted) throw error;
      // The engine's own sentence names engine and image again.
      const why = (error as { reason?: string }).reason ?? (error as Error).message;
      whys.push(`${one}: ${why}`);
      call.say(`${one} could not be had: ${why}`);
    }
  }
  throw new Error(
    `The Docker engine at ${where} could not get the image ${name}:\n${whys.map((why) => `  - ${why}`).join("\n")}\n` +
      "It pulls by itself, on its own host: name mirrors that answer there (upstreams.docker), or load the image by hand (docker load).",
  );
}

/** Pulls by one name; gives up when nothing comes any more. */
async function pull(name: string, call: Call): Promise<LocalImage> {
  const silent = new AbortController();
  let told = 0;
  const arm = () => setTimeout(() => silent.abort(new Error(`nothing came for ${SILENCE} s`)), SILENCE * 1000);
  let timer = arm();
  const signal = AbortSignal.any([call.signal, silent.signal]);
  try {
    return await pullImage(
      name,
      "",
      callOf({ ...call, signal }, (line) => {
        clearTimeout(timer);
        timer = arm();
        if (Date.now() - told < 2000) return;
        told = Date.now();
        call.say(`${name}: ${line}`);
      }),
    );
  } finally {
    clearTimeout(timer);
  }
}

/** What came from a mirror is also known by its own name. A digest alone is no tag. */
async function tagAs(image: Pick<LocalImage, "Id">, name: string, { engine, ...call }: Call): Promise<void> {
  const { familiar, tag } = parseImage(name);
  if (!tag) return;
  await engine.ask(`call the image ${name}`, call, (docker) => docker.getImage(image.Id).tag({ repo: familiar, tag }));
}
