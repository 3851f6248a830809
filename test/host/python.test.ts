import { execFileSync, spawnSync } from "node:child_process";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Inputs, sharedCache, Workspace } from "./lib/workspace.ts";

const versions = ["3.10", "3.11", "3.12", "3.13"];
const workspace = new Workspace(sharedCache);
afterAll(() => workspace.destroy());
const python = (inputs: Inputs = {}, verb = "apply") =>
  workspace.run("30-python.sh", verb, { python: versions, ...inputs });

describe("python", () => {
  it("that can't be had in any way is refused, naming everything that was tried", async () => {
    const { code, stderr } = await python({
      python: "3.99",
      conda_mirror: "http://127.0.0.1:1/anaconda/",
      uv_python_mirror: "http://127.0.0.1:1/",
    });
    expect(code).toBe(1);
    expect(stderr).toContain("no Python 3.99 on the host. Tried:");
    for (const way of [
      "on PATH, in pyenv and conda:",
      "apt for 3.99: not allowed",
      "uv python install 3.99 from http://127.0.0.1:1/",
    ]) {
      expect(stderr).toContain(way);
    }
    expect(stderr).toMatch(/conda for 3\.99: a mirror is set, but there is no conda|conda create from/);
  });

  it("comes with uv and an empty venv; again is nothing; check knows", async () => {
    const first = await python();
    expect(first.code, first.stderr).toBe(0);
    expect(versions).toContain(first.facts.python);
    expect(first.facts.uv).toMatch(/^\d+\.\d+\.\d+$/);
    const made = statSync(join(workspace.path, "venv/pyvenv.cfg")).mtimeMs;
    const again = await python();
    expect([again.code, again.stderr]).toEqual([0, expect.not.stringContaining("installing uv")]);
    expect(statSync(join(workspace.path, "venv/pyvenv.cfg")).mtimeMs).toBe(made);
    expect((await python({}, "check")).code).toBe(0);
    expect(await python({ python: "3.99" }, "check")).toMatchObject({
      code: 10,
      stderr: expect.stringContaining("accepted: 3.99"),
    });
  });

  it("is made anew when its venv is broken", async () => {
    rmSync(join(workspace.path, "venv/bin/python"));
    expect((await python({}, "check")).code).toBe(10);
    const { code, stderr } = await python();
    expect(code, stderr).toBe(0);
    expect(stderr).toContain("venv is broken or of another Python: made anew");
    expect((await python({}, "check")).code).toBe(0);
  });

  it("is made anew when the Python under its path is another by now, as after an update of conda", async () => {
    const lib = join(workspace.path, "venv/lib");
    const [made = ""] = readdirSync(lib);
    renameSync(join(lib, made), join(lib, "python3.9"));
    expect((await python({}, "check")).stderr).toMatch(/^venv starts Python 3\.\d+ by now, which it was not made with/);
    const { code, stderr } = await python();
    expect(code, stderr).toBe(0);
    expect(readdirSync(lib)).toEqual([made]);
    expect((await python({}, "check")).code).toBe(0);
  });

  it("comes as ever where the user's environment has pip, uv and git work otherwise", async () => {
    const own = new Workspace();
    const env = {
      ...{
        PIP_USER: "1",
        PIP_TARGET: join(own.top, "target"),
        PIP_REQUIRE_VIRTUALENV: "1",
        PIP_CONSTRAINT: "/nowhere",
      },
      ...{ UV_PYTHON: "2.7", UV_OFFLINE: "1", UV_EXCLUDE_NEWER: "2010-01-01", GIT_DIR: "/nowhere" },
    };
    try {
      const { code, stderr, facts } = await own.run("30-python.sh", "apply", { python: versions }, { env });
      expect(code, stderr).toBe(0);
      expect(facts.fetchedBytes).toBeGreaterThan(0);
      expect(existsSync(env.PIP_TARGET)).toBe(false);
    } finally {
      own.destroy();
    }
  });

  it("is found in a conda that is not on PATH", async () => {
    const home = join(workspace.top, "conda-home");
    mkdirSync(join(home, "miniconda3/envs/sd/bin"), { recursive: true });
    const real = execFileSync(
      join(workspace.path, "venv/bin/python"),
      ["-c", "import sys; print(sys._base_executable)"],
      { encoding: "utf8" },
    ).trim();
    writeFileSync(join(home, "miniconda3/envs/sd/bin/python"), `#!/bin/sh\nexec '${real}' "$@"\n`, { mode: 0o755 });
    workspace.script(
      "72-list.sh",
      '#!/bin/sh\n. "$(dirname "$0")/lib.sh"\nstep_apply() { fact list "$(all_pythons)"; }\nrun_step "$@"\n',
    );
    const { facts } = await workspace.run("72-list.sh", "apply", {}, { env: { HOME: home } });
    expect(String(facts.list).split("\n")).toContain(`${home}/miniconda3/envs/sd/bin/python`);
  });
});

/** Two pure packages of the real index, by their hashes. */
const six = "six==1.16.0 \\\n    --hash=sha256:8abb2f1d86890a2dfb989f9a77cfcfd3e47c2a354b01111771326f8aa26e0254\n";
const tools =
  "setuptools==69.5.1 \\\n    --hash=sha256:c636ac361bc47580504644275c9ad802c50415c7522212252c033bd15f301f32\n" +
  "wheel==0.45.1 \\\n    --hash=sha256:708e7481cc80179af0e556bbf0cc00b8444c7321e2700b8d8580231d13017248\n";

const site = () =>
  execFileSync("sh", ["-c", `echo ${workspace.path}/venv/lib/python*/site-packages`], { encoding: "utf8" }).trim();

describe("wheels", () => {
  const wheels = (inputs: Inputs = {}, verb = "apply") =>
    workspace.run("50-wheels.sh", verb, { lock_name: "test", lock: six, ...inputs });
  const clip = { lock: six + tools, builds: [["clip", "src/CLIP"]] };
  const installed = () => readdirSync(site());
  const servers: Server[] = [];

  beforeAll(async () => {
    await python();
    // As CLIP's own: its setup.py imports what setuptools 81 has no more.
    const source = join(workspace.path, "src/CLIP");
    mkdirSync(join(source, "clip"), { recursive: true });
    mkdirSync(join(source, ".git"));
    writeFileSync(join(source, ".git/HEAD"), "d50d76daa670286dd6cacf3bcd80b5e4823fc8e1\n");
    writeFileSync(join(source, "clip/__init__.py"), "answer = 42\n");
    writeFileSync(
      join(source, "setup.py"),
      "import pkg_resources\nfrom setuptools import setup\nsetup(name='clip', version='1.0', packages=['clip'])\n",
    );
  });
  afterAll(() => {
    for (const server of servers) server.close();
  });

  it("whose hash is another are refused, with what to do", async () => {
    const { code, stderr } = await wheels({ lock: six.replace("8abb2f1d", "00000000") });
    expect(code).toBe(1);
    expect(stderr).toMatch(/hash/i);
    expect(stderr).toContain("A hash that differs means that the index serves another file");
    expect((await wheels({}, "check")).code).toBe(10);
  });

  it("without hashes are refused", async () => {
    const { code, stderr } = await wheels({ lock: "six==1.16.0\n" });
    expect(code).toBe(1);
    expect(stderr).toMatch(/hash/i);
  });

  it("whose builds have no source say which step brings it", async () => {
    const { code, stderr } = await wheels({ builds: [["nosuch", "nosuch"]] });
    expect(code).toBe(1);
    expect(stderr).toContain("nosuch is to be built from");
  });

  it("that no index has: each is tried, also after one that is dead or answers nonsense", async () => {
    const server = createServer((_, response) => response.end("<html>captive portal</html>"));
    servers.push(server);
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    const nonsense = `http://127.0.0.1:${(server.address() as AddressInfo).port}/simple`;
    const { code, stderr } = await wheels({
      // Not in the cache that the tests share.
      lock: six.replace("six", "atelier-nowhere"),
      pypi: ["http://127.0.0.1:1/simple", nonsense],
    });
    expect(code).toBe(1);
    expect(stderr).toContain("that failed with the index http://127.0.0.1:1/simple");
    expect(stderr).toContain(`that failed with the index ${nonsense}`);
  });

  it("are installed, linked from the cache; CLIP is built by the lock's own setuptools; its checkout stays clean", async () => {
    const { code, stderr, facts } = await wheels(clip);
    expect(code, stderr).toBe(0);
    expect(facts).toMatchObject({ lock: "test", packages: 4, installed: true, link_mode: "hardlink" });
    expect(installed()).toContain("clip");
    expect(statSync(join(site(), "six.py")).nlink).toBeGreaterThan(1);
    expect(readdirSync(join(workspace.path, "src/CLIP")).sort()).toEqual([".git", "clip", "setup.py"]);
    expect((await wheels(clip, "check")).code).toBe(0);
    // What Python compiled is the next venv's, too, by what is installed.
    const [record = ""] = workspace.file("venv/.atelier-wheels").split(" ");
    expect(existsSync(join(workspace.cache, "pyc", record.slice(0, 16)))).toBe(true);
  });

  it("are not touched by an apply that changes nothing, and mended when one is gone", async () => {
    const again = await wheels(clip);
    expect([again.code, again.facts.installed]).toEqual([0, false]);
    rmSync(join(site(), "six-1.16.0.dist-info"), { recursive: true });
    expect((await wheels(clip, "check")).code).toBe(10);
    const { code, stderr } = await wheels(clip);
    expect(code, stderr).toBe(0);
    expect((await wheels(clip, "check")).code).toBe(0);
  });

  it("of another version, by somebody's pip, and those of which a file is cut or gone, are seen and installed anew", async () => {
    const uv = join(workspace.path, "tools/bin/uv");
    const venv = join(workspace.path, "venv/bin/python");
    execFileSync(uv, ["pip", "install", "-q", "--python", venv, "six==1.17.0"]);
    expect((await wheels(clip, "check")).stderr).toContain("other packages, or of other versions");
    expect((await wheels(clip)).code).toBe(0);
    expect(installed()).toContain("six-1.16.0.dist-info");
    // What two packages bring is whole as either of them has it.
    appendFileSync(join(site(), "six-1.16.0.dist-info/RECORD"), "wheel/__init__.py,,1\n");
    expect((await wheels(clip, "check")).code).toBe(0);
    // By a hard link it is cut in the cache, too.
    truncateSync(join(site(), "wheel/__init__.py"), 3);
    rmSync(join(site(), "clip/__init__.py"));
    expect((await wheels(clip, "check")).stderr).toBe("files are gone or cut in venv, of clip,six,wheel\n");
    const { code, stderr } = await wheels(clip);
    expect(code, stderr).toBe(0);
    expect(stderr).toMatch(
      /installing anew clip six wheel\n(.*\n)*.*the cache has them so, too.*\n(.*\n)*.*installing anew wheel\n/,
    );
    expect((await wheels(clip, "check")).code).toBe(0);
  });

  it("of another lock replace the old ones: no stray is left", async () => {
    expect((await wheels({}, "check")).stderr).toContain("another lock");
    const { code, stderr } = await wheels();
    expect(code, stderr).toBe(0);
    expect(installed().filter((name) => name.endsWith(".dist-info"))).toEqual(["six-1.16.0.dist-info"]);
  });

  it("build CLIP also where the lock has no setuptools: isolated, with setuptools below 81", async () => {
    const { code, stderr } = await wheels({ builds: clip.builds });
    expect(code, stderr).toBe(0);
    expect(installed()).toContain("clip");
  });

  it("that don't load on this host say which library is missing", async () => {
    mkdirSync(join(site(), "numpy-9.9.dist-info"));
    writeFileSync(join(site(), "numpy-9.9.dist-info/METADATA"), "Metadata-Version: 2.1\nName: numpy\nVersion: 9.9\n");
    mkdirSync(join(site(), "numpy"));
    const message = "libGL.so.1: cannot open shared object file: No such file or directory";
    writeFileSync(join(site(), "numpy/__init__.py"), `raise ImportError('${message}')\n`);
    const { status, stdout } = spawnSync(
      join(workspace.path, "venv/bin/python"),
      [join(workspace.bin, "wheels_check.py")],
      {
        input: "numpy==9.9 \\\n    --hash=sha256:00\n",
        encoding: "utf8",
      },
    );
    expect(status).toBe(1);
    expect(stdout).toContain("numpy does not load: libGL.so.1");
    expect(stdout).toContain("the host lacks libGL.so.1 (Debian and Ubuntu: apt-get install libgl1 libglib2.0-0)");
    const absent = spawnSync(join(workspace.path, "venv/bin/python"), [join(workspace.bin, "wheels_check.py")], {
      input: "six==1.15.0\nnosuch==1.0\n",
      encoding: "utf8",
    });
    expect([absent.status, absent.stdout]).toEqual([1, "six is 1.16.0; locked: 1.15.0\nnosuch 1.0 is not installed\n"]);
  });

  it("are gone after remove, and the venv with python's", async () => {
    expect((await wheels({}, "remove")).code).toBe(0);
    expect(installed()).toEqual([]);
    expect((await python({}, "remove")).code).toBe(0);
    expect([existsSync(join(workspace.path, "venv")), existsSync(join(workspace.path, "tools/bin"))]).toEqual([
      false,
      false,
    ]);
    // What was downloaded is kept: no index is needed to bring it all back.
    const { code, stderr } = await python({ pypi: ["http://127.0.0.1:1/simple"] });
    expect(code, stderr).toBe(0);
    expect(readFileSync(join(workspace.path, "src/CLIP/setup.py"), "utf8")).toContain("pkg_resources");
  });
});
