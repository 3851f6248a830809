import * as pulumi from "@pulumi/pulumi";
import { assemble } from "../../stacks/assembly.ts";
import { GpuHost } from "../../stacks/host.ts";
import { createModels } from "../../stacks/models.ts";
import { parseSettings } from "../../stacks/schema.ts";
import type { Host } from "../../stacks/settings.ts";
import { Webui, webuiSteps } from "../../stacks/webui.ts";

interface Registration {
  getName(): string;
  getDependenciesList(): string[];
}

// Prints what the steps of the host get on their standard input, by name, and what each waits for, for each of the settings that stand in
// the arguments.
// In a process of its own, for a test runner has rewritten the functions that go into the state.
const all: { stdins: Record<string, string>; after: Record<string, string[]> }[] = [];
for (const given of process.argv.slice(2)) {
  const stdins: Record<string, string> = {};
  const after: Record<string, string[]> = {};
  await pulumi.runtime.setMocks({
    newResource: ({ name, inputs }) => {
      // A secret stands in an envelope.
      if (inputs.stdin) stdins[name] = inputs.stdin.value ?? inputs.stdin;
      return { id: name, state: { ...inputs, stdout: `{"step":"${name}"}`, tokens: {} } };
    },
    call: () => ({}),
  });
  const monitor = pulumi.runtime.getMonitor() as unknown as {
    registerResource: (request: Registration, ...rest: unknown[]) => void;
  };
  const register = monitor.registerResource.bind(monitor);
  monitor.registerResource = (request, ...rest) => {
    after[request.getName()] = request.getDependenciesList().map((urn) => urn.replace(/.*::/, ""));
    register(request, ...rest);
  };
  const settings = parseSettings(JSON.parse(given), "t");
  const assembly = assemble("t", settings, undefined);
  const place = {
    address: "127.0.0.1",
    port: 22,
    user: "root",
    hostKey: "ssh-ed25519 A",
    workspace: "/w/w",
    cache: "/w/c",
  };
  const password = pulumi.output("p");
  const args = { host: place as Host, settings: settings.host, assembly, steps: webuiSteps(assembly), password };
  const host = new GpuHost("host", args);
  new Webui("webui", { host, settings, assembly, models: createModels(host, settings, assembly), password });
  await pulumi.runtime.disconnect();
  all.push({ stdins, after });
}
console.log(JSON.stringify(all));
