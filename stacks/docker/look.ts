import type { EngineLogin } from "./login.ts";

/** What is looked for on the engine. */
export interface Looks {
  container: string;
  /** Its name; empty: not asked for. */
  image: string;
  /** Its name, where the stack makes it; empty: not asked for. */
  volume: string;
  /** Of this stack's state (stacks/docker/fingerprint.ts); empty: of an earlier one, which had none. */
  fingerprint: string;
  /** Its name, for what is said. */
  stack: string;
}

/** What became of the box: `image` and `container` say why each is not as it was left; undefined where it is. */
export interface Seen {
  image?: string;
  container?: string;
  /** What has the stack's names and is somebody else's, with what to do about it. */
  foreign?: string;
}

/**
 * Asks a Docker engine for an image and a container, without changing a thing. Over ssh:// by the user's own `ssh` and the `docker` there.
 * It lives in the state as text: it may use nothing of this module.
 * @throws Error saying why the engine could not be asked
 */
export async function look(
  engine: EngineLogin,
  { container, image, volume, fingerprint, stack }: Looks,
): Promise<Seen> {
  const limit = 120_000;
  const url = new URL(engine.host);
  const unreachable = (why: string) =>
    new Error(
      `the Docker engine at ${engine.host} can't be asked (${why.trim().slice(-500)}). Is the Docker engine running? If it should be, start it there (systemctl start docker, or Docker Desktop); its socket is for root and the group docker. If it is gone: npx atelier down --host-gone --stack ${stack}`,
    );
  const overSsh = async (what: string): Promise<{ code: number; text: string }> => {
    const { execFile } = await import("node:child_process");
    const socket = url.pathname.length > 1 ? ["--host", `unix://${url.pathname}`] : [];
    const words = [
      // The user's own words first: of two the first counts.
      ...(process.env.DOCKER_SSH_OPTS?.split(/\s+/).filter((word) => word !== "") ?? []),
      ...["-o", "BatchMode=yes", "-o", "ConnectTimeout=20", "-T"],
      ...(url.username ? ["-l", decodeURIComponent(url.username)] : []),
      ...(url.port ? ["-p", url.port] : []),
      ...["--", url.hostname, "docker", ...socket, ...what.split(" ")],
    ];
    return new Promise((resolve, reject) => {
      execFile("ssh", words, { timeout: limit }, (error, stdout, stderr) => {
        if (!error) return resolve({ code: 200, text: stdout });
        if (/no such/i.test(stderr)) return resolve({ code: 404, text: stderr });
        return reject(unreachable(stderr || error.message));
      });
    });
  };
  const overHttp = async (path: string): Promise<{ code: number; text: string }> => {
    const { request } = engine.ca ? await import("node:https") : await import("node:http");
    const where =
      url.protocol === "unix:"
        ? { socketPath: decodeURIComponent(url.pathname) }
        : { host: url.hostname, port: url.port || (engine.ca ? 2376 : 2375) };
    const { ca, cert, key } = engine;
    return new Promise((resolve, reject) => {
      const call = request({ ...where, path, ca, cert, key, timeout: limit, agent: false }, (answer) => {
        let text = "";
        answer.setEncoding("utf8").on("data", (part: string) => {
          text += part;
        });
        answer.on("end", () => resolve({ code: answer.statusCode ?? 0, text }));
        answer.on("error", (error) => reject(unreachable(error.message)));
      });
      call.on("timeout", () => call.destroy(new Error(`nothing came back in ${limit / 1000} s`)));
      call.on("error", (error) => reject(unreachable(error.message)));
      call.end();
    });
  };
  const ask = async (kind: string, name: string): Promise<Record<string, unknown> | undefined> => {
    const { code, text } =
      url.protocol === "ssh:"
        ? await overSsh(`${kind} inspect --format '{{json .}}' ${name}`)
        : await overHttp(kind === "volume" ? `/volumes/${name}` : `/${kind}s/${name}/json`);
    if (code === 404) return undefined;
    if (code !== 200) throw unreachable(`HTTP ${code}: ${text}`);
    return JSON.parse(text) as Record<string, unknown>;
  };
  // Without the label it was made by an earlier Atelier, or by the engine, for a container that named it.
  const isForeign = (labels: Record<string, string> | null | undefined) => {
    const other = labels?.["atelier.fingerprint"];
    return fingerprint !== "" && other !== undefined && other !== fingerprint;
  };
  const seen: Seen = {};
  if (image !== "" && (await ask("image", image)) === undefined) seen.image = `there is no image ${image}`;
  const box = await ask("container", container);
  const state = box?.State as
    | { Status?: string; Running?: boolean; Paused?: boolean; Restarting?: boolean }
    | undefined;
  const labels = (box?.Config as { Labels?: Record<string, string> } | undefined)?.Labels ?? {};
  const others = [];
  if (!box) seen.container = `there is no container ${container}`;
  else if (isForeign(labels) || (fingerprint !== "" && labels["atelier.stack"] === undefined)) {
    seen.container = `the container ${container} is somebody else's`;
    others.push(
      isForeign(labels)
        ? `the container ${container} was made by another copy of the stack ${labels["atelier.stack"]}, whose state is elsewhere (if that copy is gone for good: docker rm -f ${container})`
        : `the container ${container} was not made by Atelier (docker rename gives it another name)`,
    );
  }
  // Of a paused one the engine says that it runs.
  else if (!state?.Running || state.Paused || state.Restarting)
    seen.container = `the container ${container} does not run (${state?.Status}; \`docker logs ${container}\` says more)`;
  const store = volume === "" ? undefined : await ask("volume", volume);
  if (isForeign(store?.Labels as Record<string, string> | undefined))
    others.push(
      `the volume ${volume} was made by another copy of the stack, and has its cache (if that copy is gone for good, host.volume: ${volume} in the settings uses it with what is in it; docker volume rm ${volume} gives it up)`,
    );
  if (others.length > 0)
    seen.foreign = `The Docker engine at ${engine.host} has what bears this stack's names and is somebody else's: ${others.join("; ")}. Nothing of it was touched. If it is yours, bring its state here (npx atelier stack import --stack ${stack}), or run \`down\` where that state is; else give this stack another name: its settings file is stacks/Pulumi.<name>.yaml.`;
  return seen;
}
