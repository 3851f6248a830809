import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { userInfo } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { safetensors } from "../../rehearsal/upstreams/checkpoints.ts";
import { type HttpProxy, startProxy } from "./lib/proxy.ts";
import { type MadeWheel, makeWheel } from "./lib/wheel.ts";
import { sharedCache, Workspace } from "./lib/workspace.ts";

/** Why apt can't be asked here. */
const noApt = !existsSync("/usr/bin/apt-get") ? "no apt-get" : userInfo().uid === 0 ? undefined : "apt-get wants root";

/** A name that only the proxy knows: whoever reaches it came through the proxy. */
const outside = "http://upstream.test/";
const workspace = new Workspace();
const model = safetensors("proxy");
const modelHash = createHash("sha256").update(model).digest("hex");
let server: Server;
let proxy: HttpProxy;
let wheel: MadeWheel;
let commit: string;

beforeAll(async () => {
  const work = join(workspace.top, "work");
  mkdirSync(work);
  const git = (...args: string[]) =>
    execFileSync("git", ["-c", "user.name=t", "-c", "user.email=t@localhost", ...args], {
      cwd: work,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    }).trim();
  git("init", "-q");
  writeFileSync(join(work, "file"), "text\n");
  git("add", "-A");
  git("commit", "-q", "-m", "first");
  commit = git("rev-parse", "HEAD");
  const bare = join(workspace.top, "www/git/owner/name.git");
  git("clone", "-q", "--bare", ".", bare);
  execFileSync("git", ["update-server-info"], { cwd: bare });
  wheel = makeWheel(join(workspace.top, "www/files"), "atelier_test");
  mkdirSync(join(workspace.top, "www/simple/atelier-test"), { recursive: true });
  writeFileSync(
    join(workspace.top, "www/simple/atelier-test/index"),
    `<a href="/files/${wheel.file}#sha256=${wheel.sha256}">${wheel.file}</a>`,
  );
  writeFileSync(join(workspace.top, "www/model.pt"), model);
  server = createServer((request, response) => {
    const path = join(workspace.top, "www", (request.url ?? "").split("?")[0] ?? "");
    const file = [path, join(path, "index")].find((name) => existsSync(name) && statSync(name).isFile());
    if (file?.endsWith("/index")) response.setHeader("content-type", "text/html");
    if (file) response.end(readFileSync(file));
    else response.writeHead(404).end();
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  proxy = await startProxy({ "upstream.test": (server.address() as AddressInfo).port });
});
beforeEach(() => {
  proxy.asked.length = 0;
});
afterAll(() => {
  proxy.close();
  server.close();
  workspace.destroy();
});

describe("a SOCKS proxy in the host's environment", () => {
  // Nobody listens there: who asks it gets nothing.
  const env = { all_proxy: "socks5://name:word@127.0.0.1:1", HTTPS_PROXY: "socks5h://127.0.0.1:1" };
  const there = () => `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;

  it("is left aside by preflight, with one sentence, without its password; and by what comes after", async () => {
    const other = new Workspace();
    const inputs = { gpu: "none", disk_mb: 1, owner: "atelier/t", upstreams: [["git", there(), `${there()}model.pt`]] };
    const { code, stderr } = await other.run("10-preflight.sh", "apply", inputs, { env });
    expect(code, stderr).toBe(0);
    expect(stderr).toMatch(
      /environment has all_proxy=socks5:\S* HTTPS_PROXY=socks5h:\S*, which is left aside: .*host\.proxy/,
    );
    expect(stderr).not.toContain("word");

    other.script(
      "71-env.sh",
      '#!/bin/sh\n. "$(dirname "$0")/lib.sh"\nstep_apply() { fact proxies "$(env | grep -i _proxy= | grep -vi ^no_ || :)"; }\nrun_step "$@"\n',
    );
    const after = await other.run("71-env.sh", "apply", {}, { env: { ...env, http_proxy: "127.0.0.1:2" } });
    expect([after.code, after.facts.proxies, after.stderr]).toEqual([0, "http_proxy=127.0.0.1:2", ""]);
    other.destroy();
  });

  it("leaves an HTTP proxy beside it in its place", async () => {
    const inputs = { sources: [["webui", "webui", commit, "owner/name.git"]], git: [`${outside}git/`] };
    const other = new Workspace();
    const { code, stderr } = await other.run("40-sources.sh", "apply", inputs, {
      env: { ...env, http_proxy: proxy.url },
    });
    expect(code, stderr).toBe(0);
    expect(proxy.asked.length).toBeGreaterThan(0);
    other.destroy();
  });
});

describe("host.proxy", () => {
  it("is what preflight measures through", async () => {
    const inputs = {
      gpu: "none",
      disk_mb: 1,
      owner: "atelier/t",
      upstreams: [["git", `${outside}git/`, `${outside}model.pt`]],
    };
    const { code, stderr } = await workspace.run("10-preflight.sh", "apply", { ...inputs, proxy: proxy.url });
    expect(code, stderr).toBe(0);
    expect(proxy.asked).toEqual([`GET ${outside}model.pt`]);
  });

  it("with a login is used, and shown and kept nowhere", async () => {
    const secret = proxy.url.replace("//", "//somebody:open-barley@");
    const inputs = { sources: [["webui", "webui", commit, "owner/name.git"]], git: [`${outside}git/`] };
    const other = new Workspace();
    const { code, stdout, stderr } = await other.run("40-sources.sh", "apply", { ...inputs, proxy_secret: secret });
    expect(code, stderr).toBe(0);
    expect(proxy.asked).toContain(`GET ${outside}git/owner/name.git/info/refs?service=git-upload-pack`);
    other.script(
      "71-say.sh",
      '#!/bin/sh\n. "$(dirname "$0")/lib.sh"\nstep_apply() { say "by $http_proxy"; }\nrun_step "$@"\n',
    );
    const said = await other.run("71-say.sh", "apply", { proxy_secret: secret });
    expect(said.stderr).toContain("by http://[secret]@127.0.0.1");
    expect(`${stdout}${stderr}${said.stderr}`).not.toContain("barley");
    // grep ends with 1 where nothing has it.
    expect(() => execFileSync("grep", ["-rlI", "barley", other.path])).toThrow();
    other.destroy();
  });

  it("is how git comes", async () => {
    const inputs = { sources: [["webui", "webui", commit, "owner/name.git"]], git: [`${outside}git/`] };
    expect((await workspace.run("40-sources.sh", "apply", inputs)).code).toBe(1);
    const { code, stderr } = await workspace.run("40-sources.sh", "apply", { ...inputs, proxy: proxy.url });
    expect(code, stderr).toBe(0);
    expect(proxy.asked).toContain(`GET ${outside}git/owner/name.git/info/refs?service=git-upload-pack`);
  });

  it("is how packages come, by pip and by uv", async () => {
    const uv = new Workspace(sharedCache);
    const pythons = { python: "3.10\n3.11\n3.12\n3.13" };
    const made = await uv.run("30-python.sh", "apply", pythons);
    expect(made.code, made.stderr).toBe(0);
    mkdirSync(join(workspace.path, "tools/bin"), { recursive: true });
    for (const file of ["bin/uv", "uv.lock"])
      copyFileSync(join(uv.path, "tools", file), join(workspace.path, "tools", file));
    uv.destroy();
    expect((await workspace.run("30-python.sh", "apply", pythons)).code).toBe(0);
    const inputs = { lock_name: "t", lock: wheel.locked, pypi: [`${outside}simple`], proxy: proxy.url };
    const { code, stderr } = await workspace.run("50-wheels.sh", "apply", inputs);
    expect(code, stderr).toBe(0);
    expect(proxy.asked).toContain(`GET ${outside}files/${wheel.file}`);
    // pip, which brings uv where there is none yet.
    proxy.asked.length = 0;
    const other = new Workspace();
    const missing = await other.run("30-python.sh", "apply", {
      ...pythons,
      pypi: [`${outside}simple`],
      proxy: proxy.url,
    });
    expect(missing.code).toBe(1);
    expect(proxy.asked.some((line) => line.startsWith(`GET ${outside}simple/uv/`))).toBe(true);
    other.destroy();
  });

  it("is how models come", async () => {
    const models = [
      ["m", "checkpoint", "Stable-diffusion", "m.safetensors", model.length, modelHash, `${outside}model.pt`],
    ];
    const { code, stderr } = await workspace.run("60-models.sh", "apply", { models, proxy: proxy.url });
    expect(code, stderr).toBe(0);
    expect(proxy.asked.length).toBeGreaterThan(0);
    expect(new Set(proxy.asked)).toEqual(new Set([`GET ${outside}model.pt`]));
    expect(statSync(join(workspace.path, "data/models/Stable-diffusion/m.safetensors")).size).toBe(model.length);
  });

  it.skipIf(noApt)("is how apt goes", async () => {
    const inputs = { packages: "atelier-nosuch", install: "yes", apt_mirror: [`${outside}mirror`] };
    const secret = proxy.url.replace("//", "//somebody:open-barley@");
    const { code } = await workspace.run("20-packages.sh", "apply", { ...inputs, proxy_secret: secret });
    expect(code).toBe(1);
    expect(proxy.asked.some((line) => line.startsWith(`GET ${outside}mirror/`) && line.includes("/dists/"))).toBe(true);
    expect(existsSync(join(workspace.path, "run/packages/apt.conf"))).toBe(false);
  });
});
