import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { until } from "../helpers/until.ts";
import { hasSshd, Sshd } from "./lib/sshd.ts";
import { collect, Workspace } from "./lib/workspace.ts";

let workspace: Workspace;
beforeEach(() => {
  workspace = new Workspace();
});
afterEach(() => workspace.destroy());

const apply = () => workspace.run("00-workspace.sh", "apply", { owner: "a/b" });
const remove = () => workspace.run("00-workspace.sh", "remove", { owner: "a/b" });
/** check-all with nothing or sections on its standard input; answers by step. */
async function checkAll(input = "") {
  const answer = await collect(workspace.start("check-all.sh", "", input || "\n"));
  const lines = answer.stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { step?: string; ok?: boolean; why?: string; workspace?: string });
  return { code: answer.code, lines, of: (step: string) => lines.find((line) => line.step === step) };
}

describe("the workspace", () => {
  it("gets an identity once, and keeps it", async () => {
    const first = await apply();
    expect(first.facts.id).toMatch(/^[0-9a-f-]{36}$/);
    expect((await apply()).facts.id).toBe(first.facts.id);
    expect(workspace.file("run/id").trim()).toBe(first.facts.id);
  });

  it("goes whole by remove; the cache stays, and what is not ours is left and named", async () => {
    await apply();
    mkdirSync(join(workspace.path, "src/webui"), { recursive: true });
    mkdirSync(join(workspace.cache, "sha256"), { recursive: true });
    writeFileSync(join(workspace.cache, "sha256/x"), "paid for in hours");
    writeFileSync(join(workspace.path, "notes.txt"), "the user's");
    const { code, stderr } = await remove();
    expect(code, stderr).toBe(0);
    expect(stderr).toContain(`left in ${workspace.path}, not ours: notes.txt`);
    expect(existsSync(join(workspace.path, "src"))).toBe(false);
    expect(existsSync(join(workspace.cache, "sha256/x"))).toBe(true);
    rmSync(join(workspace.path, "notes.txt"));
    workspace.layScripts();
    expect((await remove()).code).toBe(0);
    expect(existsSync(workspace.path)).toBe(false);
  });

  it("without an identity is left by remove, but for what was begun there", async () => {
    for (const name of ["models", "data", "src"]) {
      mkdirSync(join(workspace.path, name));
      writeFileSync(join(workspace.path, name, "theirs"), "");
    }
    const { code, stderr } = await remove();
    expect(code, stderr).toBe(0);
    expect(stderr).toContain("has no identity (run/id)");
    expect(stderr).toContain(`left in ${workspace.path}: data models src`);
    expect(readdirSync(workspace.path).sort()).toEqual(["data", "models", "src"]);
    for (const name of ["models", "data", "src"]) rmSync(join(workspace.path, name), { recursive: true });
    workspace.layScripts();
    // A first `up` that was cut off before the workspace had its identity.
    for (const name of ["data", "logs", "run/workspace"]) mkdirSync(join(workspace.path, name), { recursive: true });
    expect((await remove()).code).toBe(0);
    expect(existsSync(workspace.path)).toBe(false);
  });

  it("takes the cache along when run/purge is there", async () => {
    await apply();
    mkdirSync(join(workspace.cache, "sha256"), { recursive: true });
    writeFileSync(join(workspace.path, "run/purge"), "");
    expect((await remove()).code).toBe(0);
    expect([existsSync(workspace.path), existsSync(workspace.cache)]).toEqual([false, false]);
  });

  it("leaves what lay in the cache's folder before it, whatever its name, however often it comes and goes", async () => {
    for (const name of ["python", "git"]) {
      mkdirSync(join(workspace.cache, name), { recursive: true });
      writeFileSync(join(workspace.cache, name, "theirs"), "");
    }
    for (let time = 0; time < 2; time++) {
      workspace.layScripts();
      expect((await apply()).code).toBe(0);
      mkdirSync(join(workspace.cache, "sha256"), { recursive: true });
      writeFileSync(join(workspace.path, "run/purge"), "");
      const { code, stderr } = await remove();
      expect(code, stderr).toBe(0);
      expect(stderr).toMatch(/left in \S+, not ours: git python|left in \S+, not ours: git\npython/);
      expect(readdirSync(workspace.cache).filter((name) => !name.startsWith("."))).toEqual(["git", "python"]);
    }
  });

  it("takes nothing of a cache that lost its note of what is somebody else's, and gets it back by its own", async () => {
    const note = () => readFileSync(join(workspace.cache, ".atelier"), "utf8");
    mkdirSync(join(workspace.cache, "git"), { recursive: true });
    await apply();
    rmSync(join(workspace.cache, ".atelier"));
    const lost = await workspace.run("00-workspace.sh", "check", {});
    expect([lost.code, lost.stderr]).toEqual([10, expect.stringContaining("does not say any more what in it")]);
    // What the step models leaves there.
    mkdirSync(join(workspace.cache, "uses"));
    await apply();
    expect(note()).toBe("git\n");
    // Cleared, and somebody's by now; the WebUI ran on.
    rmSync(workspace.cache, { recursive: true });
    for (const name of ["pyc", "python"]) mkdirSync(join(workspace.cache, name), { recursive: true });
    await apply();
    expect(note()).toBe("python\n");
    expect((await workspace.run("00-workspace.sh", "check", {})).code).toBe(0);
    rmSync(join(workspace.cache, ".atelier"));
    writeFileSync(join(workspace.path, "run/purge"), "");
    const { code, stderr } = await remove();
    expect([code, stderr]).toEqual([0, expect.stringContaining("it stays. What is there: pyc python")]);
    expect(readdirSync(workspace.cache).sort()).toEqual(["pyc", "python"]);
  });

  it("that is gone already is removed without a complaint", async () => {
    const scripts = new Workspace();
    rmSync(workspace.path, { recursive: true });
    const { code } = await scripts.run("00-workspace.sh", "remove", workspace.stdin({}));
    scripts.destroy();
    expect([code, existsSync(workspace.path)]).toEqual([0, false]);
  });

  it("that the user may not write to is one clear error", async () => {
    const { code, stderr } = await workspace.run("00-workspace.sh", "apply", { cache: "/proc/atelier/cache" });
    expect(code).toBe(1);
    expect(stderr).toMatch(/error: workspace: \S+ can't make folders in .*set host\.workspace and host\.cache/);
  });
});

describe("check-all", () => {
  it("knows every step by what was applied last, when nothing is asked of it", async () => {
    await apply();
    const { code, lines, of } = await checkAll();
    expect(code).toBe(0);
    expect(of("scripts")?.ok).toBe(true);
    expect(of("workspace")?.ok).toBe(true);
    for (const step of [
      "preflight",
      "packages",
      "python",
      "sources",
      "wheels",
      "models",
      "config",
      "service",
      "ready",
    ]) {
      expect(of(step)).toMatchObject({ ok: false, why: "never applied here" });
    }
    expect(lines.at(-1)).toEqual({ workspace: workspace.file("run/id").trim(), state: "" });
  });

  it("answers for the sections that it is given, and for no other", async () => {
    await apply();
    await workspace.run("20-packages.sh", "apply", { packages: "sed" });
    const sections = `=== packages\n${workspace.stdin({ packages: 'sed no"such' })}=== workspace\n${workspace.stdin({})}=== nosuch\n`;
    const { lines } = await checkAll(sections);
    expect(lines.map(({ step, ok }) => [step, ok])).toEqual([
      ["scripts", true],
      ["packages", false],
      ["workspace", true],
      ["nosuch", false],
      [undefined, undefined],
    ]);
    expect(lines[1]?.why).toBe('missing on the host: no"such');
  });

  it("says which script is missing, cut or another, a step's own too, and changes nothing", async () => {
    await apply();
    const why = async () => (await checkAll()).of("scripts")?.why;
    truncateSync(join(workspace.bin, "lib-offline.sh"));
    rmSync(join(workspace.bin, "40-sources.sh"));
    expect(await why()).toBe("gone or changed in bin: 40-sources.sh lib-offline.sh");
    rmSync(join(workspace.bin, ".laid"));
    expect(await why()).toBe("gone or changed in bin: their record (.laid)");
  });

  it("sees an emptied workspace", async () => {
    await apply();
    rmSync(join(workspace.path, "run"), { recursive: true });
    const { of, lines } = await checkAll();
    expect(of("workspace")).toMatchObject({ ok: false });
    expect(lines.at(-1)).toEqual({ workspace: "", state: "" });
  });
});

describe("check-all, where the temporary folder is of no use", () => {
  /** `mktemp` of a box whose /tmp is full or read-only: what it makes elsewhere is made. */
  const noTmp = () =>
    workspace.commands({
      mktemp: `#!/bin/sh\ncase "$*" in *'${workspace.path}'*) exec /usr/bin/mktemp "$@" ;; esac\nexit 1\n`,
    });
  const check = (path: string) => collect(workspace.start("check-all.sh", "", "\n", { path: [path] }));

  it("answers all the same, and leaves nothing behind", async () => {
    await apply();
    const run = join(workspace.path, "run");
    // One that was killed, and one that is at work.
    for (const name of ["check.killed", "check.atwork"]) mkdirSync(join(run, name));
    const before = Date.now() / 1000 - 2 * 3600;
    utimesSync(join(run, "check.killed"), before, before);
    const { code, stdout, stderr } = await check(noTmp());
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toContain('{"step":"workspace","ok":true}');
    expect(readdirSync(run).filter((name) => name.startsWith("check."))).toEqual(["check.atwork"]);
  });

  it("and the workspace neither, it fails with words: no step counts as never applied", async () => {
    await apply();
    const { code, stdout, stderr } = await check(workspace.commands({ mktemp: "#!/bin/sh\nexit 1\n" }));
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr).toContain(`no room for its answers, in ${workspace.path}/run or /tmp`);
  });

  it("and an answer is lost all the same, it fails with words", async () => {
    await apply();
    // A disk that is full by the time that a check answers.
    workspace.script("00-workspace.sh", '#!/bin/sh\nrm -rf "$TMPDIR"\n');
    const { code, stderr } = await check(noTmp());
    expect([code, stderr]).toEqual([1, expect.stringContaining("lost the answers of workspace")]);
  });

  it("and the upstreams are asked all the same", async () => {
    await apply();
    const inputs = workspace.stdin({ upstreams: [["git", "default", "none"]] });
    const asked = await collect(workspace.start("upstreams.sh", "", inputs, { path: [noTmp()] }));
    expect(asked.code, asked.stderr).toBe(0);
    expect(asked.stdout).toContain("git\tdefault\t");
  });
});

describe("a step that is no job", () => {
  it("waits for another that is at work on it, and clears the lock of a dead one with a word", async () => {
    workspace.script(
      "71-hold.sh",
      `#!/bin/sh
. "$(dirname "$0")/lib.sh"
step_apply() {
  _who=$(input who)
  trap 'touch "$RUN/ended$_who"' EXIT
  touch "$RUN/holds$_who"
  while [ -e "$WORKSPACE/hold$_who" ]; do nap 0.1; done
  rm -f "$RUN/holds$_who"
  fact x "$(input x)"
}
run_step "$@"
`,
    );
    const hold = join(workspace.path, "hold");
    const holds = (who = "") => existsSync(join(workspace.path, `run/hold/holds${who}`));
    writeFileSync(hold, "");
    const end = collect(workspace.start("71-hold.sh", "apply", {}));
    await until("it holds", () => holds());
    const busy = await workspace.run("71-hold.sh", "apply", { lock_wait: 0 });
    expect([busy.code, busy.stderr]).toEqual([75, expect.stringMatching(/busy: process \d+, since .*, from local/)]);
    const waits = workspace.run("71-hold.sh", "apply", {});
    rmSync(hold);
    expect([(await end).code, (await waits).code]).toEqual([0, 0]);
    writeFileSync(hold, "");
    const killed = workspace.start("71-hold.sh", "apply", {});
    await until("it holds", () => holds());
    killed.kill("SIGKILL");
    await new Promise((done) => killed.once("exit", done));
    rmSync(hold);
    const after = await workspace.run("71-hold.sh", "apply", {});
    expect([after.code, after.stderr]).toEqual([
      0,
      expect.stringMatching(/cleared the lock of process \d+.*: it is dead/),
    ]);
    // What a killed one had started ends beside the next one: its facts are not the next one's.
    for (const who of "ab") writeFileSync(`${hold}${who}`, "");
    writeFileSync(join(workspace.path, "run/hold/applied.99999999"), "");
    const dead = workspace.start("71-hold.sh", "apply", { who: "a", x: "long ".repeat(99) });
    await until("it holds", () => holds("a"));
    dead.kill("SIGKILL");
    const next = workspace.run("71-hold.sh", "apply", { who: "b", x: "short" });
    await until("the next one holds", () => holds("b"));
    rmSync(`${hold}a`);
    await until("the dead one's has ended", () => existsSync(join(workspace.path, "run/hold/endeda")));
    rmSync(`${hold}b`);
    expect((await next).facts.x).toBe("short");
    expect(existsSync(join(workspace.path, "run/hold/applied.99999999"))).toBe(false);
  });

  it.skipIf(!hasSshd)("runs over SSH whatever PATH and HOME say (needs /usr/sbin/sshd)", async () => {
    const sshd = new Sshd();
    try {
      await sshd.start();
      const answer = await collect(
        sshd.run(`env -i PATH=/usr/bin:/bin sh '${workspace.bin}/00-workspace.sh' apply`, workspace.stdin({})),
      );
      expect(answer.code, answer.stderr).toBe(0);
      expect(readFileSync(join(workspace.path, "run/id"), "utf8").trim()).toBe(answer.facts.id);
    } finally {
      sshd.stop();
    }
  });
});
