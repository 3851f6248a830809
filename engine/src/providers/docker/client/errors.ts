import { plainTls, type Tls, tlsAdvice } from "./tls.ts";

/** What a Docker engine refused, or that there was none to refuse it. */
export class DockerFailed extends Error {
  readonly code = "DOCKER_FAILED";
  /** The HTTP status of the engine's answer; undefined: it did not answer. */
  readonly status: number | undefined;
  /** The engine's own words. */
  readonly reason: string;
  constructor(message: string, reason: string, status?: number) {
    super(message);
    this.name = "DockerFailed";
    this.reason = reason;
    this.status = status;
  }
}

export function isNotFound(error: unknown): boolean {
  return error instanceof DockerFailed && error.status === 404;
}

/** Makes one sentence of any failure: what was tried, where, what came back, and what to do where that is known. */
export function explain(error: unknown, what: string, host: string, tls?: Tls): DockerFailed {
  if (error instanceof DockerFailed) return error;
  const { statusCode, json, code, message } = error as {
    statusCode?: number;
    json?: { message?: string };
    code?: string;
    message?: string;
  };
  if (statusCode !== undefined) {
    // Streams' failures come as dockerode's own sentence, the engine's words behind it.
    const said =
      (json?.message ?? message ?? "")
        .replace(/^\(HTTP code \d+\) .*? - /, "")
        .trim()
        .replace(/\.$/, "") || "no reason";
    return refused(what, `the Docker engine at ${host} answered ${statusCode}`, said, statusCode);
  }
  const said = plainTls(message || code || "no reason");
  const advice = tlsAdvice(code, said, tls) ?? adviceFor(code, said, host);
  return new DockerFailed(`cannot ${what}: no answer from a Docker engine at ${host}: ${said}. ${advice}`, said);
}

/** @param who answered, and how */
export function refused(what: string, who: string, said: string, status?: number): DockerFailed {
  const hint = hintFor(said);
  return new DockerFailed(`cannot ${what}: ${who}: ${said}${hint === "" ? "" : `. ${hint}`}`, said, status);
}

function adviceFor(code: string | undefined, said: string, host: string): string {
  if (code === "EACCES" || code === "EPERM")
    return "Your user may not use its socket: add the user to the group docker (and log in again), or run as root.";
  if (/Host key verification failed/i.test(said)) {
    return "Its host key is not known here: log in once by hand (ssh) and compare its fingerprint, or name a known_hosts file in the provider's sshOpts.";
  }
  if (/dial unix \S+: connect: permission denied/.test(said))
    return "The user who logs in there may not use its socket: add that user to the group docker on the host, or log in as another.";
  if (/docker: (command )?not found|exit code 127\b/.test(said))
    return "Install Docker's command line on the host: through it the engine is asked (docker system dial-stdio).";
  if (/Permission denied|ssh ended/.test(said))
    return "Check that `ssh` logs in there by key without asking, and that `docker` runs there for that user.";
  const where =
    host.startsWith("unix:") || host.startsWith("npipe:")
      ? "start it (systemctl start docker, or Docker Desktop)"
      : "check that it is up and listens there";
  return `Is the Docker engine running? If it should be, ${where}; if it is elsewhere, set the provider's host, docker:host or DOCKER_HOST.`;
}

function hintFor(said: string): string {
  if (/port is already allocated|address already in use/i.test(said))
    return "Another process or container holds that port: stop it, or publish another one";
  if (/is already in use by container/i.test(said))
    return "Remove or rename that container, or bring it into the stack with the option import";
  if (/could not select device driver.*gpu/i.test(said))
    return "The host needs NVIDIA's driver and its container toolkit (nvidia-ctk runtime configure)";
  // Docker 29 asks for the devices by what the toolkit has written down of them.
  if (/discover GPU vendor|unresolvable CDI device/i.test(said))
    return "The host needs NVIDIA's driver and its container toolkit (nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml)";
  if (/HTTP request to an HTTPS server/i.test(said))
    return "It speaks TLS on this port: set the provider's certPath, or caMaterial, certMaterial and keyMaterial";
  if (/pull access denied/i.test(said))
    return "Look at the image's name; a private one wants a registryAuth with username and password";
  if (/no basic auth credentials|unauthorized|authentication required/i.test(said))
    return "Give the provider a registryAuth with username and password for this registry";
  const [, registry] = /https:\/\/([^/"]+)\/v2\/.*signed by unknown authority/i.exec(said) ?? [];
  if (registry)
    return `The engine does not know who signed that registry's certificate: put the authority's on the engine's host, as /etc/docker/certs.d/${registry}/ca.crt`;
  if (/\/v2\/.*(dial |no such host|refused|timeout|deadline exceeded|reset by peer|unreachable|\bEOF)/i.test(said))
    return "The engine does not reach that registry: name the image by a mirror that it does reach, or give the engine a mirror or a proxy (registry-mirrors, proxies in its daemon.json)";
  if (/manifest unknown|manifest for \S+ not found|resolve reference .*: not found/i.test(said))
    return "That registry has no such tag or digest: look at the image's name";
  if (/is using its referenced image|image is being used by \w+ container/i.test(said))
    return "Remove that container first, or set keepLocally: the image stays then";
  if (/toomanyrequests|rate limit/i.test(said))
    return "Wait, or pull with a login (registryAuth) or from a mirror: the registry counts by address and login";
  if (/no space left on device/i.test(said)) return "Free some (docker system df shows what takes it)";
  if (/has active endpoints/i.test(said))
    return "Containers are in it (docker network inspect shows which): remove them, or take its name from the resource in the program, and they go before it";
  if (/Pool overlaps|non-overlapping/i.test(said))
    return "Give the network another subnet in ipamConfigs, or remove networks that nobody uses";
  return "";
}
