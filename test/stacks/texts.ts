import * as pulumi from "@pulumi/pulumi";
import { EngineFacts } from "../../stacks/dify/engine.ts";
import { DifyFacts } from "../../stacks/dify/facts.ts";
import { DockerFacts } from "../../stacks/docker/facts.ts";
import { SshKey } from "../../stacks/docker/keys.ts";
import { HostFacts } from "../../stacks/facts.ts";
import { Password } from "../../stacks/password.ts";

// Prints what the dynamic resources put into the state as their providers, by name: in a process of its own, for a test runner has
// rewritten the functions.
const texts: Record<string, string> = {};
await pulumi.runtime.setMocks({
  newResource: ({ name, inputs }) => {
    texts[name] = inputs.__provider;
    return { id: name, state: inputs };
  },
  call: () => ({}),
});
const engine = { host: "unix:///nowhere" };
const host = { address: "127.0.0.1", port: 22, user: "root", hostKey: "ssh-ed25519 A", workspace: "/w" };
new HostFacts("host", { host: host as never, steps: [] });
new Password("password", { length: 3 });
new SshKey("key", "of a test");
new DockerFacts("docker", { engine, container: "c", image: "", volume: "", fingerprint: pulumi.output("f") });
new DifyFacts("dify", { dify: {}, own: false, items: {} });
new EngineFacts(
  "engine",
  {
    engine,
    owner: "o",
    fingerprint: "f",
    containers: [],
    networks: [],
    joins: {},
    volumes: {},
    images: {},
    mirrors: [],
    offline: false,
    plugins: [],
  },
  {},
);
await pulumi.runtime.disconnect();
console.log(JSON.stringify(texts));
