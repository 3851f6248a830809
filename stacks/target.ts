import * as pulumi from "@pulumi/pulumi";
import { servedAt } from "./docker/place.ts";
import { hostOf, type Target } from "./rent.ts";
import type { StackSettings } from "./settings.ts";

/** The host to work on: as the settings tell it, or one that this very update rents or makes. */
export async function targetOf({ settings, host, engine, assembly }: StackSettings): Promise<Target> {
  const { webui } = settings;
  const tunnelled = webui.exposure === "tunnel";
  if (settings.host.kind !== "docker" || !engine) {
    const target = hostOf(settings.host, host);
    return { ...target, tunnel: tunnelled ? target.host : undefined };
  }
  // Other hosts need not load it.
  const { DockerBox } = await import("./docker/box.ts");
  const box = new DockerBox("box", {
    settings: settings.host,
    webui,
    upstreams: assembly.upstreams,
    told: host,
    login: engine,
  });
  return {
    host: box.host,
    publicUrl: pulumi.output(`http://${servedAt(settings.host, webui)}:${webui.port}`),
    tunnel: tunnelled ? host.jump : undefined,
  };
}
