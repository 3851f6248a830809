import { spawn } from "node:child_process";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { cudaArgs } from "../../../stacks/docker/place.ts";
import type { DockerHostSettings } from "../../../stacks/schema/host.ts";
import { Interrupted, UserError } from "../errors.ts";
import { writeContext } from "../imageContext.ts";
import { startMachine } from "../machine.ts";
import { root, stackHome } from "../paths.ts";
import { openStack } from "../stack.ts";
import type { Terminal } from "../terminal.ts";
import type { Context } from "./command.ts";

/** Hours of a slow line; a build that hangs ends all the same. */
const limitMs = 6 * 3600_000;

/** `atelier image`: the stack's WebUI as an image, for `host.image`. */
export async function image({ options, terminal, interrupt }: Context): Promise<number> {
  const stack = openStack(options.stack);
  const { host } = stack.settings;
  if (host.kind !== "docker")
    throw new UserError(
      `The host of stack \`${stack.name}\` is no container (host.kind: ${host.kind}): an image would be of no use to it.`,
      2,
    );
  await startMachine(stack);
  const { resolveAssembly } = await import("../../../stacks/settings.ts");
  const assembly = resolveAssembly(stack.settings, stack.name);
  const folder = join(stackHome(stack.name), "image");
  writeContext(folder, stack.settings, assembly, options.withModels);
  const build = (name: string, args: Record<string, string>, context: string) =>
    runDocker(
      [
        ...["build", "--tag", name, "--platform", "linux/amd64"],
        ...Object.entries(args).flatMap(([key, value]) => ["--build-arg", `${key}=${value}`]),
        ...(host.network === "host" ? ["--network", "host"] : []),
        // Docker's own arguments, whose values come by the environment: they stay out of the image's history.
        ...(host.proxy ? ["http_proxy", "https_proxy"].flatMap((key) => ["--build-arg", key]) : []),
        context,
      ],
      environment(host),
      terminal,
      interrupt.signal,
    );
  if (!options.base) await build(cudaImage, cudaArgs(host, assembly.upstreams), join(root, "images", "cuda"));
  const tag = options.tag ?? `atelier/webui:${assembly.version}`;
  await build(tag, { BASE: options.base ?? cudaImage }, folder);
  terminal.line(
    `Built ${tag}. In the stack's settings: host.image: ${tag}. A volume that is there already keeps what it has.`,
  );
  if (options.json) terminal.answer(JSON.stringify({ stack: stack.name, image: tag }));
  return 0;
}

const cudaImage = "atelier/cuda:latest";

function environment({ docker, proxy }: DockerHostSettings): NodeJS.ProcessEnv {
  const tls = docker.certPath ? { DOCKER_CERT_PATH: docker.certPath, DOCKER_TLS_VERIFY: "1" } : {};
  return { DOCKER_HOST: docker.host, ...tls, ...(proxy && { http_proxy: proxy, https_proxy: proxy }) };
}

function runDocker(args: string[], env: NodeJS.ProcessEnv, terminal: Terminal, signal: AbortSignal): Promise<void> {
  terminal.line(`docker ${args.join(" ")}`);
  return new Promise((resolve, reject) => {
    const child = spawn("docker", args, {
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "pipe"],
      signal,
      timeout: limitMs,
    });
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (text: string) => {
        for (const line of stripVTControlCharacters(text).split("\n"))
          if (line.trim() !== "") terminal.line(line.trimEnd());
      });
    child.on("error", (error) =>
      reject(
        signal.aborted
          ? new Interrupted("Interrupted. What Docker has built so far stays in its cache.")
          : (error as NodeJS.ErrnoException).code === "ENOENT"
            ? new UserError("There is no `docker` on PATH: install Docker's command line, which builds the image.")
            : error,
      ),
    );
    child.on("close", (code) =>
      code === 0 ? resolve() : reject(new UserError(`The build failed (docker ended with ${code}): see above.`)),
    );
  });
}
