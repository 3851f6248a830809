import { expect, it } from "vitest";
import { directHosts } from "../../../stacks/dify/direct.ts";
import { squidConf } from "../../../stacks/dify/texts.ts";
import type { DifyModel } from "../../../stacks/schema/dify.ts";

const ollama = (baseUrl: string): DifyModel => ({
  provider: "ollama",
  name: "m",
  baseUrl,
  maxTokens: 4096,
  contextSize: 4096,
});
const hosts = (model: DifyModel) => directHosts("192.0.2.7", model, ["172.18.0.0/16"]).split(",");

it("no proxy stands before what is inside, the WebUI, and a language model of one's own network", () => {
  const inside = ["localhost", "127.0.0.1", "api", "db", "redis", "plugin_daemon", "172.18.0.0/16", "192.0.2.7"];
  expect(hosts(ollama("https://llm.example.com/v1"))).toEqual(expect.arrayContaining(inside));
  for (const own of ["10.0.0.5", "172.16.3.4", "192.168.1.9", "100.100.0.1", "ollama", "gpu.lan", "[fd00::5]"])
    expect([own, hosts(ollama(`http://${own}:11434`)).at(-1)]).toEqual([own, own]);
  for (const other of ["llm.example.com", "8.8.8.8", "172.32.0.1", "[2001:db8::1]"])
    expect(hosts(ollama(`http://${other}:11434`))).not.toContain(other);
  expect(hosts({ provider: "tongyi", name: "q", maxTokens: 4096, international: false })).toEqual(
    expect.arrayContaining(inside),
  );
});

it("what code and HTTP nodes ask goes on to the proxy, but what is near, and it is told nothing else", () => {
  const told = squidConf("http://ann:p%40ss@proxy.example.com:8080").split("\n");
  expect(told).toEqual(
    expect.arrayContaining([
      "cache_peer proxy.example.com parent 8080 0 no-query no-digest no-netdb-exchange default login=ann:p@ss",
      "always_direct allow local",
      "never_direct allow all",
      "dns_timeout 5 seconds",
    ]),
  );
  expect(squidConf(undefined)).not.toMatch(/cache_peer|never_direct|dns_timeout/);
});
