import type * as command from "@pulumi/command";
import type * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import type { DifyArgs } from "../dify.ts";
import { dockerAction, type EngineFacts } from "./engine.ts";
import { dockerHostName, type Reach, tunnelAlias, tunnelEntry } from "./reach.ts";
import { openTunnel } from "./tunnel.ts";

export interface WaysContext {
  /** A container's name. */
  called: (what: string) => string;
  /** Of what is made here; with its token, as a container of Dify's has them. */
  labels: Record<string, pulumi.Input<string>>;
  label: (name: string) => pulumi.Input<docker.types.input.ContainerLabel>[];
  facts: EngineFacts;
  networks: { default: docker.Network };
  /** Of the services: the engine has them once this is there. */
  images: pulumi.Resource;
  onEngine: { parent: pulumi.Resource; provider: docker.Provider };
  /** Of Dify. */
  url: string;
}

export interface Ways {
  /** The WebUI as Dify's containers reach it, without login. */
  url: pulumi.Output<string>;
  host: pulumi.Output<string>;
  /** Asks the WebUI from inside, once it draws. Nothing is wired to one that is not reached. */
  check(image: pulumi.Input<string>, daemon: docker.Container): command.local.Command;
}

/** Opens the way that stacks/dify/reach.ts has chosen. */
export function waysIn(args: DifyArgs, context: WaysContext): Ways {
  const { target, settings, webui } = args;
  const { reach, engine } = target;
  const { port } = settings.webui;
  const entry = tunnelEntry(reach, port);
  const tunnel = reach.way === "tunnel" ? openTunnel(args, reach.network, context) : undefined;
  const url = addressOf(reach, webui.url, entry);
  return {
    url,
    host: url.apply((address) => new URL(address).hostname),
    check(image, daemon) {
      const { called, labels, facts, networks, onEngine } = context;
      return dockerAction(
        "dify-reach",
        "reach",
        {
          engine,
          name: called("reach"),
          labels,
          network: networks.default.name,
          image,
          hosts: [`${dockerHostName}:host-gateway`],
          url,
          mend: mends[reach.way],
          // In seconds. The WebUI draws by now: only a tunnel has still to find its way in.
          timeout: reach.way === "tunnel" ? 60 : 15,
          // Another daemon or another tunnel is another way.
          token: pulumi.all([daemon.id, tunnel?.id ?? "", facts.token(called("tunnel"))]).apply((ids) => ids.join(" ")),
        },
        { parent: onEngine.parent, dependsOn: [webui.ready, daemon, ...(tunnel ? [tunnel] : [])] },
      );
    },
  };
}

function addressOf(reach: Reach, people: pulumi.Output<string>, port: number): pulumi.Output<string> {
  if (reach.way === "url") return pulumi.output(reach.url);
  if (reach.way === "address") return people;
  const name = reach.way === "tunnel" && reach.network === "dify" ? tunnelAlias : dockerHostName;
  return pulumi.output(`http://${name}:${port}`);
}

const mends: Record<Reach["way"], string> = {
  url: "That is dify.webuiUrl: it has to be an address that works inside of a container, never localhost.",
  address:
    "A firewall of the WebUI's host or of its platform may let in others only; `dify.webui: tunnel` goes through SSH instead, and dify.webuiUrl names another address.",
  host: "The Docker host's firewall may refuse its own containers (ufw, firewalld: allow the bridge's network), or the WebUI may listen elsewhere; dify.webuiUrl names another address.",
  tunnel:
    "Read what the tunnel's container says (docker logs): its login to the GPU host, or its forwarding, may be refused there.",
};
