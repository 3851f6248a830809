import { execFileSync, spawnSync } from "node:child_process";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { afterAll, describe, expect, it } from "vitest";
import { proxyInputs } from "../../stacks/inputs.ts";
import { installer } from "../../stacks/scripts.ts";
import { factsOf, renderInputs, secretly } from "../../stacks/step.ts";
import { fc } from "../helpers/random.ts";

describe("a step's standard input", () => {
  it("is sorted lines of key=value, an item of a list a line", () => {
    expect(renderInputs({ port: 8080, a: "x\\y", list: ["one\ttwo", "three"] })).toBe(
      "a=x\\\\y\nlist=one\ttwo\\nthree\nport=8080\n",
    );
  });

  it("holds as a secret what is named so, a proxy with a login among it, and nothing else", async () => {
    const given = { a: "plain", hf_token_secret: "", ...proxyInputs({ proxy: "http://somebody:barley@proxy:3128" }) };
    const inputs = secretly(given);
    const secrets = Object.keys(inputs).map(async (key) => [key, await pulumi.isSecret(pulumi.output(inputs[key]))]);
    expect(Object.fromEntries(await Promise.all(secrets))).toEqual({
      a: false,
      hf_token_secret: false,
      proxy: false,
      proxy_secret: true,
    });
    expect(proxyInputs({ proxy: "http://proxy:3128/a@b" })).toEqual({ proxy: "http://proxy:3128/a@b" });
  });

  it("comes back from printf '%b' as it was", () => {
    fc.assert(
      fc.property(
        fc.string().filter((text) => !text.includes("\0") && !text.endsWith("\n")),
        (text) => {
          const rendered = renderInputs({ v: text }).slice(2, -1);
          expect(rendered).not.toContain("\n");
          expect(execFileSync("sh", ["-c", 'printf %b "$1"', "sh", rendered]).toString()).toBe(text);
        },
      ),
      { numRuns: 60 },
    );
  });
});

describe("a step's facts", () => {
  it("are the last line that it says", () => {
    expect(factsOf("wheels", 'welcome\n{"step":"wheels","seconds":1}\n')).toEqual({ step: "wheels", seconds: 1 });
  });

  it.each(["", "welcome\n", '{"a":1}\n'])(
    "of a host that ended with 0 and said %j: an error, not a step that is done",
    (said) => {
      expect(() => factsOf("wheels", said)).toThrow(
        /^wheels: the host said nothing of this step\. The login works, but/,
      );
    },
  );
});

describe("the installer", () => {
  const scripts = resolve(import.meta.dirname, "../../scripts/host");

  const folder = mkdtempSync(join(tmpdir(), "atelier-bin-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it("lays every script into bin with its text and mode, and removes strays", () => {
    const workspace = mkdtempSync(join(folder, "one-"));
    execFileSync("sh", ["-s"], { input: installer(workspace, "") });
    writeFileSync(join(workspace, "bin", "stray.sh"), "echo stray");
    const output = execFileSync("sh", ["-s"], { input: installer(workspace, "again") }).toString();

    const files = readdirSync(scripts).filter((file) => /\.(sh|py)$/.test(file));
    expect(files.length).toBeGreaterThan(8);
    expect(JSON.parse(output)).toEqual({ step: "scripts", files: files.length });
    expect(readdirSync(workspace).sort()).toEqual(["bin", "run"]);
    expect(readdirSync(join(workspace, "bin")).sort()).toEqual([".laid", ...files].sort());
    for (const file of files) {
      expect(readFileSync(join(workspace, "bin", file), "utf8")).toBe(readFileSync(join(scripts, file), "utf8"));
      expect(statSync(join(workspace, "bin", file)).mode & 0o777).toBe(0o700);
    }
  });

  it("needs what the barest images lack, and says so before anything is changed", () => {
    const workspace = mkdtempSync(join(folder, "one-"));
    const bare = mkdtempSync(join(folder, "bare-"));
    for (const tool of ["sh", "base64", "sha256sum"]) symlinkSync(`/usr/bin/${tool}`, join(bare, tool));
    const { status, stderr } = spawnSync("/bin/sh", ["-s"], {
      ...{ input: installer(workspace, ""), encoding: "utf8", env: { PATH: bare } },
    });
    expect([status, stderr]).toEqual([
      3,
      expect.stringMatching(/^error: scripts: this host has no gzip, .*Install its package/),
    ]);
    expect(readdirSync(workspace)).toEqual([]);
  });

  it("does nothing where its text was cut off", () => {
    const text = installer("", "");
    for (const at of [1, 200, 3000, text.length / 2, text.indexOf("\nEND\n"), text.length - 130, text.length - 3]) {
      const workspace = mkdtempSync(join(folder, "one-"));
      const { status } = spawnSync("sh", ["-s"], { input: installer(workspace, "").slice(0, at) });
      expect([at, status === 0, readdirSync(workspace)]).toEqual([at, false, []]);
    }
  });

  it("leaves nothing half-laid where it fails, nor what one that was killed left", () => {
    const workspace = mkdtempSync(join(folder, "one-"));
    const bare = mkdtempSync(join(folder, "bare-"));
    for (const tool of ["sh", "ls", "mkdir", "mv", "rmdir", "rm", "cat", "base64", "sha256sum"])
      symlinkSync(`/usr/bin/${tool}`, join(bare, tool));
    writeFileSync(join(bare, "gzip"), "#!/bin/sh\necho no room >&2; exit 1\n", { mode: 0o755 });
    mkdirSync(join(workspace, "bin.new.4194305"));
    mkdirSync(join(workspace, "run.new.4194305"));
    const { status, stderr } = spawnSync("/bin/sh", ["-s"], {
      ...{ input: installer(workspace, ""), encoding: "utf8", env: { PATH: bare } },
    });
    expect([status, stderr, readdirSync(workspace)]).toEqual([1, "no room\n", ["run"]]);
  });

  const other = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-s"];
  const noOther = process.getuid?.() === 0 && spawnSync("setpriv", ["--version"]).status === 0;
  it.skipIf(!noOther)("leaves a workspace of another login as it is, and names whose it is", () => {
    const workspace = mkdtempSync(join(tmpdir(), "atelier-bin-"));
    chmodSync(workspace, 0o777);
    execFileSync("sh", ["-s"], { input: installer(workspace, "") });
    const { status, stderr } = spawnSync(other[0] as string, other.slice(1), {
      ...{ input: installer(workspace, "again"), encoding: "utf8" },
    });
    expect([status, stderr]).toEqual([
      3,
      expect.stringMatching(/may not write to \S+\/bin, which is root's\. Nothing was changed\. Set host\.user/),
    ]);
    expect(readdirSync(workspace).sort()).toEqual(["bin", "run"]);
  });

  const mounts = spawnSync("unshare", ["--mount", "true"]).status === 0;
  const why = mounts ? "" : " (skipped: nothing may be mounted here)";
  it.skipIf(!mounts)(`tells a read-only disk from a workspace of another login${why}`, () => {
    const workspace = mkdtempSync(join(folder, "one-"));
    const mounted = `mount -t tmpfs -o ro tmpfs '${workspace}' && exec sh -s`;
    const { status, stderr } = spawnSync("unshare", ["--mount", "sh", "-c", mounted], {
      ...{ input: installer(workspace, ""), encoding: "utf8" },
    });
    expect([status, stderr]).toEqual([
      3,
      `error: scripts: the file system of ${workspace} is read-only. Nothing was changed. Have it mounted for writing, or set host.workspace to a folder on another disk\n`,
    ]);
  });

  const folderWith = (...files: string[]) => {
    const workspace = join(mkdtempSync(join(folder, "one-")), "disk");
    for (const file of files) {
      mkdirSync(dirname(join(workspace, file)), { recursive: true });
      writeFileSync(join(workspace, file), "theirs");
    }
    return workspace;
  };
  const install = (workspace: string) => spawnSync("sh", ["-s"], { input: installer(workspace, ""), encoding: "utf8" });
  const filesBelow = (folder: string) =>
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => join(parentPath, name).slice(folder.length + 1))
      .sort();

  it("refuses somebody's folder by what it has under our names, and leaves it as it was", () => {
    const files = ["bin/backup.sh", "data/notes.txt", "models/my.safetensors", "src/thesis/a.tex", "venv/bin/z"];
    const workspace = folderWith(...files, "photos/1.jpg");
    const { status, stdout, stderr } = install(workspace);
    expect([status, stdout]).toEqual([3, ""]);
    expect(stderr).toMatch(/error: scripts: .*\/disk .*: bin src venv models data\b.*such as \S+\/disk\/atelier/s);
    expect(filesBelow(workspace)).toEqual([...files, "photos/1.jpg"].sort());
  });

  it("takes an empty folder, one with other things in it, and every kind of workspace of ours", () => {
    const laid = (workspace: string) => {
      const { status, stderr } = install(workspace);
      expect(status, stderr).toBe(0);
      return readFileSync(join(workspace, "run", "id"), "utf8");
    };
    expect(laid(folderWith())).toMatch(/^[0-9a-f-]{36}\n$/);
    expect(laid(folderWith("notes.txt", "cache/sha256/x"))).toMatch(/^[0-9a-f-]{36}\n$/);
    // Cut off by an earlier version once `bin` lay there.
    const half = folderWith("bin/00-workspace.sh", "run/workspace/lock/pid");
    expect(laid(half)).toMatch(/^[0-9a-f-]{36}\n$/);
    expect(laid(half)).toBe(readFileSync(join(half, "run", "id"), "utf8"));
    // As an image of `atelier image` has it.
    expect(laid(folderWith("venv/.atelier-wheels", "src/webui/launch.py", "tools/uv.lock"))).toMatch(/^[0-9a-f-]/);
    // Cut off before `bin` lay there: by then it has its identity.
    const cut = folderWith();
    laid(cut);
    rmSync(join(cut, "bin"), { recursive: true });
    laid(cut);
    // What an order to purge left where nothing was.
    const purged = folderWith("run/purge");
    laid(purged);
    expect(filesBelow(join(purged, "run"))).toEqual(["id"]);
  });
});
