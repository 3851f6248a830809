import type { ProgressLine } from "../client/engine.ts";
import { isNotFound } from "../client/errors.ts";
import type { Call } from "../resources/resource.ts";
import { type AuthConfig, authConfig } from "./logins.ts";
import { parseImage } from "./reference.ts";

export interface LocalImage {
  Id: string;
  RepoDigests?: string[] | null;
}

/** At most one line of progress in this time. */
const PROGRESS_MS = 1000;

/** What the engine has under a name, a digest or an id; undefined: nothing. */
export async function findImage(name: string, call: Call): Promise<LocalImage | undefined> {
  try {
    return await call.engine.ask(
      `look at the image ${name}`,
      call,
      (docker) => docker.getImage(name).inspect() as Promise<LocalImage>,
    );
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

/** Has the engine pull an image, with the provider's login for its registry. @throws DockerFailed */
export async function pullImage(name: string, platform: string, call: Call, auth?: AuthConfig): Promise<LocalImage> {
  const { registry, familiar, tag, digest } = parseImage(name);
  const login = auth ?? authConfig(call.engine.logins.find((one) => one.registry === registry));
  const what = `pull the image ${name} from ${registry}`;
  const stream = await call.engine.ask(
    what,
    call,
    (docker) =>
      docker.createImage(login ?? {}, {
        fromImage: familiar,
        tag: digest || tag,
        ...(platform !== "" && { platform }),
      }),
    0,
  );
  await call.engine.follow(what, call, stream, progress(call));
  const image = await findImage(name, call);
  if (image === undefined)
    throw new Error(
      `the image ${name} was pulled, but the Docker engine at ${call.engine.host} does not have it under this name`,
    );
  return image;
}

/** The digest that an image has in the registry of this name; "" for one that is in none. */
export function digestOf(name: string, image: LocalImage): string {
  const digests = image.RepoDigests ?? [];
  const { familiar } = parseImage(name);
  return digests.find((digest) => digest.startsWith(`${familiar}@`)) ?? digests[0] ?? "";
}

/** Shows what is going on, a line a second at most. */
export function progress(call: Call): (line: ProgressLine) => void {
  let last = 0;
  return ({ id, status, stream, progressDetail }) => {
    const text = (stream ?? status ?? "").trim();
    if (text === "" || Date.now() - last < PROGRESS_MS) return;
    last = Date.now();
    const { current = 0, total = 0 } = progressDetail ?? {};
    const share = total > 0 ? ` ${Math.floor((current / total) * 100)} %` : "";
    call.log({ stream: "info", text: `${id ? `${id} ` : ""}${text}${share}`, ephemeral: true });
  };
}
