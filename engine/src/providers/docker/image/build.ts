import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readFile, readlink } from "node:fs/promises";
import { join, relative, resolve, sep } from "node:path";
import { finished } from "node:stream/promises";
import { stripVTControlCharacters } from "node:util";
import { type Pack, pack } from "tar-stream";
import type { ProgressLine } from "../client/engine.ts";
import { DockerFailed } from "../client/errors.ts";
import { authConfig, type Login, ownLogin } from "../registry/logins.ts";
import { findImage, progress, pullImage } from "../registry/pull.ts";
import { parseImage } from "../registry/reference.ts";
import type { Call } from "../resources/resource.ts";
import { ignorePatterns, walk } from "./context.ts";
import type { Build, ImageInputs } from "./inputs.ts";
import { openSession } from "./session.ts";

/** How much of what a failed build said is told. */
const LAST_LINES = 15;

/** Builds the image of these inputs under its name. @returns its id, and the Dockerfile's path relative to the context */
export async function buildImage(inputs: ImageInputs, call: Call): Promise<{ id: string; dockerfile: string }> {
  const { build, imageName } = inputs;
  const root = resolve(call.programDir, build.context);
  const file = resolve(call.programDir, build.dockerfile);
  const inContext = relative(root, file).split(sep).join("/");
  const outside = inContext.startsWith("../");
  const within = outside ? await outsideName(file) : inContext;
  for (const image of build.cacheFrom) {
    try {
      await pullImage(image, build.platform, call, authConfig(loginFor(inputs)(parseImage(image).registry)));
    } catch (error) {
      call.log({
        stream: "warning",
        text: `cacheFrom ${image}: ${(error as Error).message}. The image is built without it.`,
      });
    }
  }
  const archive = pack();
  const packing = packContext(archive, root, file, within, outside);
  packing.catch((error: Error) => archive.destroy(error));
  try {
    await run(inputs, within, archive, call);
    await packing;
  } finally {
    archive.destroy();
  }
  const image = await findImage(imageName, call);
  if (image === undefined)
    throw new Error(`the image ${imageName} was built, but the Docker engine at ${call.engine.host} does not have it`);
  return { id: image.Id, dockerfile: inContext };
}

/** Pushes the image to its registry. @returns its digest there, `repository@sha256:…` */
export async function pushImage(inputs: ImageInputs, call: Call): Promise<string> {
  const { imageName } = inputs;
  const { familiar, tag, registry } = parseImage(imageName);
  const auth = authConfig(loginFor(inputs)(registry));
  const what = `push the image ${imageName}`;
  let digest = "";
  // The engine wants a login also where there is none.
  const stream = await call.engine.ask(
    what,
    call,
    (docker) => docker.getImage(familiar).push({ tag, authconfig: auth ?? {} }),
    0,
  );
  const show = progress(call);
  await call.engine.follow(what, call, stream as NodeJS.ReadableStream, (line) => {
    const aux = line.aux as { Digest?: string } | undefined;
    if (aux?.Digest) digest = aux.Digest;
    show(line);
  });
  if (digest !== "") return `${familiar}@${digest}`;
  const image = await findImage(imageName, call);
  return image?.RepoDigests?.find((one) => one.startsWith(`${familiar}@`)) ?? "<none>@<none>";
}

/** The program's login for the image's own registry; for every other the user's own. */
function loginFor({ imageName, registry }: ImageInputs): (asked: string) => Login | undefined {
  const own =
    registry.server === ""
      ? parseImage(imageName).registry
      : parseImage(`${registry.server.replace(/^https?:\/\//, "").split("/")[0]}/x/y`).registry;
  return (asked) => {
    if (asked === own && registry.username !== "" && registry.password !== "") {
      return { registry: own, url: `https://${own}`, username: registry.username, password: registry.password };
    }
    return ownLogin(asked);
  };
}

async function run(inputs: ImageInputs, dockerfile: string, archive: Pack, call: Call): Promise<void> {
  const { build, imageName } = inputs;
  const what = `build the image ${imageName}`;
  const logins = loginFor(inputs);
  const session =
    build.version === "2" ? await openSession((registry) => quietly(() => logins(registry)), call) : undefined;
  const said: string[] = [];
  const show = progress(call);
  const onLine = (line: ProgressLine) => {
    // The first builder paints what comes from standard error.
    const lines = stripVTControlCharacters(line.stream ?? "").split("\n");
    said.push(...lines.map((text) => text.trimEnd()).filter((text) => text !== ""));
    said.splice(0, said.length - LAST_LINES);
    show(line);
  };
  try {
    const stream = await call.engine.ask(
      what,
      call,
      (docker) => {
        const options = {
          method: "POST",
          path: "/build?",
          file: archive,
          options: { ...buildOptions(build, imageName, dockerfile), ...(session && { session: session.id }) },
          isStream: true,
          statusCodes: { 200: true, 400: "bad parameter", 500: "server error" },
          ...(session === undefined && { registryconfig: registryConfig(inputs) }),
        };
        return new Promise<NodeJS.ReadableStream>((done, reject) => {
          docker.modem.dial(options as never, (error: unknown, answer: unknown) =>
            error ? reject(error) : done(answer as NodeJS.ReadableStream),
          );
        });
      },
      0,
    );
    await call.engine.follow(what, call, stream, onLine);
  } catch (error) {
    if (!(error instanceof DockerFailed) || said.length === 0) throw error;
    throw new DockerFailed(`${error.message}\nIts last lines:\n  ${said.join("\n  ")}`, error.reason, error.status);
  } finally {
    session?.end();
  }
}

function buildOptions(build: Build, imageName: string, dockerfile: string): Record<string, unknown> {
  return {
    t: imageName,
    dockerfile,
    version: build.version,
    // The first builder leaves its intermediate containers behind otherwise, and that of a step that failed.
    rm: true,
    forcerm: true,
    ...(build.platform !== "" && { platform: build.platform }),
    ...(build.target !== "" && { target: build.target }),
    ...(build.network !== "" && { networkmode: build.network }),
    ...(Object.keys(build.args).length > 0 && { buildargs: build.args }),
    ...(build.addHosts.length > 0 && { extrahosts: build.addHosts }),
    ...(build.cacheFrom.length > 0 && { cachefrom: JSON.stringify(build.cacheFrom) }),
  };
}

/** The first builder gets its logins beforehand: the program's only. */
function registryConfig({ imageName, registry }: ImageInputs): Record<string, object> {
  if (registry.username === "" || registry.password === "") return {};
  const server = registry.server || parseImage(imageName).registry;
  return { [server]: { username: registry.username, password: registry.password, serveraddress: server } };
}

/** A login that cannot be read (a credential helper) is none: most images want none. */
function quietly<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

/** The same name for the same content, or the engine's cache of layers would never be used. */
async function outsideName(file: string): Promise<string> {
  return `.dockerfile.${createHash("sha256")
    .update(await readFile(file))
    .digest("hex")
    .slice(0, 20)}`;
}

async function packContext(
  archive: Pack,
  root: string,
  file: string,
  dockerfile: string,
  outside: boolean,
): Promise<void> {
  const patterns = await ignorePatterns(root, file);
  // The engine needs these two whatever is ignored.
  const needed = patterns.length > 0 ? [...patterns, "!.dockerignore", ...(outside ? [] : [`!${dockerfile}`])] : [];
  if (outside) archive.entry({ name: dockerfile, mode: 0o600 }, await readFile(file));
  for await (const { name, stats } of walk(root, needed)) {
    const header = { name, mode: stats.mode & 0o7777, mtime: stats.mtime, uid: 0, gid: 0 };
    if (stats.isDirectory()) archive.entry({ ...header, type: "directory" });
    else if (stats.isSymbolicLink())
      archive.entry({ ...header, type: "symlink", linkname: await readlink(join(root, name)) });
    else if (stats.isFile()) {
      const entry = archive.entry({ ...header, type: "file", size: stats.size });
      // Not longer than said, should it grow meanwhile.
      const content = stats.size === 0 ? undefined : createReadStream(join(root, name), { end: stats.size - 1 });
      if (content === undefined) entry.end();
      else content.on("error", (error) => archive.destroy(error)).pipe(entry);
      await finished(entry);
    }
  }
  archive.finalize();
}
