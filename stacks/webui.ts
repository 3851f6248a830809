import * as pulumi from "@pulumi/pulumi";
import { modelFolders } from "../images/catalog.ts";
import type { Assembly } from "./assembly.ts";
import { createGate } from "./gate.ts";
import type { GpuHost } from "./host.ts";
import { proxyInputs, sourcesInputs, wheelsInputs } from "./inputs.ts";
import { launchFlags, memoryInputs, uiConfig, webuiOptions } from "./launch.ts";
import { asRecorded, readRecorded } from "./recorded.ts";
import type { Model } from "./schema/models.ts";
import type { Settings } from "./schema.ts";
import { atelierHome, type Host } from "./settings.ts";
import type { Step } from "./step.ts";

export interface WebuiArgs {
  host: GpuHost;
  settings: Settings;
  assembly: Assembly;
  models: Step;
  password: pulumi.Output<string>;
}

/** The steps of the WebUI, in order; host-facts watches them. */
export const webuiSteps = ({ gate }: Assembly) => [
  ...["sources", "wheels", "models", "config", "service"],
  ...(gate ? ["gate"] : []),
  "ready",
];

/** A1111 on a host: its sources, wheels, configuration, service and gate, ready when it has drawn. */
export class Webui extends pulumi.ComponentResource {
  readonly ready: Step;
  /** How sparingly it uses GPU memory: full, medvram-sdxl, medvram or lowvram. */
  readonly vram: pulumi.Output<string>;
  /** Changes whenever anything that it is made of does. */
  readonly version: pulumi.Output<string>;

  constructor(name: string, args: WebuiArgs, opts: pulumi.ComponentResourceOptions = {}) {
    super("atelier:webui:Webui", name, {}, opts);
    const { host, settings, models, password } = args;
    const { upstreams, wheels: locked, checkpoint, inside, gate } = args.assembly;
    const { webui } = settings;
    const { python } = host;

    // git comes with the packages; it runs beside Python's step.
    const sources = host.step("sources", "40-sources.sh", sourcesInputs(settings.host, args.assembly), [
      host.packages.resource,
    ]);
    const wheels = host.step(
      "wheels",
      "50-wheels.sh",
      // They lie in the venv that Python's step made, and may have made anew.
      { ...wheelsInputs(settings.host, args.assembly), python: python.version },
      [sources.resource, python.resource],
      { within: python },
    );
    const config = host.step(
      "config",
      "70-config.sh",
      {
        ...inside,
        options: JSON.stringify(webuiOptions(settings, args.assembly)),
        ui: JSON.stringify(uiConfig(settings)),
        flags: launchFlags(settings),
        ...memoryInputs(settings, args.assembly),
        state: host.state,
        user: webui.user,
        password_secret: password,
      },
      // A bare box has none to write them with before.
      [python.resource],
      { secret: true },
    );
    this.vram = config.facts.apply(({ vram }) => String(vram ?? "full"));
    const service = host.step(
      "service",
      "80-service.sh",
      {
        manager: settings.host.serviceManager,
        supervisor_lock: locked.supervisorLock,
        pypi: upstreams.pypi,
        huggingface: upstreams.huggingface,
        ...inside,
        gate: gate ? "yes" : "no",
        // What it runs: another text of any of these restarts it.
        config: pulumi.all([sources.version, wheels.version, config.version]).apply((versions) => versions.join(" ")),
        models: modelContents(args.assembly.models),
        ...proxyInputs(settings.host),
        ...startHook(settings),
      },
      [wheels.resource, config.resource, models.resource],
      { removeWithoutScript: endProcesses(host.host.workspace) },
    );
    const before = gate
      ? [createGate({ host, settings, assembly: args.assembly, gate, service: service.version }, [service.resource])]
      : [];
    this.ready = host.step(
      "ready",
      "90-ready.sh",
      {
        ...inside,
        timeout: settings.proof.timeout,
        model: checkpoint.file,
        // It was started anew: what its log says of that start is read before the proof waits for it.
        service: service.version,
        user: webui.user,
        password_secret: password,
      },
      [service.resource, ...before.map(({ resource }) => resource)],
      { secret: true },
    );
    this.version = pulumi
      .all([service.version, models.version, ...before.map(({ version }) => version), this.ready.version])
      .apply((versions) => versions.join(" "));
    this.registerOutputs({});
  }
}

/** Which content lies under which name; what a first download has yet to tell is not known. */
const modelContents = (models: readonly Model[]) => {
  const recorded = readRecorded(atelierHome());
  return models.map(
    (model) => `${modelFolders[model.kind]}/${model.file}\t${asRecorded(model, recorded).sha256 ?? "-"}`,
  );
};

/** A script that the platform runs when the box starts gets a line that starts the WebUI again. */
function startHook({ host }: Settings): { start_hook?: string } {
  return host.kind === "ssh" && host.startHook && host.startHook !== "none" ? { start_hook: host.startHook } : {};
}

/** Where people and the proof reach the WebUI: on the host itself through a tunnel, else where the platform maps its port to. */
export function webuiAddress(
  { webui, host: { kind } }: Settings,
  host: Host,
  mapped: pulumi.Output<string>,
): pulumi.Output<string> {
  if (webui.exposure === "tunnel") return pulumi.output(`http://127.0.0.1:${webui.port}`);
  if (webui.publicUrl) return pulumi.output(webui.publicUrl);
  // On this machine it answers where it listens, and nowhere else; another's own address may be none from here.
  const own = kind === "local" && webui.listen !== "0.0.0.0" ? webui.listen : undefined;
  return pulumi.all([mapped, host.address]).apply(([url, address]) => url || `http://${own ?? address}:${webui.port}`);
}

/** Ends what serves the WebUI from a workspace that was emptied: nothing else would, and the port would stay taken. */
function endProcesses(workspace: string): string {
  return `for p in /proc/[0-9]*; do if { tr "\\000" " " <"$p/cmdline"; } 2>/dev/null | grep -qF -e "${workspace}"/run/supervisord.conf -e "${workspace}"/bin/webui_start.py -e "${workspace}"/bin/gate.py; then kill "${"$"}{p#/proc/}"; fi; done; exit 0`;
}
