import type * as pulumi from "@pulumi/pulumi";
import type { Assembly } from "./assembly.ts";
import type { GpuHost } from "./host.ts";
import { proxyInputs } from "./inputs.ts";
import type { Gate } from "./schema/gate.ts";
import type { Settings } from "./schema.ts";
import type { Step } from "./step.ts";

export interface GateArgs {
  host: GpuHost;
  settings: Settings;
  assembly: Assembly;
  gate: Gate;
  /** Changes with the password, and with whatever else the service is started anew for: its manager runs the gate, too. */
  service: pulumi.Input<string>;
}

/** The reverse proxy before the WebUI: it listens where people reach it. The WebUI must have left that port already. */
export function createGate({ host, settings, assembly, gate, service }: GateArgs, dependsOn: pulumi.Resource[]): Step {
  return host.step(
    "gate",
    "85-gate.sh",
    {
      listen: assembly.listen,
      port: settings.webui.port,
      inner_port: gate.innerPort,
      queue: gate.queue,
      deadline: gate.deadline,
      interrupt: gate.interrupt ? "yes" : "no",
      manager: settings.host.serviceManager,
      gate_lock: assembly.wheels.gateLock,
      pypi: assembly.upstreams.pypi,
      service,
      ...proxyInputs(settings.host),
    },
    dependsOn,
    { removeWithoutScript: endProcesses(host.host.workspace) },
  );
}

/** Ends a gate whose workspace was emptied: nothing else would, and the port would stay taken. */
function endProcesses(workspace: string): string {
  return `for p in /proc/[0-9]*; do if { tr "\\000" " " <"$p/cmdline"; } 2>/dev/null | grep -qF -e "${workspace}"/bin/gate.py; then kill "${"$"}{p#/proc/}"; fi; done; exit 0`;
}
