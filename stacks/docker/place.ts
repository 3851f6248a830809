import type { DockerHostSettings } from "../schema/host.ts";
import type { WebuiSettings } from "../schema/webui.ts";
import type { Upstreams } from "../upstreams.ts";

/** One volume holds both: links between them save the room that copies would take. */
export const mount = "/atelier";
export const workspace = `${mount}/workspace`;
export const cache = `${mount}/cache`;

/** Where a Docker engine is, as seen from the control machine. */
export interface EnginePlace {
  kind: "unix" | "ssh" | "tcp";
  /** Name or address of its host; this machine's loopback for a socket. */
  address: string;
  /** Of its SSH server. */
  port: number;
  user: string;
}

/** Takes `docker.host` apart. The schema has seen that it is one. */
export function enginePlace({ docker }: Pick<DockerHostSettings, "docker">): EnginePlace {
  const url = new URL(docker.host);
  const address = url.hostname.replace(/^\[|\]$/g, "");
  if (url.protocol === "ssh:")
    return { kind: "ssh", address, port: Number(url.port || 22), user: decodeURIComponent(url.username) };
  if (url.protocol === "tcp:") return { kind: "tcp", address, port: 22, user: "" };
  return { kind: "unix", address: "127.0.0.1", port: 22, user: "" };
}

/** The address of this machine's or the Docker host's that leads to what the container serves. */
export function servedAt(host: DockerHostSettings, webui: Pick<WebuiSettings, "listen">): string {
  const { kind, address } = enginePlace(host);
  const given = webui.listen && webui.listen !== "0.0.0.0" ? webui.listen : undefined;
  return kind === "unix" ? (given ?? address) : address;
}

export interface PublishedPort {
  internal: number;
  external: number;
  ip: string;
}

/** What of the container is published on the Docker host: nothing where it has that host's own network, for a tunnel on loopback only. */
export function publishedPorts(
  host: DockerHostSettings,
  webui: Pick<WebuiSettings, "exposure" | "listen" | "port">,
): PublishedPort[] {
  if (host.network === "host") return [];
  // Behind tcp:// nothing but the open port leads to the SSH server; it takes one key and no password.
  const outside = enginePlace(host).kind === "tcp" ? "0.0.0.0" : "127.0.0.1";
  const ssh = { internal: 22, external: host.sshPort, ip: outside };
  const ip = webui.exposure === "tunnel" ? "127.0.0.1" : (webui.listen ?? "0.0.0.0");
  return [ssh, { internal: webui.port, external: webui.port, ip }];
}

/** Where the SSH server listens, as the container sees it. */
export function sshListen(host: DockerHostSettings): string {
  if (host.network === "bridge") return "0.0.0.0:22";
  return `${enginePlace(host).kind === "tcp" ? "0.0.0.0" : "127.0.0.1"}:${host.sshPort}`;
}

const cuda = "nvidia/cuda:12.1.1-runtime-ubuntu22.04";

/** Arguments of the build of images/cuda. The base comes from Docker's own registry, or from the mirror in front of it. */
export function cudaArgs({ base }: DockerHostSettings, upstreams: Pick<Upstreams, "apt" | "docker">) {
  const [mirror] = upstreams.docker;
  const [apt = "default"] = upstreams.apt;
  const named = mirror ? `${mirror.replace(/^https?:\/\//, "").replace(/\/+$/, "")}/${cuda}` : cuda;
  return { BASE: base ?? named, APT_MIRROR: ["default", "offline"].includes(apt) ? "" : apt };
}
