import { spawn } from "node:child_process";
import { cpSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { withModel } from "../../scripts/cli/models/add.ts";
import { readAddress } from "../../scripts/cli/models/address.ts";
import { published } from "../../scripts/cli/models/hub.ts";
import { modelSchema } from "../../stacks/schema/models.ts";
import { asBox, noSshd, type Sshd, startSshd } from "../helpers/sshd.ts";
import { type FileServer, honest, safetensors, serving } from "../host/lib/server.ts";
import { collect, render } from "../host/lib/workspace.ts";
import { Clone } from "./clone.ts";

describe("an address of a model", () => {
  it.each([
    ["model.safetensors", "not an address"],
    ["ftp://example.com/a.safetensors", "not an http address"],
    ["https://me:secret@example.com/a.safetensors", "it holds a login"],
    ["https://civitai.com/api/download/models/1?token=abc", "its `token` is a secret"],
    ["https://huggingface.co/gsdf/Counterfeit-V3.0", "the page of a repository: open its files"],
    ["https://huggingface.co/gsdf/Counterfeit-V3.0/tree/main", "/gsdf/Counterfeit-V3.0/blob/main/model.safetensors"],
    ["https://huggingface.co/datasets/a/b/resolve/main/x.safetensors", "a data set or a space"],
    ["https://huggingface.co/a/b/resolve/main/README.md", "`README.md` is no model"],
    ["https://modelscope.cn/models/a/b/summary", "the page of a repository"],
    ["https://huggingface.co/a/b/resolve/main/100%.safetensors", "a `%` in it begins no escaped letter"],
  ])("%s is refused", (address, why) => {
    expect(() => readAddress(address)).toThrow(why);
  });

  const file = "a/b/resolve/main/sub/x.safetensors";
  it.each([
    ["https://me:hunter22@example.com/a.safetensors", "https://example.com/a.safetensors: it holds a login"],
    ["https://example.com/a.ckpt?auth=hunter22", "https://example.com/a.ckpt: its `auth` is a secret"],
  ])("%s is refused without its secret being said", (address, why) => {
    expect(() => readAddress(address)).toThrow(why);
    expect(() => readAddress(address)).not.toThrow("hunter22");
  });

  it.each([
    [
      "https://huggingface.co/a/b/resolve/main/my%20model.safetensors",
      { huggingface: "a/b/resolve/main/my%20model.safetensors" },
      "my model.safetensors",
    ],
    ["https://hf-mirror.com/a/b/blob/main/图.ckpt", { huggingface: "a/b/resolve/main/%E5%9B%BE.ckpt" }, "图.ckpt"],
    [
      "https://www.modelscope.cn/models/a/b/file/view/master?fileName=sub%252Fmy%20x.pt&status=2",
      { modelscope: "a/b/resolve/master/sub/my%20x.pt" },
      "my x.pt",
    ],
    [
      "https://modelscope.cn/models/a/b/file/view/master?fileName=100%25.pt",
      { modelscope: "a/b/resolve/master/100%25.pt" },
      "100%.pt",
    ],
    ["https://example.com/my x.pth", { url: "https://example.com/my%20x.pth" }, "my x.pth"],
  ])("%s keeps its escapes: the host's list of addresses is one of words", (address, source, file) => {
    expect(readAddress(address)).toEqual({ source, file });
    expect(modelSchema.shape.sources.safeParse([source]).success).toBe(true);
  });

  it("with a space in it is a mistake of the settings", () => {
    for (const key of ["huggingface", "modelscope", "url"])
      expect(modelSchema.shape.sources.safeParse([{ [key]: "https://example.com/a b.ckpt" }]).success, key).toBe(false);
  });

  it.each([
    ["https://huggingface.co/a/b/resolve/main/sub/x.safetensors?download=true", { huggingface: file }],
    ["https://huggingface.co/a/b/blob/main/sub/x.safetensors", { huggingface: file }],
    [
      "https://huggingface.co/a/b/blob/refs%2Fpr%2F1/x.safetensors",
      { huggingface: "a/b/resolve/refs%2Fpr%2F1/x.safetensors" },
    ],
    [
      "https://modelscope.cn/models/a/b/file/view/v1?fileName=sub%2Fx.safetensors&status=2",
      { modelscope: "a/b/resolve/v1/sub/x.safetensors" },
    ],
    ["https://hf-mirror.com/a/b/resolve/1a2b3c/x.safetensors", { huggingface: "a/b/resolve/1a2b3c/x.safetensors" }],
    ["https://modelscope.cn/models/a/b/resolve/v1.0/x.safetensors", { modelscope: "a/b/resolve/v1.0/x.safetensors" }],
    [
      "https://www.modelscope.cn/models/a/b/file/view/master/sub%2Fx.safetensors?status=2",
      { modelscope: "a/b/resolve/master/sub/x.safetensors" },
    ],
    [
      "https://modelscope.cn/api/v1/models/a/b/repo?Revision=v2&FilePath=sub/x.safetensors",
      { modelscope: "a/b/resolve/v2/sub/x.safetensors" },
    ],
    ["https://example.com/files/x.safetensors", { url: "https://example.com/files/x.safetensors" }],
  ])("%s is understood", (address, source) => {
    expect(readAddress(address)).toEqual({ source, file: "x.safetensors" });
  });
});

describe("settings with one more model", () => {
  const entry = {
    name: "mine",
    kind: "lora" as const,
    file: "mine.safetensors",
    sources: [{ url: "https://example.com/mine.safetensors" }],
  };
  it("names twice are refused, files twice too, and what would not be valid", () => {
    const text = withModel("config: {}\n", "t", entry);
    expect(() => withModel(text, "t", entry)).toThrow("has a model `mine` already");
    expect(() => withModel(text, "t", { ...entry, name: "other" })).toThrow(
      "has a model with the file mine.safetensors already (`mine`)",
    );
    expect(() => withModel("config: {}\n", "t", "v1-5-pruned-emaonly")).toThrow("already");
    expect(() => withModel("config: {}\n", "t", { ...entry, file: "mine.txt" })).toThrow("atelier:models");
  });

  it("keep their comments; the default models are written out first", () => {
    const before = "# A box.\nconfig:\n  atelier:host:\n    kind: local # here\n";
    expect(withModel(before, "t", entry)).toBe(`${before}  atelier:models:
    - v1-5-pruned-emaonly
    - v1-5-pruned-emaonly-ckpt
    - name: mine
      kind: lora
      file: mine.safetensors
      sources:
        - url: https://example.com/mine.safetensors
`);
    const flow = "config:\n  # ours\n  atelier:models: [sd-xl-base-1.0]\n";
    expect(withModel(flow, "t", "vae-ft-mse-840000")).toBe(
      "config:\n  # ours\n  atelier:models:\n    - sd-xl-base-1.0\n    - vae-ft-mse-840000\n",
    );
  });
});

it("a hub tells sha256 and length; one that does not answer, or does not know, is no error", async () => {
  const sha256 = "ab".repeat(32);
  const server = createServer((request, response) => {
    if (request.url === "/hf/a/b/resolve/main/x.safetensors")
      response
        .writeHead(302, { location: "http://127.0.0.1:1/", "x-linked-etag": `"${sha256}"`, "x-linked-size": "42" })
        .end();
    else if (request.url?.startsWith("/api/v1/models/a/b/repo/files?"))
      response.end(JSON.stringify({ Data: { Files: [{ Path: "x.safetensors", Size: 42, Sha256: sha256 }] } }));
    else response.writeHead(404).end();
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const upstreams = { huggingface: ["http://127.0.0.1:1/", `${base}hf/`], modelscope: [`${base}models/`] };
  try {
    const told = { bytes: 42, sha256, by: new URL(base).host };
    expect(await published({ huggingface: "a/b/resolve/main/x.safetensors" }, upstreams)).toEqual(told);
    expect(await published({ modelscope: "a/b/resolve/main/x.safetensors" }, upstreams)).toEqual(told);
    expect(await published({ huggingface: "a/b/resolve/main/y.safetensors" }, upstreams)).toBe(undefined);
    expect(await published({ modelscope: "a/b/resolve/main/y.safetensors" }, upstreams)).toBe(undefined);
    expect(await published({ url: `${base}hf/` }, upstreams)).toBe(undefined);
  } finally {
    server.close();
  }
});

describe.skipIf(noSshd)(`on a host (${noSshd ?? "sshd is there"})`, () => {
  let clone: Clone;
  let sshd: Sshd;
  const serve = serving();
  let server: FileServer;
  const content = safetensors(40_000);
  const inputs = () => ({
    atelier: 1,
    script: "0",
    token: "t",
    workspace: workspace(),
    cache: join(sshd.dir, "cache"),
  });
  const workspace = () => join(sshd.dir, "ws");

  /** `npx atelier models …`, without the bootstrap: the packages are this checkout's. */
  const atelier = (...args: string[]) => {
    const main = JSON.stringify(pathToFileURL(join(clone.dir, "scripts/cli/main.ts")).href);
    const start = `import(${main}).then(({ main }) => main(process.argv.slice(1))).then((code) => { process.exitCode = code; })`;
    return collect(
      spawn(process.execPath, ["-e", start, "--", "models", ...args, "--stack", "t"], {
        cwd: clone.dir,
        env: { PATH: process.env.PATH, HOME: sshd.dir, ATELIER_HOME: clone.home, NO_COLOR: "1" },
        stdio: ["ignore", "pipe", "pipe"],
      }),
    );
  };
  const models = (names: string[]) =>
    collect(
      (() => {
        const child = spawn("sh", [join(workspace(), "bin/60-models.sh"), "apply"], {
          stdio: ["pipe", "pipe", "pipe"],
        });
        const lines = names.map((name) => [
          name,
          "lora",
          "Lora",
          `${name}.safetensors`,
          content.length,
          "-",
          `${server.base}${name}`,
        ]);
        child.stdin.end(render({ ...inputs(), models: lines }));
        return child;
      })(),
    );

  beforeAll(async () => {
    sshd = await startSshd();
    server = await serve(honest(content));
    clone = new Clone();
    const host = { ...asBox(sshd), workspace: workspace(), cache: join(sshd.dir, "cache") };
    clone.settings("t", { host });
  });
  afterAll(async () => {
    clone?.remove();
    await sshd?.stop();
  });

  it("without a workspace, says what to do first", async () => {
    const { code, stderr } = await atelier("verify");
    expect(code).toBe(1);
    expect(stderr).toContain("bin/store.sh: the stack was never brought up there");
  });

  it("add writes the settings, after the hub was asked; without a terminal the kind has to be said", async () => {
    const before = await atelier("add", `${server.base}a.safetensors`);
    expect(before.code).toBe(2);
    expect(before.stderr).toContain("What kind of model is it? Its address looks like: --kind checkpoint");
    const { code, stdout, stderr } = await atelier(
      "add",
      `${server.base}a.safetensors`,
      "--kind",
      "lora",
      "--licence",
      "MIT",
      "--json",
    );
    expect(code, stderr).toBe(0);
    const entry = {
      name: "a",
      kind: "lora",
      file: "a.safetensors",
      licence: "MIT",
      sources: [{ url: `${server.base}a.safetensors` }],
    };
    expect(JSON.parse(stdout)).toMatchObject({ entry, written: true });
    const list = await atelier("list", "--json");
    const rows = JSON.parse(list.stdout).models as { name: string; wanted: boolean; sha256From: string }[];
    expect(rows.filter(({ wanted }) => wanted).map(({ name, sha256From }) => [name, sha256From])).toEqual([
      ["v1-5-pruned-emaonly", "entry"],
      ["v1-5-pruned-emaonly-ckpt", "entry"],
      ["a", "unknown"],
    ]);
    expect((await atelier("add", `${server.base}a.safetensors`, "--kind", "lora")).stderr).toContain(
      "has a model `a` already",
    );
  });

  it("add gives the file a name that the WebUI may have, or asks for one; a sha256 in capitals is one", async () => {
    const spaced = [`${server.base}my%20x%20(1).safetensors`, "--kind", "lora", "--sha256", "AB".repeat(32), "--print"];
    const { code, stdout, stderr } = await atelier("add", ...spaced, "--json");
    expect(code, stderr).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      entry: {
        file: "my-x-1-.safetensors",
        sha256: "ab".repeat(32),
        sources: [{ url: `${server.base}my%20x%20(1).safetensors` }],
      },
      written: false,
    });
    const unnamed = await atelier("add", `${server.base}130072?type=Model`, "--kind", "lora");
    expect([unnamed.code, unnamed.stderr]).toEqual([2, expect.stringContaining("--as <name>.safetensors")]);
    const address = (name: string) => `${server.base}${encodeURIComponent(name)}`;
    const chinese = await atelier("add", address("水墨.safetensors"), "--kind", "lora", "--print");
    expect([chinese.code, chinese.stderr]).toEqual([
      2,
      expect.stringContaining("of `水墨.safetensors` nothing is left"),
    ]);
    const half = await atelier("add", address("水墨 v2.safetensors"), "--kind", "lora", "--print", "--json");
    expect(half.stderr).toContain("`水墨 v2.safetensors` will be `v2.safetensors` in the WebUI; --as");
    expect(JSON.parse(half.stdout).entry).toMatchObject({ name: "v2", file: "v2.safetensors" });
  });

  it("verify names what is missing; prune asks, and takes what no stack names", async () => {
    mkdirSync(workspace(), { recursive: true });
    cpSync(resolve(import.meta.dirname, "../../scripts/host"), join(workspace(), "bin"), { recursive: true });
    const applied = await models(["a", "b"]);
    expect(applied.code, applied.stderr).toBe(0);
    const sha256 = (applied.facts.recorded as Record<string, { sha256: string }>).a?.sha256 ?? "";
    // As the end of an update would have it.
    writeFileSync(join(clone.home, "recorded.json"), JSON.stringify({ models: applied.facts.recorded }));
    const whole = await atelier("verify", "--json");
    expect(whole.code, whole.stderr).toBe(1);
    expect(
      JSON.parse(whole.stdout).models.map(({ name, state }: { name: string; state: string }) => [name, state]),
    ).toEqual([
      ["v1-5-pruned-emaonly", "missing"],
      ["v1-5-pruned-emaonly-ckpt", "missing"],
      ["a", "whole"],
    ]);
    await models([]);
    const refused = await atelier("prune");
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain("add --yes");
    expect(existsSync(join(sshd.dir, "cache/sha256", sha256))).toBe(true);
    const pruned = await atelier("prune", "--yes", "--json");
    expect(pruned.code, pruned.stderr).toBe(0);
    expect(JSON.parse(pruned.stdout).removed).toEqual([{ sha256, bytes: content.length }]);
    expect(existsSync(join(sshd.dir, "cache/sha256", sha256))).toBe(false);
  });
});
