import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer as createHttp } from "node:http";
import { type AddressInfo, createServer, type Server } from "node:net";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { torchBuilds } from "../../images/torch.ts";
import { torchInputs } from "../../stacks/inputs.ts";
import { type Inputs, Workspace } from "./lib/workspace.ts";

let workspace: Workspace;
const servers: Server[] = [];
beforeEach(() => {
  workspace = new Workspace();
});
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
  workspace.destroy();
});

async function listen(server: Server): Promise<number> {
  servers.push(server);
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return (server.address() as AddressInfo).port;
}

const wants: Inputs = {
  gpu: "required",
  ...torchInputs({ torch: torchBuilds.cu121 }),
  min_vram_mb: 6000,
  disk_mb: 100,
  port: 1,
  listen: "127.0.0.1",
  python: "3.10",
  owner: "atelier/a",
};

/** A host whose nvidia-smi answers with these lines: index, name, driver, MB, compute capability. */
function gpus(...lines: string[]): string {
  return workspace.commands({ "nvidia-smi": `#!/bin/sh\ncat <<'END'\n${lines.join("\n")}\nEND\n` });
}
const apply = (inputs: Inputs, path: string[] = []) =>
  workspace.run("10-preflight.sh", "apply", { ...wants, ...inputs }, { path });

describe("preflight, of the GPU", () => {
  it("refuses a host without nvidia-smi, and says what to do", async () => {
    const { code, stderr } = await apply({});
    expect(code).toBe(3);
    expect(stderr).toMatch(/no GPU: there is no nvidia-smi.*host\.gpu to none/);
  });

  it("refuses one whose nvidia-smi finds no device", async () => {
    const path = workspace.commands({ "nvidia-smi": "#!/bin/sh\necho 'No devices were found'\nexit 6\n" });
    const { code, stderr } = await apply({}, [path]);
    expect(code).toBe(3);
    expect(stderr).toContain("nvidia-smi found no usable GPU (exit code 6: No devices were found)");
  });

  it("refuses a driver too old for CUDA 12.1", async () => {
    const { code, stderr } = await apply({}, [gpus("0, NVIDIA A10, 525.105.17, 23028, 8.6")]);
    expect(code).toBe(3);
    expect(stderr).toContain("the GPU driver is 525.105.17; CUDA 12.1 wants 530 or later");
  });

  it("refuses too little memory", async () => {
    const { code, stderr } = await apply({}, [gpus("0, NVIDIA T1000, 535.54, 4096, 7.5")]);
    expect(code).toBe(3);
    expect(stderr).toContain("GPU 0 (NVIDIA T1000) has 4096 MB of memory; wanted: 6000 MB");
  });

  it("refuses an architecture that torch for CUDA 12.1 does not know", async () => {
    const { code, stderr } = await apply({}, [gpus("0, NVIDIA GeForce RTX 5090, 570.86, 32607, 12.0")]);
    expect(code).toBe(3);
    expect(stderr).toMatch(
      /RTX 5090\) has compute capability 12\.0 \(sm_120\); torch 2\.1\.2 for CUDA 12\.1 goes up to sm_90 .*: set webui\.torch to cu128, or choose an older GPU/,
    );
    const next = await apply({}, [gpus("0, NVIDIA Next, 999.1, 32607, 13.0")]);
    expect(next.code).toBe(3);
    expect(next.stderr).toMatch(/sm_130\).*can't use it: choose an older GPU \(GTX 9xx to/);
  });

  it("takes with the build for CUDA 12.8 what has code in it, and names the other build where that would do", async () => {
    const newer = torchInputs({ torch: torchBuilds.cu128 });
    const blackwell = await apply(newer, [gpus("0, NVIDIA GeForce RTX 5090, 570.86, 32607, 12.0")]);
    expect(blackwell.code, blackwell.stderr).toBe(0);
    expect(blackwell.facts).toMatchObject({ gpu: "NVIDIA GeForce RTX 5090", compute_capability: "12.0" });
    const pascal = await apply(newer, [gpus("0, NVIDIA GeForce GTX 1080 Ti, 570.86, 11264, 6.1")]);
    expect(pascal.code).toBe(3);
    expect(pascal.stderr).toMatch(
      /capability 6\.1; torch 2\.8\.0 for CUDA 12\.8 wants sm_\d\d or later: set webui\.torch to cu121, or choose/,
    );
    const old = await apply(newer, [gpus("0, NVIDIA GeForce RTX 4090, 550.54, 24564, 8.9")]);
    expect(old.code).toBe(3);
    expect(old.stderr).toMatch(
      /driver is 550\.54; CUDA 12\.8 wants 570 or later\. .*newer driver, or, for a GPU up to sm_90, set webui\.torch to cu121/,
    );
    const older = await apply(newer, [gpus("0, NVIDIA A10, 525.105.17, 23028, 8.6")]);
    expect(older.code).toBe(3);
    expect(older.stderr).toMatch(/driver is 525.*choose a box with a newer driver$/m);
  });

  it("takes the first of two that fits, and names it", async () => {
    const path = gpus("0, NVIDIA T1000, 535.54, 4096, 7.5", "1, NVIDIA GeForce RTX 4090, 535.54, 24564, 8.9");
    const { code, stderr, facts } = await apply({}, [path]);
    expect(code, stderr).toBe(0);
    expect(stderr).toContain("2 GPUs; using GPU 1 (NVIDIA GeForce RTX 4090, 24564 MB)");
    expect(facts).toMatchObject({ gpus: 2, gpu_index: 1, vram_mb: 24564, compute_capability: "8.9", driver: "535.54" });
    expect(workspace.file("run", "vram")).toBe("24564\n");
    expect(workspace.file("run/gpu")).toBe("1\n");
  });

  it("hears the answer among lines of the loader's and of warnings", async () => {
    const noise = "ERROR: ld.so: object 'libtcmalloc_minimal.so.4' from LD_PRELOAD cannot be preloaded: ignored.";
    const answer = "0, NVIDIA GeForce RTX 4090, 550.54, 24564, 8.9";
    const warning = "WARNING: infoROM is corrupted at gpu 0000:01:00.0";
    for (const lines of [
      [noise, answer],
      [warning, answer, warning],
    ]) {
      const { code, stderr, facts } = await apply({ min_vram_mb: 0 }, [gpus(...lines)]);
      expect(code, stderr).toBe(0);
      expect(facts).toMatchObject({ gpu: "NVIDIA GeForce RTX 4090", gpus: 1, gpu_index: 0, vram_mb: 24564 });
      expect([workspace.file("run/gpu"), facts.driver]).toEqual(["0\n", "550.54"]);
    }
    // nvidia-smi's own code for that warning.
    const path = workspace.commands({ "nvidia-smi": `#!/bin/sh\necho '${answer}'\necho '${warning}'\nexit 14\n` });
    const warned = await apply({}, [path]);
    expect([warned.code, warned.stderr]).toEqual([0, expect.stringContaining(warning)]);
  });

  it("says that a driver is too old which does not know what is asked for", async () => {
    const path = workspace.commands({
      "nvidia-smi": `#!/bin/sh\ncase $* in *compute_cap*) echo 'Field "compute_cap" is not a valid field to query.'; exit 2 ;; esac\necho '0, Tesla T4, 450.80.02, 15109'\n`,
    });
    const { code, stderr } = await apply({}, [path]);
    expect(code).toBe(3);
    expect(stderr).toContain("the GPU driver is 450.80.02; CUDA 12.1 wants 530 or later");
    expect(stderr).not.toContain("start the box");
  });

  it("lets pass what does not tell its memory, with a warning; a driver without a version is refused in words", async () => {
    for (const untold of ["[Insufficient Permissions]", "[N/A]"]) {
      const { code, stderr, facts } = await apply({}, [gpus(`0, NVIDIA A100-SXM4-80GB, 535.54, ${untold}, 8.0`)]);
      expect(code, stderr).toBe(0);
      expect(stderr).toContain(`does not tell the memory of GPU 0 (NVIDIA A100-SXM4-80GB): ${untold}`);
      expect(facts).toMatchObject({ gpu: "NVIDIA A100-SXM4-80GB", gpu_index: 0 });
      expect(existsSync(join(workspace.path, "run/vram"))).toBe(false);
    }
    const { code, stderr } = await apply({}, [gpus("0, NVIDIA A10, [N/A], 23028, 8.6")]);
    expect([code, stderr]).toEqual([3, expect.stringContaining('the GPU driver is "[N/A]", which is no version')]);
    expect(stderr).not.toMatch(/number/);
  });

  it("does not wait for an nvidia-smi that hangs and does not hear", async () => {
    const path = workspace.commands({
      "nvidia-smi": "#!/bin/sh\ntrap '' TERM\nwhile :; do sleep 1; done\n",
      // The same in less time.
      timeout:
        '#!/bin/sh\ncase $1 in -k) shift 3; set -- -k 0.2 0.5 "$@" ;; *) shift; set -- 0.5 "$@" ;; esac\nexec /usr/bin/timeout "$@"\n',
    });
    const { code, stderr } = await apply({}, [path]);
    expect([code, stderr]).toEqual([3, expect.stringContaining("nvidia-smi did not answer within 20 s")]);
  });

  it("finds the GPUs of before, below any driver that will do; with others, or none, it is to be applied again with what goes by them", async () => {
    const rtx = "NVIDIA GeForce RTX 4090";
    const row = (index: number, driver = "535.54") => `${index}, ${rtx}, ${driver}, 24564, 8.9`;
    const check = (...path: string[]) => workspace.run("10-preflight.sh", "check", wants, { path });
    expect((await apply({}, [gpus(row(0), row(1))])).code).toBe(0);
    expect((await check(gpus(row(0), row(1)))).code).toBe(0);
    expect((await check(gpus("a loader's word", row(0, "550.1"), row(1, "550.1")))).code).toBe(0);
    const silent = workspace.commands({ "nvidia-smi": "#!/bin/sh\necho 'No devices were found'\nexit 6\n" });
    for (const [path, why] of [
      [gpus(row(0)), `the host has other GPUs than it had: ${rtx}`],
      [gpus(row(0), "1, NVIDIA A10, 535.54, 23028, 8.6"), `the host has other GPUs than it had: ${rtx},NVIDIA A10`],
      [silent, "nvidia-smi finds no GPU any more (No devices were found)"],
      ["/nowhere", "nvidia-smi is gone from the host"],
    ] as const) {
      const { code, stderr } = await check(path);
      expect([code, stderr]).toEqual([10, `${why}\nalso: config service\n`]);
    }
    const owner = workspace.file("run/owner");
    rmSync(join(workspace.path, "run/owner"));
    expect((await check(gpus(row(0)))).stderr).toContain("\nalso: config service\n");
    writeFileSync(join(workspace.path, "run/owner"), owner);
    // A box that was moved below an older driver: nothing goes by that, but preflight has to refuse it.
    const old = await check(gpus(row(0, "525.105"), row(1, "525.105")));
    expect([old.code, old.stderr]).toEqual([10, "the GPU driver is 525.105 by now; CUDA 12.1 wants 530 or later\n"]);
    // A refused one is not the one to compare with.
    expect((await apply({}, [gpus("0, NVIDIA T1000, 535.54, 4096, 7.5")])).code).toBe(3);
    expect((await check(gpus("0, NVIDIA T1000, 535.54, 4096, 7.5"))).code).toBe(10);
  });

  it("asks for none where the settings say none", async () => {
    const { code, facts } = await apply({ gpu: "none" });
    expect([code, facts.gpu]).toEqual([0, "none"]);
  });
});

describe("preflight, of the memory", () => {
  const all = () => {
    const [memory, swap] = ["MemTotal", "SwapTotal"].map((name) =>
      Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(readFileSync("/proc/meminfo", "utf8"))?.[1]),
    );
    return Math.floor(((memory ?? 0) + (swap ?? 0)) / 1024);
  };
  /** A host of which the box may have so much, as the two versions of control groups say it. */
  const group = (files: Record<string, string>) => {
    const dir = join(workspace.top, "cgroup");
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(dirname(join(dir, name)), { recursive: true });
      writeFileSync(join(dir, name), `${text}\n`);
    }
    return { CGROUP: dir };
  };
  const under = (inputs: Inputs, files: Record<string, string>) =>
    workspace.run("10-preflight.sh", "apply", { ...wants, gpu: "none", ...inputs }, { env: group(files) });

  it("refuses a box with too little, by its control group where the host has more", async () => {
    for (const file of ["memory.max", "memory/memory.limit_in_bytes"]) {
      const { code, stderr } = await under({ min_ram_mb: 3000 }, { [file]: String(2048 * 1024 * 1024) });
      expect(code).toBe(3);
      expect(stderr).toContain("the host has 2048 MB of memory, swap included; wanted: 3000 MB");
      rmSync(join(workspace.top, "cgroup"), { recursive: true });
    }
    const { code, stderr } = await under({ min_ram_mb: all() + 1 }, { "memory.max": "max" });
    expect([code, stderr]).toEqual([3, expect.stringContaining(`the host has ${all()} MB of memory`)]);
  });

  it("takes what has enough, and knows no limit above what is there", async () => {
    const { code, stderr, facts } = await under(
      { min_ram_mb: all() },
      { "memory.max": "max", "memory/memory.limit_in_bytes": "9223372036854771712" },
    );
    expect(code, stderr).toBe(0);
    expect(facts.memory_mb).toBe(all());
    // Started again without its GPU, it may have less.
    const env = group({ "memory.max": String(64 * 1024 * 1024) });
    const less = await workspace.run("10-preflight.sh", "check", workspace.file("run/preflight/applied"), { env });
    const why = `the host has 64 MB of memory by now; wanted: ${all()} MB\n`;
    expect([less.code, less.stderr]).toEqual([10, why]);
  });
});

describe("preflight", () => {
  it("says every refusal at once", async () => {
    const { code, stdout, stderr } = await apply({ disk_mb: 1e9, upstreams: [["git", "http://127.0.0.1:1/git/"]] }, [
      gpus("0, NVIDIA T1000, 470.1, 4096, 7.5"),
    ]);
    expect([code, stdout]).toEqual([3, ""]);
    for (const reason of ["driver is 470.1", "4096 MB of memory", "MB free", "no upstream of kind git"]) {
      expect(stderr).toContain(reason);
    }
  });

  it.skipIf(spawnSync("unshare", ["-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]).status !== 0)(
    "refuses a workspace from which nothing may be started (needs a mount)",
    async () => {
      const run = join(workspace.path, "run");
      const mount = `mkdir -p '${run}' && mount -t tmpfs -o noexec tmpfs '${run}' && exec sh "$0" "$@"`;
      const { code, stderr } = await workspace.run(
        "10-preflight.sh",
        "apply",
        { ...wants, gpu: "none" },
        { shell: ["unshare", "-m", "sh", "-c", mount] },
      );
      expect(code).toBe(3);
      expect(stderr).toMatch(
        new RegExp(`no program may be started from \\S+: ${run} is mounted noexec.*host\\.workspace`),
      );
    },
  );

  it("refuses no box whose df tells nothing, and says that nobody looked", async () => {
    const path = workspace.commands({
      df: "#!/bin/sh\necho 'df: cannot read table of mounted file systems' >&2\nexit 1\n",
    });
    const { code, stderr, facts } = await apply({ gpu: "none" }, [path]);
    expect([code, stderr]).toEqual([0, expect.stringContaining("df does not tell what is free at")]);
    expect(facts).not.toHaveProperty("disk_free_mb");
  });

  it("names who listens on the port", async () => {
    const port = await listen(createServer());
    const { code, stderr } = await apply({ gpu: "none", port });
    expect(code).toBe(3);
    expect(stderr).toContain(`port ${port} is taken by process ${process.pid} `);
    const behind = await apply({ gpu: "none", inner_port: port });
    expect(behind.stderr).toMatch(new RegExp(`port ${port} is taken .* set another webui\\.gate\\.innerPort`));
  });

  it("says whose WebUI it is that holds the port", async () => {
    const other = new Workspace();
    try {
      await other.run("00-workspace.sh", "apply", {});
      writeFileSync(join(other.path, "run", "owner"), "atelier/b\n");
      other.script(
        "gate.py",
        "import socket, time\ns = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(); print(s.getsockname()[1], flush=True); time.sleep(600)\n",
      );
      // Ended with its workspace.
      const gate = spawn("python3", [join(other.bin, "gate.py")], { stdio: ["ignore", "pipe", "inherit"] });
      const port = Number(await new Promise((resolve) => gate.stdout.once("data", resolve)));
      const { code, stderr } = await apply({ gpu: "none", port });
      expect(code).toBe(3);
      expect(stderr).toContain(
        `it is the workspace ${other.path} of the stack atelier/b; take that down, end it, or set`,
      );
    } finally {
      other.destroy();
    }
  });

  it("refuses a workspace of another stack, and takes its own again", async () => {
    expect((await apply({ gpu: "none" })).code).toBe(0);
    const other = await apply({ gpu: "none", owner: "atelier/b" });
    expect(other.code).toBe(3);
    expect(other.stderr).toContain("belongs to the stack atelier/a, not to atelier/b");
    expect((await apply({ gpu: "none" })).code).toBe(0);
    expect((await workspace.run("10-preflight.sh", "check", wants)).code).toBe(10);
    expect((await workspace.run("10-preflight.sh", "check", { ...wants, gpu: "none" })).code).toBe(0);
  });

  it("takes the workspace of a renamed stack over, by the workspace's identity alone", async () => {
    const { facts } = await workspace.run("00-workspace.sh", "apply", { owner: "atelier/a" });
    expect((await apply({ gpu: "none" })).code).toBe(0);
    expect((await apply({ gpu: "none", owner: "atelier/b", renamed: "another" })).code).toBe(3);
    const renamed = await apply({ gpu: "none", owner: "atelier/b", renamed: String(facts.id) });
    expect(renamed.code, renamed.stderr).toBe(0);
    expect(renamed.stderr).toContain("carries the name atelier/a; that stack was renamed to atelier/b");
    expect(workspace.file("run/owner")).toBe("atelier/b\n");
    expect((await apply({ gpu: "none" })).code).toBe(3);
  });

  it("tells which upstream of a kind answers first; a dead one beside a living one is no refusal", async () => {
    const slow = await listen(createHttp((_, answer) => setTimeout(() => answer.writeHead(404).end(), 2500)));
    const quick = await listen(createHttp((_, answer) => answer.end("here")));
    const upstreams = [
      ["git", "http://127.0.0.1:1/"],
      ["git", `http://127.0.0.1:${slow}/git/`],
      ["git", `http://127.0.0.1:${quick}/git/`],
      ["huggingface", `http://127.0.0.1:${slow}/hf/`],
    ];
    const { code, stderr, facts } = await apply({ gpu: "none", upstreams });
    expect(code, stderr).toBe(0);
    expect(facts.upstreams).toMatchObject({
      git: { best: `http://127.0.0.1:${quick}/git/` },
      huggingface: { best: `http://127.0.0.1:${slow}/hf/` },
    });
    expect(stderr).toContain("does not answer, another of kind git does: http://127.0.0.1:1/");
  });

  it("waits at most 5 s for one that accepts and says nothing", async () => {
    const stuck = await listen(createServer(() => undefined));
    const { code, stderr } = await apply({ gpu: "none", upstreams: [["pypi", `http://127.0.0.1:${stuck}/simple`]] });
    expect(code).toBe(3);
    expect(stderr).toContain("no upstream of kind pypi answers");
  });

  it("tells of the host what later steps and people want to know", async () => {
    const { facts } = await apply({ gpu: "none" });
    expect(facts).toMatchObject({ arch: "x86_64" });
    expect(facts.pythons).toMatch(/3\.\d+/);
  });

  it("asks by Python where there is no curl", async () => {
    const port = await listen(createHttp((_, answer) => answer.end("here")));
    const bare = join(workspace.top, "bare");
    mkdirSync(bare);
    const tools =
      "sh sed awk cat cut tr head tail grep mkdir mv rm rmdir date dirname basename df du sort uname getconf id wc sleep sha256sum python3 ls find stat cp chmod";
    for (const tool of tools.split(" "))
      writeFileSync(join(bare, tool), `#!/bin/sh\nPATH=${process.env.PATH} exec ${tool} "$@"\n`, { mode: 0o755 });
    const { code, stderr, facts } = await workspace.run(
      "10-preflight.sh",
      "apply",
      { ...wants, gpu: "none", upstreams: [["git", `http://127.0.0.1:${port}/`]] },
      { onlyPath: bare, shell: ["/bin/dash"] },
    );
    expect(code, stderr).toBe(0);
    expect(facts.upstreams).toMatchObject({ git: { best: `http://127.0.0.1:${port}/` } });
  });
});
