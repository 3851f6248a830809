import type { ChildProcess } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { commandLine } from "../../rehearsal/lib/processes.ts";
import { until } from "../helpers/until.ts";
import { addSlowStep } from "./lib/slow.ts";
import { hasSshd, Sshd } from "./lib/sshd.ts";
import { collect, type Inputs, Workspace } from "./lib/workspace.ts";

let workspace: Workspace;
const job = (name: string) => join(workspace.path, "run", "slow", name);
const runs = () =>
  readFileSync(join(workspace.path, "run", "runs"), "utf8")
    .trim()
    .split("\n").length;
const running = () => until("the job runs", () => existsSync(join(workspace.path, "run", "runs")));
const go = () => writeFileSync(join(workspace.path, "run", "go"), "");
/** Waits until the follower has shown a line of the job's, or said that it waits. */
const heard = (child: ChildProcess, what: RegExp) => {
  let said = "";
  child.stderr?.on("data", (text) => {
    said += text;
  });
  return until(`a follower says ${what}`, () => what.test(said));
};
const start = (inputs: Inputs = { what: "work" }) => workspace.start("41-slow.sh", "apply", inputs);

beforeEach(() => {
  workspace = new Workspace();
  addSlowStep(workspace);
});
afterEach(() => workspace.destroy());

describe("a job", () => {
  it("is followed to its end: lines, facts, exit code; lines for machines stay in its log", async () => {
    const answer = collect(start());
    await running();
    go();
    const { code, stderr, facts } = await answer;
    expect([code, facts.step, facts.what]).toEqual([0, "slow", "work"]);
    expect(stderr).toContain("slow: line 1 of work\n");
    expect(stderr).not.toContain("@{");
    expect(readFileSync(job("log"), "utf8")).toContain('@{"step":"slow","n":1}');
    expect(existsSync(job("lock"))).toBe(false);
    expect(statSync(job("inputs")).mode & 0o777).toBe(0o600);
  });

  it("that fails answers with its code and its error", async () => {
    const answer = collect(start({ what: "failure" }));
    await running();
    go();
    const { code, stdout, stderr } = await answer;
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr).toContain("error: slow: it went wrong");
  });

  it("outlives the killing of the process that follows it; the next apply attaches and does not start it twice", async () => {
    const first = start();
    await running();
    first.kill("SIGKILL");
    const follower = start();
    const second = collect(follower);
    await heard(follower, /line 1 of/);
    go();
    const { code, stderr, facts } = await second;
    expect([code, facts.what, runs()]).toEqual([0, "work", 1]);
    expect(stderr).toMatch(/attaching to the job that runs already: process \d+, since \d{4}-.*, from local/);
    expect(stderr).toContain("line 1 of work");
  });

  it("is started once by two applies at the same moment; only the token differs", async () => {
    const both = [start({ what: "work", token: "a" }), start({ what: "work", token: "b" })];
    const ends = both.map(collect);
    await Promise.all(both.map((child) => heard(child, /line 1 of/)));
    go();
    const answers = await Promise.all(ends);
    expect(answers.map(({ code }) => code)).toEqual([0, 0]);
    expect(runs()).toBe(1);
  });

  it("with other inputs waits for the one that runs, says so, and then applies", async () => {
    const first = collect(start());
    await running();
    const second = start({ what: "other" });
    const end = collect(second);
    await heard(second, /waiting for process \d+, since/);
    expect(runs()).toBe(1);
    go();
    expect((await first).facts.what).toBe("work");
    expect((await end).facts.what).toBe("other");
    expect(runs()).toBe(2);
  });

  it("with other inputs gives up after its deadline, and names the holder", async () => {
    const first = collect(start());
    await running();
    const { code, stderr } = await collect(start({ what: "other", lock_wait: 1 }));
    expect(code).toBe(75);
    expect(stderr).toMatch(/busy: process \d+, since .*, from local is at work on this step; waited 1 s/);
    go();
    expect((await first).code).toBe(0);
  });

  it("that was killed is reported to who follows it, and the next apply starts anew, with a word", async () => {
    const first = collect(start());
    await running();
    process.kill(-Number(readFileSync(job("pid"), "utf8")), "SIGKILL");
    const dead = await first;
    expect(dead.code).toBe(1);
    expect(dead.stderr).toMatch(/the job \(pid \d+\) died without an exit code/);
    const second = collect(start());
    await until("it runs again", () => runs() === 2);
    go();
    const { code, stderr } = await second;
    expect(code).toBe(0);
    expect(stderr).toMatch(/cleared the lock of process \d+.*: it is dead/);
    expect(stderr).toMatch(/an earlier job \(pid \d+, started .*\) died without a word; starting anew/);
  });

  it("is ended with its children by remove", async () => {
    const first = collect(start());
    await running();
    const pid = Number(readFileSync(job("pid"), "utf8"));
    const removed = await workspace.run("41-slow.sh", "remove", { what: "work" });
    expect(removed.code, removed.stderr).toBe(0);
    expect(removed.stderr).toMatch(/stopping the job that still runs/);
    // Nobody may have asked after it yet; what is left of it then has no command line.
    expect(commandLine(pid)).toBe("");
    expect((await first).code).not.toBe(0);
    expect(existsSync(job("log"))).toBe(false);
  });

  it("of a process number that was given to another since is seen as dead", async () => {
    const first = collect(start());
    await running();
    go();
    await first;
    // Our own number, with another beginning: as after a restart of the box.
    const holder = join(workspace.path, "run", "slow", "lock");
    await workspace.run("41-slow.sh", "check", { what: "work" });

    mkdirSync(holder);
    writeFileSync(join(holder, "holder"), `pid=${process.pid}\nstart=1\nsince=2020-01-01T00:00:00Z\nfrom=10.0.0.1\n`);
    rmSync(join(workspace.path, "run", "go"));
    const second = collect(start());
    await until("it runs again", () => runs() === 2);
    go();
    const { code, stderr } = await second;
    expect(code).toBe(0);
    expect(stderr).toContain(
      `cleared the lock of process ${process.pid}, since 2020-01-01T00:00:00Z, from 10.0.0.1: it is dead`,
    );
  });
});

describe("the identity of a process", () => {
  it("that is gone, and was gone before its start could be read, is that of a dead one", async () => {
    workspace.script(
      "71-alive.sh",
      `#!/bin/sh
. "$(dirname "$0")/lib.sh"
step_apply() {
  true & gone=$!
  wait $gone
  if alive $gone ""; then fact gone alive; else fact gone dead; fi
  if alive $$ "$(proc_start $$)"; then fact own alive; else fact own dead; fi
  if alive $$ 1; then fact other alive; else fact other dead; fi
  n=0
  while [ $n -lt 20 ]; do with_progress quick - true; n=$((n + 1)); done
}
run_step "$@"
`,
    );
    const { code, stderr, facts } = await workspace.run("71-alive.sh", "apply", {});
    expect(code, stderr).toBe(0);
    expect(facts).toMatchObject({ gone: "dead", own: "alive", other: "dead" });
  });
});

describe.skipIf(!hasSshd)("a job behind a real SSH line (needs /usr/sbin/sshd)", () => {
  const sshd = new Sshd();
  beforeEach(async () => {
    if (!sshd.port) await sshd.start();
    return () => undefined;
  });
  afterEach(() => sshd.stop());

  it("goes on when the line is cut in the middle; the next line attaches and sees it all", async () => {
    const command = `sh '${workspace.bin}/41-slow.sh' apply`;
    const first = sshd.run(command, workspace.stdin({ what: "work" }));
    await running();
    first.kill("SIGKILL");
    await until("the server noticed", () => readFileSync(job("log"), "utf8").split("\n").length > 10);
    const follower = sshd.run(command, workspace.stdin({ what: "work" }));
    const second = collect(follower);
    await heard(follower, /line 5 of/);
    go();
    const { code, stderr, facts } = await second;
    expect([code, facts.what, runs()]).toEqual([0, "work", 1]);
    expect(stderr).toMatch(/attaching to the job .* from 127\.0\.0\.1/);
    expect(stderr).toContain("line 1 of work");
  });
});
