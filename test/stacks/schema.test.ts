import { readdirSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { difySchema } from "../../stacks/schema/dify.ts";
import { parseSettings, SettingsError } from "../../stacks/schema.ts";

function mistakes(raw: Record<string, unknown>): string[] {
  try {
    parseSettings(raw, "t");
  } catch (error) {
    if (error instanceof SettingsError) return error.mistakes;
    throw error;
  }
  return [];
}
const host = { kind: "ssh", address: "gpu.example.com", keyFile: "~/.ssh/id_ed25519" };

describe("settings", () => {
  it("names every mistake at once, with key, what was got and what is accepted", () => {
    const all = mistakes({
      host: { kind: "ssh", address: "a b", port: "x", password: "hunter2", keyFile: "k" },
      webui: { port: 99999, flags: ["--ckpt=x.ckpt", "zz"], gate: { foo: 1 } },
      models: ["a", { name: "x", file: "a.exe", sources: [] }],
      proof: { width: 65 },
      bogus: 1,
    });
    expect(all).toMatchInlineSnapshot(`
      [
        "atelier:host.address: got "a b"; accepted: a host name or address alone; port and user have settings of their own",
        "atelier:host.port: got "x"; accepted: a number",
        "atelier:host: accepted: exactly one of password, passwordFile, passwordEnv, key, keyFile, agent",
        "atelier:webui.port: got 99999; accepted: 65535 or less",
        "atelier:webui.gate.foo: not a setting; accepted: enabled, innerPort, queue, deadline, interrupt",
        "atelier:webui.flags.0: got "--ckpt=x.ckpt"; accepted: not by hand: --ckpt is set by webui.checkpoint (the flag silently switches back to its file at every refresh)",
        "atelier:webui.flags.1: got "zz"; accepted: a flag such as --no-half-vae",
        "atelier:models.1.file: got "a.exe"; accepted: a file name such as model.safetensors, of plain letters (a to z), digits, dots and dashes",
        "atelier:models.1.sources: got []; accepted: at least 1 of them",
        "atelier:proof.width: got 65; accepted: a multiple of 8",
        "atelier:bogus: not a setting; accepted: engine, host, webui, models, upstreams, sources, huggingfaceToken, proof, dify",
      ]
    `);
  });

  it("an address is a name, an IPv4 or an IPv6 one, without a port or a user", () => {
    const wrong = (address: string) => mistakes({ host: { ...host, address } }).length;
    for (const address of ["box", "127.0.0.1", "::1", "2001:db8::7", "fe80:0:0:0:0:0:0:1", "::ffff:1.2.3.4", "a_b.c-d"])
      expect(wrong(address), address).toBe(0);
    for (const address of ["127.0.0.1:22", "box:22", "root@box", "ssh -p 1 root@box", "[::1]", "ssh://box", "", ":"])
      expect(wrong(address), address).toBe(1);
  });

  it("never shows a secret in a mistake", () => {
    const all = mistakes({
      host: { ...host, keyFile: undefined, key: "not a key but s3cret", keyPassphrase: 12345 },
      huggingfaceToken: 98765,
    }).join("\n");
    expect(all).toContain("atelier:host.key: got a secret that does not fit");
    expect(all).toContain("atelier:host.keyPassphrase: got a secret that does not fit");
    expect(all).toContain("atelier:huggingfaceToken: got a secret that does not fit");
    expect(all).not.toMatch(/s3cret|12345|98765/);
  });

  it("takes no login in the address of an upstream or a model, and does not show it", () => {
    const upstream = "https://me:s3cret@pypi.example.com/simple";
    const sources = [{ url: "https://me:s3cret@example.com/x.ckpt" }];
    const all = mistakes({
      host,
      upstreams: { git: [upstream], pypi: ["default", upstream], docker: [upstream] },
      models: [{ name: "x", file: "x.ckpt", sources }],
    });
    expect(all).toHaveLength(4);
    for (const line of all) expect(line).toContain("accepted: an address without a login");
    expect(all.join("\n")).not.toContain("s3cret");
  });

  it("takes neither login nor query in the address of a site, and any number of slashes behind it", () => {
    const model = { provider: "ollama", name: "m", baseUrl: "http://llm/v1" };
    const login = { email: "a@example.com", passwordEnv: "P" };
    const all = mistakes({
      host,
      webui: { publicUrl: "https://me:s3cret@webui.example.com" },
      dify: { model, ...login, url: "https://me:s3cret@dify.example.com", webuiUrl: "http://me:s3cret@webui:8080" },
    });
    expect(all.join("\n")).not.toContain("s3cret");
    expect(all).toHaveLength(3);
    for (const line of all) expect(line).toContain("accepted: an address without a login");
    expect(mistakes({ host, dify: { model, ...login, url: "https://dify.example.com/?next=/apps" } })).toEqual([
      expect.stringMatching(/^atelier:dify\.url: .*accepted: an address without a query/),
    ]);
    const url = "https://dify.example.com/tools";
    expect(difySchema.parse({ model, ...login, url: `${url}//` }).url).toBe(url);
  });

  it("wants a host", () => {
    expect(mistakes({})).toEqual(["atelier:host: missing; accepted: an object"]);
    expect(mistakes({ host: { kind: "cloud" } })).toEqual(['atelier:host.kind: accepted: "ssh", "local", "docker"']);
    expect(mistakes({ host, webui: { listen: "localhost" } })).toEqual([
      'atelier:webui.listen: got "localhost"; accepted: an IPv4 address such as 0.0.0.0',
    ]);
  });

  it("wants exactly one way to log in", () => {
    expect(mistakes({ host: { kind: "ssh", address: "a" } })).toHaveLength(1);
    expect(mistakes({ host: { ...host, password: "x" } })).toHaveLength(1);
    expect(mistakes({ host })).toEqual([]);
    // No agent is no way.
    expect(mistakes({ host: { ...host, agent: false } })).toEqual([]);
    expect(mistakes({ host: { kind: "ssh", address: "a", agent: false } })).toHaveLength(1);
  });

  it.each(["/root/x y", "relative", "/root/it's", "/root/$HOME", "/"])("refuses the workspace %s", (workspace) => {
    expect(mistakes({ host: { ...host, workspace } })).toHaveLength(1);
  });

  const system =
    "/ /usr /etc /root /home /workspace /home/x /etc/atelier /usr/lib /var/lib /dev/shm /proc/x/y /root/../etc/x /a//b /root/./atelier";
  it.each(system.split(" "))("refuses %s, as workspace and as cache", (folder) => {
    for (const key of ["workspace", "cache"]) {
      const all = mistakes({ host: { ...host, [key]: folder } });
      expect(all).toHaveLength(1);
      if (folder !== "/") expect(all[0]).toMatch(/a folder .* of its own.* such as \/root\/atelier/);
    }
  });

  const own =
    "/root/atelier /root/autodl-tmp /home/x/atelier /workspace/atelier /mnt/disk /var/lib/atelier /dev/shm/a /opt/a";
  it.each(own.split(" "))("takes %s", (folder) => {
    expect(mistakes({ host: { ...host, workspace: folder, cache: folder } })).toEqual([]);
  });

  it("says its defaults once", () => {
    expect(parseSettings({ host }, "t")).toMatchObject({
      engine: "embedded",
      host: { port: 22, user: "root", workspace: "/root/atelier", gpu: "required" },
      webui: { port: 8080, exposure: "direct", user: "atelier", xformers: false },
      models: ["v1-5-pruned-emaonly", "v1-5-pruned-emaonly-ckpt"],
      upstreams: { profile: "direct" },
    });
  });

  const folder = resolve(import.meta.dirname, "../../stacks");
  it.each(readdirSync(folder).filter((file) => file.endsWith(".yaml")))("accepts the project's own %s", (file) => {
    const { config } = parse(readFileSync(resolve(folder, file), "utf8")) as { config: Record<string, unknown> };
    const raw = Object.fromEntries(Object.entries(config).map(([key, value]) => [key.replace("atelier:", ""), value]));
    expect(mistakes(raw)).toEqual([]);
  });
});
