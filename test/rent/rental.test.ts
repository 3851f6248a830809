import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { stopHost } from "../../rehearsal/host.ts";
import { noSshd } from "../helpers/sshd.ts";
import { until } from "../helpers/until.ts";

const root = resolve(import.meta.dirname, "../..");
const provider = `node ${join(import.meta.dirname, "provider.ts")}`;

describe.skipIf(noSshd)("a rental, against a provider of real SSH servers", () => {
  let folder: string;
  const marker = () => join(folder, "home", "box", "renting.json");
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "atelier-rent-"));
  });
  afterEach(async () => {
    for (const name of readdirSync(folder)) if (name.startsWith("box-")) await stopHost({ dir: join(folder, name) });
    rmSync(folder, { recursive: true, force: true });
  });

  function start(what: string, env: Record<string, string> = {}, order: object = {}) {
    const child = spawn(process.execPath, [join(root, "scripts/rent/main.ts"), what], {
      env: {
        ...process.env,
        ATELIER_HOME: join(folder, "home"),
        FAKE_FOLDER: folder,
        FAKE_API_KEY: "the-api-key",
        ...env,
      },
      stdio: ["pipe", "pipe", "pipe"],
      detached: true,
    });
    const told = { stdout: "", stderr: "" };
    child.stdout.on("data", (data) => {
      told.stdout += data;
    });
    child.stderr.on("data", (data) => {
      told.stderr += data;
    });
    const commands = { create: `${provider} create`, destroy: [...provider.split(" "), "destroy"] };
    child.stdin.end(JSON.stringify({ stack: "box", ...commands, timeout: 240, user: "root", ...order }));
    const finished = new Promise<{ code: number | null; stdout: string; stderr: string }>((done) =>
      child.on("close", (code) => done({ code, ...told })),
    );
    return { child, finished };
  }
  const run = (...args: Parameters<typeof start>) => start(...args).finished;
  const bill = () => readFileSync(join(folder, "log"), "utf8").trim().split("\n");
  const runs = (id: string) => existsSync(join(folder, id, "ssh", "sshd.pid"));

  it("that fails half-way is given back at once", async () => {
    const { code, stdout, stderr } = await run("create", { FAKE_FAULT: "half" });
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr).toMatch(/the platform hung up[\s\S]*host\.rent\.create ended with 7\..*nothing is rented/);
    expect(bill()).toEqual(["create box-1 for box", "destroy box-1"]);
    expect([runs("box-1"), existsSync(marker())]).toEqual([false, false]);
  });

  it("that prints no JSON is given back, and what it printed is not shown", async () => {
    const { code, stderr } = await run("create", { FAKE_FAULT: "words" });
    expect(code).toBe(1);
    expect(stderr).toMatch(/printed 12 characters that are no JSON .*wanted: \{"host"/);
    expect(stderr).not.toContain("rented box-1");
    expect(bill()).toEqual(["create box-1 for box", "destroy box-1"]);
  });

  it("of a box with another key than promised is given back", async () => {
    const { code, stderr } = await run("create", { FAKE_FAULT: "wrong-key" });
    expect(code).toBe(1);
    expect(stderr).toMatch(/shows the host key SHA256:\S+, and the rental names SHA256:/);
    expect(bill()).toEqual(["create box-1 for box", "destroy box-1"]);
  });

  it("that can't be given back either says that something may be billed; the next one ends it first", async () => {
    const { code, stderr } = await run("create", { FAKE_FAULT: "half", FAKE_DESTROY: "fail" });
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /the platform says no[\s\S]*it failed too: host\.rent\.destroy ended with 9.*may go on and be billed/,
    );
    const again = await run("create", { FAKE_DESTROY: "fail" });
    expect(again.stderr).toMatch(/was cut off; ending what it may have left[\s\S]*remove .*renting\.json/);
    expect(again.code).toBe(1);
    const mended = await run("create");
    expect(mended.code, mended.stderr).toBe(0);
    expect(bill()).toEqual([
      "create box-1 for box",
      "destroy box-1",
      "destroy box-1",
      "destroy box-1",
      "create box-2 for box",
    ]);
  });

  it("that was killed on its way is ended before the next", async () => {
    const { child, finished } = start("create", { FAKE_FAULT: "slow" });
    await until("it has begun to tell", () => existsSync(marker()) && readFileSync(marker(), "utf8").includes("box-1"));
    expect(statSync(marker()).mode & 0o777).toBe(0o600);
    // The command and what it started, as a lost machine would end them: nobody gets a word out.
    process.kill(-(child.pid ?? 0), "SIGKILL");
    await finished;
    const { code, stderr } = await run("create");
    expect(code, stderr).toBe(0);
    expect(stderr).toContain("was cut off; ending what it may have left");
    expect(bill()).toEqual(["create box-1 for box", "destroy box-1", "create box-2 for box"]);
  });

  it("that nobody takes, as the engine was killed meanwhile, is given back", async () => {
    const { child, finished } = start("create");
    for (const stream of [child.stdout, child.stderr]) stream.destroy();
    expect((await finished).code).toBe(1);
    expect(bill()).toEqual(["create box-1 for box", "destroy box-1"]);
    expect([runs("box-1"), existsSync(marker())]).toEqual([false, false]);
  });

  it("tells what it rented once its SSH server answers, again when asked, and ends", async () => {
    const made = await run("create");
    expect(made.code, made.stderr).toBe(0);
    const said = JSON.parse(made.stdout);
    expect(said).toMatchObject({ id: "box-1", host: "127.0.0.1", hostKey: expect.stringMatching(/^ssh-ed25519 /) });
    expect(existsSync(marker())).toBe(false);
    const again = await run("again", { PULUMI_COMMAND_STDOUT: made.stdout });
    expect(JSON.parse(again.stdout)).toEqual(said);
    const failed = await run("destroy", { PULUMI_COMMAND_STDOUT: made.stdout, FAKE_DESTROY: "fail" });
    expect([failed.code, failed.stderr]).toEqual([1, expect.stringContaining("the rental may go on and be billed")]);
    expect((await run("destroy", { PULUMI_COMMAND_STDOUT: made.stdout })).code).toBe(0);
    expect(runs("box-1")).toBe(false);
  });

  it("whose command hangs is given back after its time, and nothing of the command goes on", async () => {
    const hangs = { create: "echo '{'; sleep 301.5 | cat; echo never", destroy: "cat >&2", limit: 1 };
    const { code, stderr } = await run("create", {}, hangs);
    expect([code, stderr]).toEqual([
      1,
      expect.stringMatching(/^\{\n.*create did not end within 1 s.*nothing is rented/s),
    ]);
    expect(spawnSync("pgrep", ["-f", "sleep 301.5"], { encoding: "utf8" }).stdout).toBe("");
  });

  it("whose program is missing, or whose box never answers, is one clear error", async () => {
    const missing = await run("create", {}, { create: ["/no/such/program"], destroy: "true" });
    expect(missing.stderr).toMatch(/\/no\/such\/program could not be started.*nothing is rented/);
    const silent = { create: `echo '{"host":"127.0.0.1","port":1}'`, destroy: "true", timeout: 1 };
    const { code, stderr } = await run("create", {}, silent);
    expect(code).toBe(1);
    expect(stderr).toMatch(/the rented box does not answer within 1 s/);
  });
});
