import type { EngineLogin } from "./login.ts";

/** What became of the box: `image` and `container` say why each is not as it was left; undefined where it is. */
export interface Seen {
  image?: string;
  container?: string;
}

/**
 * Asks a Docker engine for an image and a container, without changing a thing. Over ssh:// by the user's own `ssh` and the `docker` there.
 * It lives in the state as text: it may use nothing of this module.
 * @param image its name; empty: not asked for
 * @throws Error saying why the engine could not be asked
 */
export async function look(engine: EngineLogin, container: string, image: string): Promise<Seen> {
  const limit = 120_000;
  const url = new URL(engine.host);
  const unreachable = (why: string) =>
    new Error(
      `the Docker engine at ${engine.host} can't be asked (${why.trim().slice(-500)}); does it run, and may this user use it? If it is gone: npx atelier down --host-gone --stack …`,
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
        : await overHttp(`/${kind}s/${name}/json`);
    if (code === 404) return undefined;
    if (code !== 200) throw unreachable(`HTTP ${code}: ${text}`);
    return JSON.parse(text) as Record<string, unknown>;
  };
  const seen: Seen = {};
  if (image !== "" && (await ask("image", image)) === undefined) seen.image = `there is no image ${image}`;
  const box = await ask("container", container);
  const state = box?.State as
    | { Status?: string; Running?: boolean; Paused?: boolean; Restarting?: boolean }
    | undefined;
  if (!box) seen.container = `there is no container ${container}`;
  // Of a paused one the engine says that it runs.
  else if (!state?.Running || state.Paused || state.Restarting)
    seen.container = `the container ${container} does not run (${state?.Status}; \`docker logs ${container}\` says more)`;
  return seen;
}
