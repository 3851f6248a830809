import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { difyPlugins } from "../../../images/dify.ts";
import type { AtelierLock } from "../../../images/lock.ts";
import { type DifyFacts, type DifyTarget, difyTarget } from "../../../stacks/dify/target.ts";
import { parseSettings, SettingsError } from "../../../stacks/schema.ts";

const folder = mkdtempSync(join(tmpdir(), "atelier-dify-target-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const checksum = "76feba79a09357673e1ebe24f1ec98123062d3f3198abe08551804def1fcd020";
const lock: AtelierLock["dify"] = {
  images: { "redis:6-alpine": `sha256:${"a".repeat(64)}` },
  plugins: Object.fromEntries(
    Object.values(difyPlugins).map(({ id, version }) => [id, { version, identifier: `${id}:${version}@${checksum}` }]),
  ),
};
const box = { kind: "ssh", address: "gpu.example.com", keyFile: "k" };
const model = { provider: "tongyi", apiKey: "sk-1" };

function resolve(
  dify: object,
  more: {
    host?: object;
    webui?: object;
    lock?: AtelierLock["dify"];
    facts?: DifyFacts;
    profile?: string;
    bundled?: boolean;
  } = {},
): { target: DifyTarget | undefined; mistakes: string[] } {
  const { host = box, webui = {}, profile = "direct" } = more;
  const raw = { host, webui, upstreams: { profile }, dify: { ...(profile === "rehearsal" ? {} : { model }), ...dify } };
  let settings: ReturnType<typeof parseSettings>;
  try {
    settings = parseSettings(raw, "t");
  } catch (error) {
    if (error instanceof SettingsError) return { target: undefined, mistakes: error.mistakes };
    throw error;
  }
  const mistakes: string[] = [];
  const sources = { settings: { ...settings, dify: settings.dify! }, lock: more.lock ?? lock, facts: more.facts };
  return { target: difyTarget({ ...sources, bundled: more.bundled ?? false }, mistakes), mistakes };
}

describe("the settings of a Dify", () => {
  it("are told with every mistake at once, and no secret in them", () => {
    const { mistakes } = resolve({
      password: "hunter22",
      passwordEnv: "ATELIER_T_PASSWORD",
      docker: { host: "tcp://10.0.0.5:2376" },
      model: { provider: "tongyi", apiKey: "sk-one", apiKeyEnv: "TWO" },
      plugins: { folder: "" },
      apps: { agent: "" },
      bogus: 1,
    });
    expect(mistakes.join("\n")).not.toMatch(/hunter22|sk-one/);
    expect(mistakes).toEqual([
      'atelier:dify.plugins.folder: got ""; accepted: 1 or more',
      "atelier:dify.model: accepted: exactly one of apiKey (a secret), apiKeyEnv",
      'atelier:dify.apps.agent: got ""; accepted: 1 or more',
      expect.stringMatching(/^atelier:dify\.bogus: not a setting; accepted: url, email, password, /),
      "atelier:dify: accepted: at most one of password (a secret), passwordEnv; without them the password of a Dify that is made here is generated",
      "atelier:dify.docker.host: accepted: tcp:// with docker.certPath: without TLS an engine gives root to anyone who reaches it",
    ]);
    expect(resolve({ url: "http://dify.example.com" }).mistakes).toEqual([
      "atelier:dify: accepted: beside url the login of its admin: email, and exactly one of password (a secret), passwordEnv",
    ]);
    expect(resolve({ model: undefined }).mistakes).toEqual([
      "atelier:dify.model: accepted: an object with its provider: openai_api_compatible, tongyi, zhipuai or ollama",
    ]);
  });

  it("tell the admin's password of a Dify that is made here, where it was changed", () => {
    process.env.ATELIER_T_PASSWORD = "chang3d-there";
    expect(resolve({}).target?.password).toBeUndefined();
    expect(resolve({ passwordEnv: "ATELIER_T_PASSWORD" }).target).toMatchObject({
      password: "chang3d-there",
      standing: undefined,
    });
    delete process.env.ATELIER_T_PASSWORD;
  });

  it("take what lies beside them: variables, certificates, packages, all missing ones at once", () => {
    delete process.env.ATELIER_T_KEY;
    delete process.env.ATELIER_T_PASSWORD;
    const { mistakes } = resolve({
      url: "http://dify.example.com",
      passwordEnv: "ATELIER_T_PASSWORD",
      model: { provider: "tongyi", apiKeyEnv: "ATELIER_T_KEY" },
      docker: { host: "tcp://10.0.0.5:2376", certPath: join(folder, "nowhere") },
      plugins: { folder, publicKey: join(folder, "none.pem") },
    });
    expect(mistakes.map((line) => line.replaceAll(folder, "<dir>"))).toEqual([
      "atelier:dify.passwordEnv: the environment has no ATELIER_T_PASSWORD; set it, or write a secret",
      "atelier:dify.model.apiKeyEnv: the environment has no ATELIER_T_KEY; set it, or write a secret",
      "atelier:dify.plugins.folder: <dir> has no package of langgenius/stablediffusion 0.0.7 (langgenius-stablediffusion_0.0.7.difypkg); it has none at all",
      "atelier:dify.plugins.folder: <dir> has no package of langgenius/tongyi 0.2.13 (langgenius-tongyi_0.2.13.difypkg); it has none at all",
      "atelier:dify.plugins.publicKey: <dir>/none.pem can't be read (ENOENT)",
      "atelier:dify.docker.certPath: <dir>/nowhere/ca.pem can't be read (ENOENT)",
      "atelier:dify.docker.certPath: <dir>/nowhere/cert.pem can't be read (ENOENT)",
      "atelier:dify.docker.certPath: <dir>/nowhere/key.pem can't be read (ENOENT)",
    ]);

    for (const name of ["stablediffusion_0.0.7", "tongyi_0.2.13", "tongyi_0.2.14"])
      writeFileSync(join(folder, `langgenius-${name}.difypkg`), name);
    process.env.ATELIER_T_KEY = "sk-of-the-variable";
    const whole = resolve({ model: { provider: "tongyi", apiKeyEnv: "ATELIER_T_KEY" }, plugins: { folder } });
    expect(whole.mistakes).toEqual([]);
    expect(whole.target).toMatchObject({
      modelKey: "sk-of-the-variable",
      plugins: {
        tool: { package: join(folder, "langgenius-stablediffusion_0.0.7.difypkg") },
        model: { package: join(folder, "langgenius-tongyi_0.2.13.difypkg") },
      },
    });
  });

  it("pin images by digest and plugins by identifier where the lock has them; what it has computed is asked for", () => {
    const { target } = resolve({});
    expect(target?.images.redis).toBe(`redis:6-alpine@sha256:${"a".repeat(64)}`);
    expect(target?.images.api).toBe("langgenius/dify-api:1.14.2");
    expect(target?.tunnelBase).toBe("alpine:3.21");
    expect(target?.plugins.tool.identifier).toBe(`langgenius/stablediffusion:0.0.7@${checksum}`);

    const tool = {
      version: "0.0.7",
      identifier: `langgenius/stablediffusion:0.0.7@${checksum}`,
      computed: true as const,
    };
    const old = { version: "0.1.0", identifier: `langgenius/tongyi:0.1.0@${checksum}` };
    const plugins = { "langgenius/stablediffusion": tool, "langgenius/tongyi": old };
    const partly = resolve({ marketplace: "https://m.example.com/" }, { lock: { images: {}, plugins } });
    const marketplace = "https://m.example.com";
    expect(partly.mistakes).toEqual([]);
    expect(partly.target?.plugins).toEqual({
      tool: { id: "langgenius/stablediffusion", version: "0.0.7", computed: tool.identifier, marketplace },
      model: { id: "langgenius/tongyi", version: "0.2.13", marketplace },
    });
  });

  it("hold packages of a folder to the lock, but not those that somebody else packed", () => {
    const packed = (more: object) => resolve({ plugins: { folder, ...more } }).target?.plugins.tool;
    expect(packed({})).toMatchObject({ identifier: `langgenius/stablediffusion:0.0.7@${checksum}` });
    expect(packed({ unsigned: true })).toEqual({
      id: "langgenius/stablediffusion",
      version: "0.0.7",
      package: join(folder, "langgenius-stablediffusion_0.0.7.difypkg"),
    });
  });

  it("of a bundle want no package beside it", () => {
    const { target, mistakes } = resolve({ plugins: { folder: "/nowhere" } }, { bundled: true });
    expect(mistakes).toEqual([]);
    expect(target?.plugins.tool).toEqual({
      id: difyPlugins.tool.id,
      version: difyPlugins.tool.version,
      identifier: `langgenius/stablediffusion:0.0.7@${checksum}`,
    });
  });

  it("are published where this machine reaches them: on loopback here, on every address of another Docker host", () => {
    const listen = (dify: object) => {
      const { target, mistakes } = resolve(dify);
      return target ? target.settings.listen : mistakes;
    };
    const there = { docker: { host: "ssh://root@docker.example.com:2022" } };
    const behind = { publicUrl: "https://dify.example.com" };
    expect(listen({})).toBe("127.0.0.1");
    expect(listen({ docker: { host: "ssh://root@127.0.0.1:2022" } })).toBe("127.0.0.1");
    expect(listen(there)).toBe("0.0.0.0");
    expect(listen({ ...there, listen: "192.0.2.7" })).toBe("192.0.2.7");
    expect(listen({ ...there, listen: "127.0.0.1" })).toEqual([
      "atelier:dify.listen: accepted: with docker.host elsewhere an address that is reached from here; a loopback only beside publicUrl",
    ]);
    expect(listen({ ...there, ...behind, listen: "127.0.0.1" })).toBe("127.0.0.1");
    // 127.0.0.1 in a picture's link is the reader's own machine.
    expect(listen({ listen: "0.0.0.0" })).toEqual([
      "atelier:dify.publicUrl: accepted: the address that others use, beside listen 0.0.0.0: links of pictures begin with it, and 127.0.0.1 is theirs",
    ]);
    expect(listen({ listen: "0.0.0.0", ...behind })).toBe("0.0.0.0");
    expect(listen({ listen: "192.0.2.7" })).toBe("192.0.2.7");
  });

  it("of a rehearsal are the stand-in's", () => {
    const facts: DifyFacts = {
      kind: "process",
      url: "http://127.0.0.1:4",
      email: "a@example.com",
      password: "p",
      initPassword: "i",
      model: { provider: "ollama", name: "m", baseUrl: "http://127.0.0.1:5", maxTokens: 4096, contextSize: 4096 },
      plugins: { "langgenius/stablediffusion": "/a", "langgenius/ollama": "/b" },
    };
    const rehearsal = { host: { kind: "local" }, profile: "rehearsal", facts };
    const { target, mistakes } = resolve({}, rehearsal);
    const changed = resolve({ password: "chang3d-there" }, rehearsal).target?.standing;
    expect([target?.standing?.password, changed?.password, changed?.own]).toEqual(["p", "chang3d-there", true]);
    expect(mistakes).toEqual([]);
    expect(target).toMatchObject({
      standing: { url: "http://127.0.0.1:4", own: true, initPassword: "i" },
      settings: { model: { name: "m" } },
      plugins: { model: { package: "/b" } },
      reach: { way: "address" },
    });
  });
});

describe("the way from Dify's containers to the WebUI", () => {
  const far = { docker: { host: "ssh://root@docker.example.com" } };
  it.each([
    ["a box with an open port", {}, {}, { way: "address" }],
    ["a box whose port a platform maps", {}, { webui: { publicUrl: "https://x.example.com:1" } }, { way: "address" }],
    [
      "a box whose WebUI listens on loopback",
      {},
      { webui: { exposure: "tunnel" } },
      { way: "tunnel", network: "dify" },
    ],
    ["a tunnel by choice", { webui: "tunnel" }, {}, { way: "tunnel", network: "dify" }],
    ["this machine", {}, { host: { kind: "local" } }, { way: "host" }],
    [
      "this machine's loopback",
      {},
      { host: { kind: "local" }, webui: { listen: "127.0.0.1" } },
      { way: "tunnel", network: "host" },
    ],
    [
      "the Docker host's own loopback",
      { docker: { host: "ssh://root@gpu.example.com" } },
      { webui: { exposure: "tunnel" } },
      { way: "tunnel", network: "host" },
    ],
    [
      "an address of one's own",
      { webuiUrl: "http://10.0.0.7:80/" },
      { host: { kind: "local" } },
      { way: "url", url: "http://10.0.0.7:80" },
    ],
    ["a Dify elsewhere", { url: "https://dify.example.com", password: "password1" }, {}, { way: "address" }],
  ])("%s", (_, dify, more, reach) => {
    expect(resolve(dify, more)).toMatchObject({ mistakes: [], target: { reach } });
  });

  it.each([
    [
      "direct to a loopback",
      { webui: "direct" },
      { webui: { exposure: "tunnel" } },
      /atelier:dify\.webui: got "direct", but the WebUI listens on its host's loopback only/,
    ],
    [
      "from another machine to this one",
      far,
      { host: { kind: "local" } },
      /atelier:dify\.docker\.host: the WebUI is on this machine/,
    ],
    [
      "a tunnel with an agent",
      { webui: "tunnel" },
      { host: { kind: "ssh", address: "a", agent: true } },
      /atelier:dify\.webui: .*SSH agent/,
    ],
    [
      "a Dify elsewhere to a loopback",
      { url: "https://dify.example.com", password: "password1" },
      { webui: { exposure: "tunnel" } },
      /loopback only/,
    ],
  ])("refuses %s", (_, dify, more, why) => {
    const { mistakes } = resolve(dify, more);
    expect(mistakes).toEqual([expect.stringMatching(why)]);
    expect(mistakes[0]).toContain("dify.webuiUrl");
  });
});
