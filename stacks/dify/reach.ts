import type { DifyWritten } from "../schema/dify.ts";
import type { Settings } from "../schema.ts";

/** How Dify's containers come to the WebUI. */
export type Reach =
  /** By an address that the settings name. */
  | { way: "url"; url: string }
  /** By the address that people use. */
  | { way: "address" }
  /** It listens on the Docker host itself: by that host's own address, as containers see it. */
  | { way: "host" }
  /** It listens on loopback only: an SSH tunnel in a container, in Dify's network or in the Docker host's own. */
  | { way: "tunnel"; network: "dify" | "host" };

/** The Docker host's name inside of its containers. */
export const dockerHostName = "host.docker.internal";

/** The WebUI's name in Dify's network, when a tunnel leads to it. */
export const tunnelAlias = "webui";

/** Where the tunnel begins. On the WebUI's own host its port is the WebUI's (and its gate's) alone, whatever the address. */
export function tunnelEntry(reach: Reach, port: number): number {
  if (reach.way !== "tunnel" || reach.network === "dify") return port;
  return port > 55_535 ? port - 10_000 : port + 10_000;
}

const isLoopback = (url: string) => /^(localhost|127\.|\[?::1)/.test(new URL(url).hostname);

/** Chooses the way by the settings alone. Mistakes are added to the list. */
export function planReach(
  settings: Settings & { dify: DifyWritten },
  standingUrl: string | undefined,
  mistakes: string[],
): Reach {
  const { dify, host, webui } = settings;
  if (dify.webuiUrl) return { way: "url", url: dify.webuiUrl };
  const onLoopback = webui.exposure === "tunnel" || (webui.listen?.startsWith("127.") ?? false);
  const wants = (key: string, what: string): Reach => {
    mistakes.push(`atelier:dify.${key}: ${what}; set dify.webuiUrl to an address that Dify's plugin daemon reaches`);
    return { way: "address" };
  };
  if (standingUrl !== undefined) {
    // A Dify of this machine reaches what this machine reaches.
    if (isLoopback(standingUrl) && onThisMachine(settings)) return { way: "address" };
    if (onLoopback && !webui.publicUrl)
      return wants("webui", "the WebUI listens on its host's loopback only, where no other machine's Dify reaches it");
    return { way: "address" };
  }
  const here = sameMachine(settings);
  const tunnel =
    dify.webui === "tunnel" ||
    (dify.webui === "auto" && onLoopback && (webui.exposure === "tunnel" || !webui.publicUrl));
  if (!tunnel) {
    if (webui.publicUrl && webui.exposure === "direct") return { way: "address" };
    if (onLoopback)
      return wants("webui", 'got "direct", but the WebUI listens on its host\'s loopback only; accepted: auto, tunnel');
    if (here) return { way: "host" };
    if (onThisMachine(settings))
      return wants("docker.host", "the WebUI is on this machine, and Dify's containers are on another");
    return { way: "address" };
  }
  if (here) return { way: "tunnel", network: "host" };
  if (onThisMachine(settings))
    return wants("docker.host", "the WebUI is on this machine, and Dify's containers are on another");
  if (host.kind === "docker")
    return wants(
      "docker.host",
      "the WebUI is on the loopback of one Docker host, and Dify's containers are on another",
    );
  if (host.kind === "ssh" && host.agent)
    return wants(
      "webui",
      "a tunnel to the WebUI logs in by itself, and an SSH agent is only here: use host.key, host.keyFile or a password",
    );
  return { way: "tunnel", network: "dify" };
}

const onThisMachine = ({ host }: Settings): boolean =>
  host.kind === "local" || (host.kind === "docker" && host.docker.host.startsWith("unix://"));

/** Whether the WebUI runs where Dify's containers do. */
function sameMachine({ host, dify }: Settings & { dify: DifyWritten }): boolean {
  const engine = dify.docker.host;
  // Two users of one host's engine are one host.
  const at = (address: string) => (address.startsWith("unix://") ? "" : new URL(address).hostname);
  if (host.kind === "docker") return at(host.docker.host) === at(engine);
  if (host.kind === "local") return engine.startsWith("unix://");
  return host.kind === "ssh" && engine.startsWith("ssh://") && new URL(engine).hostname === host.address;
}
