import { execFileSync } from "node:child_process";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { deflateSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Inputs, Workspace } from "./lib/workspace.ts";

let workspace: Workspace;
let origin: string;
let commits: { webui: string; BLIP: string; old: string };
const servers: Server[] = [];

const git = (cwd: string, ...args: string[]) =>
  execFileSync("git", ["-c", "user.name=t", "-c", "user.email=t@localhost", ...args], {
    cwd,
    encoding: "utf8",
    env: { PATH: process.env.PATH, GIT_CONFIG_GLOBAL: "/dev/null", GIT_CONFIG_NOSYSTEM: "1" },
    stdio: ["ignore", "pipe", "ignore"],
  }).trim();

/** Two repositories with two commits each, bare, below `origin`. */
function makeOrigin(): void {
  origin = join(workspace.top, "origin");
  const make = (name: string, files: Record<string, string>) => {
    const work = join(workspace.top, `work-${name}`);
    mkdirSync(work, { recursive: true });
    git(work, "init", "-q");
    const made = ["first", "second"].map((message) => {
      for (const [file, text] of Object.entries(files)) writeFileSync(join(work, file), `${text} ${message}\n`);
      git(work, "add", "-A");
      git(work, "commit", "-q", "-m", message);
      return git(work, "rev-parse", "HEAD");
    });
    mkdirSync(join(origin, "owner"), { recursive: true });
    git(work, "clone", "-q", "--bare", ".", join(origin, "owner", `${name}.git`));
    git(join(origin, "owner", `${name}.git`), "update-server-info");
    return made as [string, string];
  };
  const webui = make("webui", { "launch.py": "print(1)", ".gitignore": "/repositories\n#" });
  const blip = make("BLIP", { "blip.py": "print(2)" });
  commits = { webui: webui[1], BLIP: blip[0], old: webui[0] };
}

/** The origin over HTTP as plain files (no single commits to be had), or what `answer` does instead. */
async function serve(answer?: Parameters<typeof createServer>[1]): Promise<string> {
  const server = createServer(
    answer ??
      ((request, response) => {
        const path = join(origin, decodeURIComponent((request.url ?? "").split("?")[0] as string));
        if (existsSync(path) && statSync(path).isFile()) response.end(readFileSync(path));
        else response.writeHead(404).end();
      }),
  );
  servers.push(server);
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

const inputs = (more: Inputs = {}): Inputs => ({
  sources: [
    ["webui", "src/webui", commits.webui, "gone/webui.git owner/webui.git"],
    ["BLIP", "src/webui/repositories/BLIP", commits.BLIP, "owner/BLIP.git"],
  ],
  git: [`file://${origin}/`],
  ...more,
});
const apply = (more?: Inputs) => workspace.run("40-sources.sh", "apply", inputs(more));
const check = () => workspace.run("40-sources.sh", "check", inputs());
const head = (folder: string) => git(join(workspace.path, "src", folder), "rev-parse", "HEAD");

beforeEach(() => {
  workspace = new Workspace();
  makeOrigin();
});
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
  workspace.destroy();
});

describe("sources", () => {
  it("that no upstream has: each address with its own reason", async () => {
    const answers500 = await serve((_, response) => response.writeHead(500).end());
    const { code, stderr } = await apply({
      git: ["http://127.0.0.1:1/", answers500],
      sources: [["webui", "webui", commits.webui, "owner/webui.git"]],
    });
    expect(code).toBe(1);
    expect(stderr).toContain(`no upstream has webui at ${commits.webui}`);
    expect(stderr).toMatch(/http:\/\/127\.0\.0\.1:1\/owner\/webui\.git: .*[Cc]onnect/);
    expect(stderr).toMatch(new RegExp(`${answers500}owner/webui.git: .*500`));
    expect(stderr).toContain("Set upstreams.git");
  });

  it("with a pin that the repository does not have", async () => {
    const { code, stderr } = await apply({ sources: [["BLIP", "BLIP", commits.webui, "owner/BLIP.git"]] });
    expect(code).toBe(1);
    expect(stderr).toMatch(/not our ref|does not have the commit/);
    expect(existsSync(join(workspace.path, "src", "BLIP"))).toBe(false);
  });

  it("refuse a folder outside src and a shortened commit", async () => {
    expect((await apply({ sources: [["x", "../../etc", commits.webui, "a"]] })).code).toBe(2);
    expect((await apply({ sources: [["x", "webui", "82a973c", "a"]] })).code).toBe(2);
  });

  it("come at their commits, shallow; again is nothing; check agrees", async () => {
    const { code, stderr, facts } = await apply();
    expect(code, stderr).toBe(0);
    expect([facts.sources, facts.fetched]).toEqual([2, 2]);
    expect([head("webui"), head("webui/repositories/BLIP")]).toEqual([commits.webui, commits.BLIP]);
    expect(git(join(workspace.path, "src/webui"), "rev-list", "--count", "HEAD")).toBe("1");
    expect((await check()).code).toBe(0);
    const again = await apply({ git: ["http://127.0.0.1:1/"] });
    expect([again.code, again.facts.fetched]).toEqual([0, 0]);
  });

  it("are fetched whole from a server that gives no single commit", async () => {
    const base = await serve();
    const { code, stderr } = await apply({
      git: [base],
      sources: [["webui", "webui", commits.old, "owner/webui.git"]],
    });
    expect(code, stderr).toBe(0);
    expect(stderr).toContain("gives no single commit; fetching all of it");
    expect(head("webui")).toBe(commits.old);
  });

  it("never take an unzipped folder for a checkout: it is moved beside, and the WebUI around it stays whole", async () => {
    await apply();
    const blip = join(workspace.path, "src/webui/repositories/BLIP");
    rmSync(blip, { recursive: true });
    mkdirSync(blip);
    writeFileSync(join(blip, "blip.py"), "unzipped");
    const drift = await check();
    expect([drift.code, drift.stderr]).toEqual([10, expect.stringContaining("BLIP is a plain folder")]);
    const { code, stderr } = await apply();
    expect(code, stderr).toBe(0);
    expect(stderr).toMatch(
      /not a git checkout \(an unzipped archive\?\)[\s\S]*the old folder was moved to .*\.aside\/BLIP-/,
    );
    expect([head("webui"), head("webui/repositories/BLIP")]).toEqual([commits.webui, commits.BLIP]);
    const aside = join(workspace.path, "src/.aside");
    expect(readFileSync(join(aside, readdirSync(aside)[0] as string, "blip.py"), "utf8")).toBe("unzipped");
  });

  it("with changed files are put beside, not lost; the repositories inside stay where they are", async () => {
    await apply();
    // A disk that was copied: other inodes, and another time of each file's own.
    const src = join(workspace.path, "src");
    renameSync(src, `${src}.old`);
    cpSync(`${src}.old`, src, { recursive: true, preserveTimestamps: true, verbatimSymlinks: true });
    rmSync(`${src}.old`, { recursive: true });
    expect(await check()).toMatchObject({ code: 0, stderr: "" });
    writeFileSync(join(workspace.path, "src/webui/launch.py"), "mine");
    const drift = await check();
    expect([drift.code, drift.stderr]).toEqual([10, expect.stringContaining("webui has changed files (launch.py)")]);
    const { code, stderr, facts } = await apply();
    expect(code, stderr).toBe(0);
    // Out of the cache.
    expect([facts.fetched, facts.fetchedBytes]).toEqual([0, 0]);
    expect(workspace.file("src/webui/launch.py")).toBe("print(1) second\n");
    expect(head("webui/repositories/BLIP")).toBe(commits.BLIP);
    const aside = join(workspace.path, "src/.aside");
    expect(readFileSync(join(aside, readdirSync(aside)[0] as string, "launch.py"), "utf8")).toBe("mine");
    expect((await check()).code).toBe(0);
  });

  it("with deleted files are restored without the network", async () => {
    await apply();
    rmSync(join(workspace.path, "src/webui/launch.py"));
    expect((await check()).code).toBe(10);
    const { code, stderr } = await apply({ git: ["http://127.0.0.1:1/"] });
    expect(code, stderr).toBe(0);
    expect(workspace.file("src/webui/launch.py")).toBe("print(1) second\n");
  });

  it("at another commit are brought to the pinned one", async () => {
    await apply({ sources: [["webui", "webui", commits.old, "owner/webui.git"]] });
    expect((await check()).code).toBe(10);
    const { code, stderr } = await apply();
    expect(code, stderr).toBe(0);
    expect(stderr).toContain(`webui: is at ${commits.old}, wanted ${commits.webui}`);
    expect(head("webui")).toBe(commits.webui);
    expect(readdirSync(join(workspace.path, "src/.aside"))).toEqual([]);
  });

  it("ask nobody for a name, and read none of the user's git settings", async () => {
    const base = await serve((_, response) => response.writeHead(401, { "WWW-Authenticate": 'Basic realm="x"' }).end());
    mkdirSync(join(workspace.top, "home"));
    writeFileSync(join(workspace.top, "home", ".gitconfig"), '[url "http://127.0.0.1:1/"]\n\tinsteadOf = file://\n');
    const { code, stderr } = await apply({ git: [base, `file://${origin}/`] });
    expect(code, stderr).toBe(0);
    expect(stderr).toMatch(/could not read Username|Authentication failed|terminal prompts disabled/);
  });

  it("tell what came over the line; after remove they come out of the cache, without a byte", async () => {
    const first = await apply();
    const came = { kind: "git", bytes: expect.any(Number), source: `file://${origin}/`, cached: false };
    expect(first.facts.items).toEqual([
      { name: "webui", ...came },
      { name: "BLIP", ...came },
    ]);
    const bytes = (first.facts.items as { bytes: number }[]).reduce((sum, item) => sum + item.bytes, 0);
    expect(first.facts.fetchedBytes).toBe(bytes);
    expect(bytes).toBeGreaterThan(300);
    expect((await workspace.run("40-sources.sh", "remove", inputs())).code).toBe(0);
    rmSync(origin, { recursive: true });

    const again = await apply({ git: ["http://127.0.0.1:1/"] });
    expect(again.code, again.stderr).toBe(0);
    expect([head("webui"), head("webui/repositories/BLIP")]).toEqual([commits.webui, commits.BLIP]);
    expect(again.facts.fetchedBytes).toBe(0);
    expect(again.facts.items).toMatchObject([
      { name: "webui", source: "cache", cached: true },
      { name: "BLIP", source: "cache", cached: true },
    ]);
  });

  it("are fetched anew where the cache is damaged; offline, with an empty cache, the error says what to do", async () => {
    await apply();
    await workspace.run("40-sources.sh", "remove", inputs());
    const packs = join(workspace.cache, "git/webui.git/objects/pack");
    for (const name of readdirSync(packs).filter((file) => file.endsWith(".pack"))) {
      const path = join(packs, name);
      chmodSync(path, 0o644);
      writeFileSync(path, readFileSync(path).fill(0, 60));
    }
    const { code, stderr, facts } = await apply();
    expect(code, stderr).toBe(0);
    expect(stderr).toContain("git/webui.git is of no use");
    expect([head("webui"), facts.fetched]).toEqual([commits.webui, 1]);

    await workspace.run("40-sources.sh", "remove", inputs());
    rmSync(workspace.cache, { recursive: true });
    const offline = await apply({ git: [] });
    expect([offline.code, offline.stderr]).toEqual([1, expect.stringContaining("atelier bundle push")]);
  });

  it("of a mirror that lies are found out, and come from the next", async () => {
    // Under the pinned commit's name, another object; git asks for objects by their hashes, and holds them to it.
    const lying = await serve((request, response) => {
      const path = join(origin, decodeURIComponent((request.url ?? "").split("?")[0] as string));
      const wanted = `/objects/${commits.webui.slice(0, 2)}/${commits.webui.slice(2)}`;
      if (path.endsWith(wanted)) response.end(deflateSync(Buffer.from("blob 4\0liar")));
      else if (existsSync(path) && statSync(path).isFile()) response.end(readFileSync(path));
      else response.writeHead(404).end();
    });
    const unpacked = join(origin, "owner/webui.git");
    for (const name of readdirSync(join(unpacked, "objects/pack"))) {
      const from = join(unpacked, "objects/pack", name);
      renameSync(from, join(workspace.top, name));
      if (name.endsWith(".pack"))
        execFileSync("git", ["-C", unpacked, "unpack-objects", "-q"], {
          input: readFileSync(join(workspace.top, name)),
        });
    }
    git(unpacked, "update-server-info");
    const { code, stderr, facts } = await apply({ git: [lying, `file://${origin}/`] });
    expect(code, stderr).toBe(0);
    expect(stderr).toMatch(/webui: http:\/\/127\.0\.0\.1:\d+\/owner\/webui\.git: /);
    expect(head("webui")).toBe(commits.webui);
    expect((facts.items as { source: string }[])[0]?.source).toBe(`file://${origin}/`);
  });

  it("send the host's later git, of extensions and submodules, to the same mirror: by a configuration of its own", async () => {
    const settings = join(workspace.path, "run/home/.gitconfig");
    const url = () =>
      execFileSync("git", ["ls-remote", "--get-url", "https://github.com/a/b.git"], {
        encoding: "utf8",
        env: { PATH: process.env.PATH, GIT_CONFIG_GLOBAL: settings, GIT_CONFIG_NOSYSTEM: "1" },
      }).trim();
    await apply();
    expect(url()).toBe(`file://${origin}/a/b.git`);
    await apply({ git: ["https://github.com/"] });
    expect(url()).toBe("https://github.com/a/b.git");
  });

  it("come from the mirror by an older git too, which knows no GIT_CONFIG_GLOBAL (before 2.32), and from each run's own", async () => {
    const before = workspace.commands({
      git: `#!/bin/sh\nunset GIT_CONFIG_GLOBAL\nPATH=$(printf %s "$PATH" | cut -d: -f2-) exec git "$@"\n`,
    });
    const old = (more?: Inputs) => workspace.run("40-sources.sh", "apply", inputs(more), { path: [before] });
    const first = await old();
    expect(first.code, first.stderr).toBe(0);
    // The first run's mirror is what later git goes to; it must not be where the next run fetches.
    expect(workspace.file("run/home/mirrors.gitconfig")).toContain(`file://${origin}`);
    renameSync(origin, `${origin}-2`);
    rmSync(workspace.cache, { recursive: true });
    const source = ["BLIP", "BLIP", commits.BLIP, "owner/BLIP.git"];
    const second = await old({ sources: [source], git: [`file://${origin}-2/`] });
    expect(second.code, second.stderr).toBe(0);
    expect(head("BLIP")).toBe(commits.BLIP);
  });

  it("are gone after remove", async () => {
    await apply();
    expect((await workspace.run("40-sources.sh", "remove", inputs())).code).toBe(0);
    expect(existsSync(join(workspace.path, "src"))).toBe(false);
    expect((await check()).stderr).toContain("never applied here");
  });
});
