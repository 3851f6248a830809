import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type FileServer, honest, safetensors, serving } from "./lib/server.ts";
import { Workspace } from "./lib/workspace.ts";

/** Says how it would fetch: the proxy, and which hosts go without. */
const step = `#!/bin/sh
. "$(dirname "$0")/lib.sh"
step_apply() { fact proxy "\${https_proxy:-}"; fact direct "$no_proxy"; fact ca "\${SSL_CERT_FILE:-}"; }
step_check() { :; }
step_remove() { :; }
run_step "$@"
`;
const inputs = {
  git: ["https://gitclone.com/github.com/", "https://ghfast.top/https://github.com/", "https://github.com/"],
  models: [["a", "checkpoint", "x", "a.safetensors", "-", "-", "https://hf-mirror.com/a https://huggingface.co/a"]],
};

describe("a platform's accelerator", () => {
  let workspace: Workspace;
  let proxy: Server;
  let address: string;
  beforeEach(async () => {
    workspace = new Workspace();
    workspace.script("41-fetch.sh", step);
    proxy = createServer((_, answer) => answer.writeHead(400).end());
    await new Promise<void>((done) => proxy.listen(0, "127.0.0.1", done));
    address = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  });
  afterEach(() => {
    proxy.close();
    workspace.destroy();
  });
  const apply = (accelerator: string) => workspace.run("41-fetch.sh", "apply", { ...inputs, accelerator });

  it("that is gone, sets nothing, or does not answer is left out, with a word", async () => {
    const empty = join(workspace.top, "empty");
    writeFileSync(empty, "exit 3\n");
    const socks = join(workspace.top, "socks");
    writeFileSync(socks, `export https_proxy=${address.replace("http:", "socks5:")}\n`);
    const cases = {
      "/no/such/turbo": "is not on this host",
      [socks]: "sets no HTTP proxy (socks5), and not every tool speaks another",
      [empty]: "sets no proxy",
      "http://127.0.0.1:1": "does not answer",
    };
    for (const [accelerator, word] of Object.entries(cases)) {
      const { code, stderr, facts } = await apply(accelerator);
      expect([code, stderr, facts.proxy]).toEqual([0, expect.stringContaining(`${word}; fetching without it`), ""]);
    }
  });

  it("is asked by Python where there is no curl", async () => {
    const onlyPath = workspace.programsBut("curl");
    const ask = (accelerator: string) =>
      workspace.run("41-fetch.sh", "apply", { ...inputs, accelerator }, { onlyPath });
    expect((await ask("http://127.0.0.1:1")).stderr).toContain("does not answer; fetching without it");
    const { stderr, facts } = await ask(address);
    expect(facts.proxy, stderr).toBe(address);
  });

  it("serves GitHub and Hugging Face alone: mirrors are asked directly", async () => {
    const { facts } = await apply(address);
    expect(facts.proxy).toBe(address);
    expect(String(facts.direct).split(",").sort()).toEqual([
      "127.0.0.1",
      "127.0.0.1",
      "::1",
      "ghfast.top",
      "gitclone.com",
      "hf-mirror.com",
      "localhost",
    ]);
  });

  it("may be a script of the platform's, with a certificate of its own; it can't end the step", async () => {
    const script = join(workspace.top, "network_turbo");
    const ca = join(workspace.top, "ca.pem");
    writeFileSync(ca, "");
    writeFileSync(script, `export https_proxy=${address} SSL_CERT_FILE=${ca}\necho welcome\nfalse\n`);
    const { code, stdout, facts } = await apply(script);
    expect([code, facts.proxy, facts.ca]).toEqual([0, address, ca]);
    expect(stdout).not.toContain("welcome");
  });
});

const hasAria = (process.env.PATH ?? "").split(":").some((folder) => existsSync(join(folder, "aria2c")));

describe("where a mirror leads to", () => {
  const content = safetensors(9_500_000);
  const hash = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");
  const sha256 = hash(content);
  let workspace: Workspace;
  // It lets nobody there whom it does not know.
  let proxy: FileServer;
  let mirror: FileServer;
  const serve = serving();
  beforeEach(async () => {
    workspace = new Workspace();
    proxy = await serve((_, response) => response.writeHead(403).end());
    const location = `${(await serve(honest(content), { host: "127.0.0.3" })).base}a`;
    mirror = await serve((_, response) => response.writeHead(302, { location }).end(), { host: "127.0.0.2" });
  });
  afterEach(() => workspace.destroy());
  const apply = (urls: string[], aria2: "yes" | "no") =>
    workspace.run(
      "60-models.sh",
      "apply",
      {
        models: [["a", "checkpoint", "x", "a.safetensors", content.length, sha256, urls.join(" ")]],
        accelerator: proxy.base,
      },
      { env: { ATELIER_FETCH_ARIA2: aria2, ATELIER_FETCH_PATIENCE_S: "1" } },
    );
  const whole = () => expect(hash(readFileSync(join(workspace.path, "data/models/x/a.safetensors")))).toBe(sha256);
  /** The addresses that the accelerator was asked for, but for the question whether it is there. */
  const accelerated = () => proxy.asked.map(({ url }) => url).filter((url) => url !== "/");

  it.for([
    { way: "own", aria2: "no", missing: false },
    { way: "aria2c (needs it on PATH)", aria2: "yes", missing: !hasAria },
  ] as const)("the accelerator is not asked, either: $way", async ({ aria2, missing }, { skip }) => {
    skip(missing);
    const { code, stderr } = await apply([`${mirror.base}a`], aria2);
    expect(code, stderr).toBe(0);
    whole();
    expect(stderr).not.toContain("going on without it");
    expect(accelerated()).toEqual([]);
  });

  it("also beside Hugging Face, which is asked through it; and who refuses there is said", async () => {
    const hub = "http://huggingface.co/x/y/resolve/main/a";
    const both = await apply([`${mirror.base}a`, hub], "yes");
    expect(both.code, both.stderr).toBe(0);
    whole();
    expect(accelerated().filter((url) => url !== hub)).toEqual([]);
    workspace.destroy();
    workspace = new Workspace();
    const { code, stderr } = await apply([hub], "no");
    expect(code).toBe(1);
    expect(stderr).toContain(
      "HTTP 403 through the proxy 127.0.0.1: that lets nobody there, or the server wants a token",
    );
  });
});
