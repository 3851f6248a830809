import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { type Inputs, Workspace } from "./lib/workspace.ts";

let workspace: Workspace;
let origin: string;
let commits: string[];

const git = (cwd: string, ...args: string[]) =>
  execFileSync("git", ["-c", "user.name=t", "-c", "user.email=t@localhost", ...args], {
    cwd,
    encoding: "utf8",
    env: { PATH: process.env.PATH, GIT_CONFIG_GLOBAL: "/dev/null", GIT_CONFIG_NOSYSTEM: "1" },
    stdio: ["ignore", "pipe", "ignore"],
  }).trim();

const source = (name: string, commit = commits[0]) =>
  [name, `data/extensions/${name}`, commit, "owner/one.git"].join("\t");
const inputs = (...sources: string[]): Inputs => ({
  sources: [["webui", "src/webui", commits[0], "owner/one.git"].join("\t"), ...sources],
  git: [`file://${origin}/`],
});
const apply = (...sources: string[]) => workspace.run("40-sources.sh", "apply", inputs(...sources));
const check = (...sources: string[]) => workspace.run("40-sources.sh", "check", inputs(...sources));
const folder = (name: string) => join(workspace.path, "data", "extensions", name);

beforeEach(() => {
  workspace = new Workspace();
  origin = join(workspace.top, "origin");
  const work = join(workspace.top, "work");
  mkdirSync(work);
  git(work, "init", "-q");
  commits = ["first", "second"].map((text) => {
    writeFileSync(join(work, "install.py"), text);
    git(work, "add", "-A");
    git(work, "commit", "-q", "-m", text);
    return git(work, "rev-parse", "HEAD");
  });
  mkdirSync(join(origin, "owner"), { recursive: true });
  git(work, "clone", "-q", "--bare", ".", join(origin, "owner", "one.git"));
});
afterEach(() => workspace.destroy());

it("refuses a place beside the folder of extensions", async () => {
  for (const into of ["data/extensions/a/b", "data/extensions/", "data/extensions/../x"]) {
    const { code, stderr } = await apply(["a", into, commits[0], "owner/one.git"].join("\t"));
    expect([code, stderr]).toEqual([2, expect.stringContaining(`into=${into} is not`)]);
  }
});

it("lays an extension with a branch and a remote, without which the WebUI would not list it; another pin moves it", async () => {
  expect((await apply(source("one"))).code).toBe(0);
  expect(readFileSync(join(folder("one"), "install.py"), "utf8")).toBe("first");
  expect(git(folder("one"), "symbolic-ref", "--short", "HEAD")).toBe("pinned");
  expect(git(folder("one"), "config", "remote.origin.url")).toBe("https://github.com/owner/one.git");
  expect((await check(source("one"))).code).toBe(0);
  expect(await check(source("one", commits[1]))).toMatchObject({
    code: 10,
    stderr: expect.stringContaining("one is not at its pinned commit"),
  });
  expect((await apply(source("one", commits[1]))).code).toBe(0);
  expect(readFileSync(join(folder("one"), "install.py"), "utf8")).toBe("second");
  expect((await check(source("one", commits[1]))).code).toBe(0);
});

it("takes away what is named no more, keeps what somebody changed aside, and leaves the user's own alone", async () => {
  mkdirSync(folder("theirs"), { recursive: true });
  await apply(source("one"), source("two"));
  writeFileSync(join(folder("two"), "install.py"), "edited");
  expect(await check()).toMatchObject({ code: 10, stderr: expect.stringContaining("one is not wanted any more") });
  const { code, stderr } = await apply();
  expect([code, stderr]).toEqual([
    0,
    expect.stringMatching(/two: the old folder was moved to \S+\/src\/\.aside\/two-/),
  ]);
  expect([existsSync(folder("one")), existsSync(folder("two")), existsSync(folder("theirs"))]).toEqual([
    false,
    false,
    true,
  ]);
  expect((await check()).code).toBe(0);
  expect((await workspace.run("40-sources.sh", "remove", inputs())).code).toBe(0);
  expect(existsSync(folder("theirs"))).toBe(true);
});
