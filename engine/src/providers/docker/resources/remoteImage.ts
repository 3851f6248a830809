import { isNotFound } from "../client/errors.ts";
import { flag, text, texts } from "../plain.ts";
import { digestOf, findImage, type LocalImage, pullImage } from "../registry/pull.ts";
import type { Found, Handler } from "./resource.ts";

/** An image that the engine has by its name, pulled where it has not. */
export const remoteImage: Handler = {
  async create(inputs, call) {
    const name = text(inputs, "name");
    const platform = text(inputs, "platform");
    // A trigger is there to fetch what the registry has now, whatever an earlier run left here under this name.
    const local = texts(inputs, "pullTriggers") === undefined ? await findImage(name, call) : undefined;
    return found(name, local ?? (await pullImage(name, platform, call)));
  },

  async delete(_id, outputs, call) {
    const name = text(outputs, "name");
    if (flag(outputs, "keepLocally") || (await findImage(name, call)) === undefined) return;
    try {
      await call.engine.ask(`remove the image ${name}`, call, (docker) =>
        docker.getImage(name).remove({ force: flag(outputs, "forceRemove") }),
      );
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  },

  async read(id, outputs, call): Promise<Found | undefined> {
    // The id is the image's with its name behind it.
    const name = text(outputs, "name") || id.replace(/^sha256:[0-9a-f]{64}/, "");
    const local = await findImage(name, call);
    return local === undefined ? undefined : found(name, local);
  },
};

function found(name: string, image: LocalImage): Found {
  return { id: image.Id + name, seen: { name, imageId: image.Id, repoDigest: digestOf(name, image) } };
}
