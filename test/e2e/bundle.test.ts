import { execFileSync, spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Manifest } from "../../scripts/cli/bundle/manifest.ts";
import { asBox, noSshd, type Sshd, startSshd } from "../helpers/sshd.ts";
import { FileServer, honest as honestly, safetensors } from "../host/lib/server.ts";
import { Project, plain } from "./project.ts";

/** Why no namespace without a network can be made here. */
const noNamespace =
  spawnSync("unshare", ["-n", "sh", "-c", "ip link set lo up"]).status === 0
    ? undefined
    : "no network namespace may be made here (unshare -n as root, and ip)";

/** Why no file system can be mounted here. */
const noMount =
  spawnSync("unshare", ["-m", "mount", "-t", "tmpfs", "tmpfs", tmpdir()]).status === 0
    ? undefined
    : "no file system may be mounted here";

describe.skipIf(noSshd)("a bundle", () => {
  let project: Project;
  let box: Sshd;
  let folder: string;
  let disk: string;
  const manifest = () => JSON.parse(readFileSync(join(folder, "bundle.json"), "utf8")) as Manifest;
  const emptyCache = () => {
    rmSync(join(project.home, "cache"), { recursive: true, force: true });
    mkdirSync(join(project.home, "cache"));
  };
  const settings = (host: Record<string, unknown> = {}, more: Record<string, object> = {}) =>
    project.settings({
      ...more,
      host: {
        ...asBox(box),
        ...plain,
        workspace: join(disk, "ws"),
        cache: join(disk, "cache"),
        ...host,
      },
    });
  const succeeds = async (args: string[]) => {
    const answer = await project.atelier(args);
    expect(answer.exitCode, answer.all).toBe(0);
    return answer.all;
  };

  beforeAll(async () => {
    project = new Project();
    box = await startSshd();
    disk = mkdtempSync(join(tmpdir(), "atelier-box-"));
    folder = mkdtempSync(join(tmpdir(), "atelier-bundle-"));
    await project.settings();
    await succeeds(["bundle", "create", folder]);
  });
  afterAll(async () => {
    await project.remove();
    await box.stop();
    for (const path of [folder, disk]) rmSync(path, { recursive: true, force: true });
  });

  it("names every file by its sha256; create goes on where it was cut, and mends what is broken", async () => {
    const { git, models, wheels, tokenizer, files } = manifest();
    expect([git.length, models.length, tokenizer.files.length]).toEqual([7, 2, 5]);
    expect(wheels.map(({ project }) => project)).toEqual(expect.arrayContaining(["pillow", "supervisor", "uv"]));
    for (const { path, sha256 } of files.filter(({ bytes }) => bytes < 1e6).slice(0, 20))
      expect(execFileSync("sha256sum", [join(folder, path)], { encoding: "utf8" }).split(" ")[0]).toBe(sha256);

    const [model] = models;
    truncateSync(join(folder, model?.path ?? ""), 1000);
    const cut = await project.atelier(["up", "--upstreams", `bundle:${folder}`]);
    expect([cut.exitCode, cut.all]).toEqual([1, expect.stringContaining("is not whole")]);
    expect(await succeeds(["bundle", "create", folder])).toContain(`model ${model?.name}`);
    expect(manifest().files).toEqual(files);
  });

  it.skipIf(noMount)(
    "on a disk without room, or read-only, is refused in a sentence; a whole one stays whole",
    async () => {
      const small = mkdtempSync(join(tmpdir(), "atelier small 盘-"));
      const inside = join(small, "bundle");
      execFileSync("mount", ["-t", "tmpfs", "-o", "size=100m", "tmpfs", small]);
      try {
        await project.settings();
        const full = await project.atelier(["bundle", "create", inside]);
        expect([full.exitCode, full.all]).toEqual([
          1,
          expect.stringMatching(/The bundle wants \S+ MB more, and .* free/),
        ]);
        expect(readdirSync(inside)).toEqual([]);
        execFileSync("mount", ["-o", "remount,size=1g", small]);
        cpSync(folder, inside, { recursive: true });
        execFileSync("mount", ["-o", "remount,ro", small]);
        const readOnly = await project.atelier(["bundle", "create", inside]);
        expect([readOnly.exitCode, readOnly.all]).toEqual([
          1,
          expect.stringContaining(`${inside} can't be written to: EROFS`),
        ]);
        expect(JSON.parse(readFileSync(join(inside, "bundle.json"), "utf8"))).toEqual(manifest());
      } finally {
        execFileSync("umount", [small]);
        rmSync(small, { recursive: true });
      }
    },
  );

  it("that is none, and a profile that is none, are refused before anything happens", async () => {
    const none = await project.atelier(["up", "--upstreams", `bundle:${disk}`]);
    expect([none.exitCode, none.all]).toEqual([2, expect.stringContaining("is no bundle")]);
    const typo = await project.atelier(["up", "--upstreams", "chian"]);
    expect([typo.exitCode, typo.all]).toEqual([2, expect.stringContaining("direct, china, offline, auto")]);
  });

  it.skipIf(noNamespace)("is enough: the whole up without a network and with an empty cache", async () => {
    await project.settings();
    // What runs on this machine's network is of no use in there.
    await succeeds(["down"]);
    emptyCache();
    // The host and the WebUI live in there too: it all has to happen in one.
    const main = join(project.dir, "scripts/cli/main.ts");
    const run = (...args: string[]) =>
      `'${process.execPath}' -e 'import("${main}").then(({ main }) => main(process.argv.slice(1))).then((code) => { process.exitCode = code; })' -- ${args.join(" ")} --stack t --yes`;
    const script = [
      "set -eu",
      "ip link set lo up",
      'test "$(ls /sys/class/net | wc -l)" = 1 || ! ip route | grep -q default',
      run("up", "--skip-preview", "--upstreams", `bundle:${folder}`),
      `cp -r '${join(project.home, "t/report")}' '${join(project.home, "report")}'`,
      run("down"),
    ].join("\n");
    const { status, stdout, stderr } = spawnSync("unshare", ["-n", "sh", "-c", script], {
      cwd: project.dir,
      env: { ...process.env, ATELIER_HOME: project.home },
      encoding: "utf8",
      timeout: 540_000,
    });
    expect(status, stdout + stderr).toBe(0);
    expect(stdout).toContain("created, in");
    expect(readdirSync(join(project.home, "report")).filter((name) => name.endsWith(".png"))).toHaveLength(4);
    emptyCache();
  });

  it("reaches a host over SSH through a forward of its loopback; what came is said to come from there", async () => {
    await settings();
    await succeeds(["up", "--skip-preview", "--upstreams", `bundle:${folder}`]);
    const applied = readFileSync(join(disk, "ws/run/sources/applied"), "utf8");
    const base = /^git=(http:\/\/127\.0\.0\.1:\d+\/)git\/$/m.exec(applied)?.[1];
    expect(base).toBeDefined();
    const facts = JSON.parse(readFileSync(join(disk, "ws/run/sources/facts"), "utf8")) as {
      items: { source: string }[];
    };
    expect(new Set(facts.items.map(({ source }) => source))).toEqual(new Set([`${base}git/`]));
    // The line ended with the command.
    await expect(fetch(`${base}simple/`)).rejects.toThrow();
    await succeeds(["down", "--purge"]);
    // With all that the sources and the packages left there.
    expect(existsSync(join(disk, "cache"))).toBe(false);
  });

  it("that lacks something is refused with all of it, before anything is made", async () => {
    const poor = mkdtempSync(join(tmpdir(), "atelier poor 缺-"));
    cpSync(folder, poor, { recursive: true });
    const whole = manifest();
    const without = {
      ...whole,
      git: whole.git.slice(1),
      models: whole.models.slice(1),
      wheels: whole.wheels.filter(({ project: name }) => name !== "pillow" && name !== "aiohttp"),
    };
    writeFileSync(join(poor, "bundle.json"), JSON.stringify(without));
    await settings();
    const { exitCode, all } = await project.atelier(["up", "--skip-preview", "--upstreams", `bundle:${poor}`]);
    expect(exitCode, all).toBe(1);
    expect(all).toMatch(/this host is refused, nothing was installed/);
    expect(all).toContain(`neither the bundle nor this host's cache (${join(disk, "cache")}) has: `);
    for (const name of [
      `repository ${whole.git[0]?.name}`,
      `model ${whole.models[0]?.name}`,
      /package pillow \d/,
      /package aiohttp \d/,
    ])
      expect(all).toMatch(name);
    expect(all.match(/(repository|model|package|tokenizer) \S+/g)).toHaveLength(4);
    expect(existsSync(join(disk, "ws/venv"))).toBe(false);
    await succeeds(["down", "--purge"]);
    rmSync(poor, { recursive: true, force: true });
  });

  it("is pushed into a host's cache: resumed, checked there, and enough for up offline", async () => {
    // As `models add` writes one of a plain address: its sha256 is known once it was fetched.
    const server = new FileServer(honestly(safetensors(20_000)));
    await server.start();
    const sources = [{ url: `${server.base}own.safetensors` }];
    const own = { name: "own", kind: "lora", file: "own.safetensors", sources };
    await settings({}, { models: ["v1-5-pruned-emaonly", "v1-5-pruned-emaonly-ckpt", own] });
    await succeeds(["bundle", "create", folder]);
    server.stop();
    const { models, files } = manifest();
    const [model] = models;
    // What an earlier, cut push left: a true beginning of one file, and a false one of another.
    const [honest, lying] = [model, models[1]];
    for (const file of [honest, lying])
      mkdirSync(join(disk, "cache/bundle", file?.path ?? "", ".."), { recursive: true });
    const begun = readFileSync(join(folder, honest?.path ?? "")).subarray(0, 1_000_000);
    writeFileSync(join(disk, "cache/bundle", honest?.path ?? ""), begun);
    writeFileSync(join(disk, "cache/bundle", lying?.path ?? ""), Buffer.alloc(1_000_000));
    const first = await project.atelier(["bundle", "push", folder]);
    expect([first.exitCode, first.all]).toEqual([1, expect.stringContaining(`not what was sent: ${lying?.path}`)]);
    expect(first.all).not.toContain(`not what was sent: ${honest?.path}`);
    const second = await succeeds(["bundle", "push", folder]);
    expect(second).toContain(`${files.length} files laid into`);
    // Of what the stack wants it lacks nothing.
    expect(second).not.toContain("It was made for");
    expect(existsSync(join(disk, "cache/sha256", model?.sha256 ?? ""))).toBe(true);
    expect(await succeeds(["bundle", "push", folder])).toContain(`${files.length} of ${files.length} files are on`);

    await succeeds(["up", "--skip-preview", "--upstreams", "offline"]);
    for (const step of ["sources", "wheels"]) {
      const facts = JSON.parse(readFileSync(join(disk, "ws/run", step, "facts"), "utf8")) as { fetchedBytes: number };
      expect(facts.fetchedBytes).toBe(0);
    }
    await succeeds(["down", "--purge"]);
    // What a bundle laid there before the first workspace is no stranger's.
    expect(existsSync(join(disk, "cache"))).toBe(false);
  });
});
