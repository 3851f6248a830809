import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { keepFailed } from "../../healthchecks/failed.ts";
import { readReport } from "../../healthchecks/report.ts";
import { until } from "../helpers/until.ts";
import { Clone, nowhere } from "./clone.ts";

let clone: Clone;
beforeAll(() => {
  clone = new Clone();
});
afterAll(() => clone.remove());

/** A stack whose program runs local commands, `name: shell text`. */
function stackOf(name: string, commands: Record<string, string>, more = ""): string[] {
  clone.settings(name, { host: nowhere });
  const made = Object.entries(commands).map(
    ([command, create], index) =>
      `const c${index} = new command.local.Command(${JSON.stringify(command)}, { create: ${JSON.stringify(create)} }${index > 0 ? `, { dependsOn: [c${index - 1}] }` : ""});`,
  );
  clone.program(
    `import * as command from "@pulumi/command";\nimport * as pulumi from "@pulumi/pulumi";\nvoid pulumi;\n${made.join("\n")}\n${more}\n`,
  );
  return ["--stack", name, "--yes"];
}

/** Shell that goes on once the test has taken this file away. */
const untilGone = (path: string) => `while [ -e '${path}' ]; do sleep 0.1; done`;
const heard = (up: ReturnType<Clone["start"]>) => up.told.stdout.includes("Interrupted: the running steps end");

const locks = (stack: string): string[] =>
  readdirSync(join(clone.home, "state", ".pulumi", "locks", "organization", "atelier", stack));

describe("a plan", () => {
  test("as lines, and as one JSON document with all else on standard error", async () => {
    const args = stackOf("planned", { first: "echo a", second: "echo b" });
    const lines = await clone.run(["preview", ...args]);
    expect(lines.code).toBe(0);
    expect(lines.stdout).toMatchInlineSnapshot(`
      "  + first     create
        + second    create
      Plan: 2 to create.
      "
    `);
    const json = await clone.run(["preview", ...args, "--json"]);
    expect(JSON.parse(json.stdout)).toMatchObject({ result: "succeeded", changes: { create: 2 } });
    expect(json.stderr).toContain("Plan: 2 to create.");
  });
});

test("an update shows its plan first; with --skip-preview it makes it so at once", async () => {
  for (const [stack, more, plans] of [
    ["shown", [], true],
    ["skipped", ["--skip-preview"], false],
  ] as const) {
    const { stdout } = await clone.run(["up", ...stackOf(stack, { first: "echo a" }), ...more]);
    expect([stack, stdout.includes("Plan: 1 to create.")]).toEqual([stack, plans]);
    // The program has no WebUI, so that the update's proof fails once its resource is made.
    expect(stdout).toContain("+ first created");
  }
});

describe("an update that fails", () => {
  test("says where, what came back and what to do next; exit code 1", async () => {
    // Parts whose outputs come when all is over: the SDK tells of that, and of those after it, with a stack of its own.
    const late = [0, 1, 2].map(
      (index) =>
        `new pulumi.ComponentResource("test:index:Part", "part${index}").registerOutputs({ late: after(${3000 + 200 * index}) });`,
    );
    const args = stackOf(
      "failing",
      { fine: "echo a", broken: "echo out; echo the disk is full >&2; exit 3", never: "echo b" },
      `${late.join("\n")}\nfunction after(ms) { return new Promise((done) => setTimeout(done, ms)); }`,
    );
    const { code, stdout, stderr } = await clone.run(["up", ...args]);
    expect(code).toBe(1);
    expect(stdout).toMatch(/the disk is full/);
    expect(stdout).toMatch(/update failed at broken/);
    expect(stdout).toContain("npx atelier up --stack failing");
    expect(`${stdout}${stderr}`).not.toContain("    at ");
    expect(locks("failing")).toEqual([]);
  });

  test("leaves a report with the proofs that failed, and `status` says so; without a proof there is none", async () => {
    const report = join(clone.home, "unproved", "report");
    const args = stackOf("unproved", {
      smoke: `test -e '${report}' || exit 4; echo 'error: smoke: the picture is black' >&2; exit 3`,
    });
    const first = await clone.run(["up", ...args]);
    expect([first.code, existsSync(report)]).toEqual([1, false]);
    expect(first.stdout).not.toContain("report.json");

    const app = {
      name: "Painter",
      mode: "agent-chat",
      ok: false,
      seconds: 9,
      image: null,
      detail: "The WebUI is gone.",
    };
    const proof = {
      ok: false,
      provedAt: "2026-11-23T12:01:00.000Z",
      webui: { url: "http://127.0.0.1:1", version: "v1.10.1", commit: "82a973c0" },
      checks: [{ name: "dify-agent", ok: false, seconds: 9, detail: app.detail }],
      images: [],
    };
    const dify = { ...proof, dify: { url: "http://127.0.0.1:2", version: "1.14.2", apps: [app] } };
    keepFailed(report, "smoke", false, JSON.stringify({ ...proof, checks: [] }));
    keepFailed(report, "dify", false, JSON.stringify(dify));
    const { code, stdout } = await clone.run(["up", ...args]);
    expect(code).toBe(1);
    expect(stdout).toContain(join("unproved", "report", "report.json"));
    expect(readReport(report)).toMatchObject({
      stack: "unproved",
      steps: [{ name: "smoke", status: "failed" }],
      problems: [expect.stringMatching(/^smoke: [\s\S]*exit status 3/)],
      checks: proof.checks,
      dify: dify.dify,
    });
    const status = ["status", "--stack", "unproved"];
    expect((await clone.run(status)).stdout).toMatch(/^Failed +the update of .*: error: smoke: the picture is black$/m);
    expect(JSON.parse((await clone.run([...status, "--json"])).stdout)).toMatchObject({ proof: { ok: false } });
  });

  test("leaves one also the first time, where the WebUI was proved before its Dify failed", async () => {
    const proof = {
      ok: true,
      provedAt: "2026-11-23T12:01:00.000Z",
      webui: { url: "http://127.0.0.1:1", version: "v1.10.1", commit: "82a973c0" },
      checks: [{ name: "txt2img", ok: true, seconds: 9, detail: "It drew." }],
      images: [],
    };
    const fails =
      "echo 'ok   dify-webui (0.1 s): It answers.' >&2; echo 'FAIL dify-agent (9.0 s): It drew nothing.' >&2; exit 3";
    const steps = { smoke: `echo '${JSON.stringify(proof)}'`, "dify-proof": fails };
    const { code, stdout } = await clone.run(["up", ...stackOf("half", steps)]);
    expect(code).toBe(1);
    expect(stdout).toContain(join("half", "report", "report.json"));
    expect(readReport(join(clone.home, "half", "report"))).toMatchObject({
      problems: [expect.stringMatching(/^dify-proof: [\s\S]*exit status 3/)],
      provedAt: proof.provedAt,
      checks: proof.checks,
    });
    const { stdout: status } = await clone.run(["status", "--stack", "half"]);
    expect(status).toMatch(/^Failed +the update of .*: FAIL dify-agent \(9\.0 s\): It drew nothing\.$/m);
  });

  test("a secret of the program shows nowhere", async () => {
    const secret = "hunter2-hunter2-hunter2";
    const args = stackOf(
      "secretive",
      {},
      `new command.local.Command("leak", { create: "cat; exit 1", stdin: pulumi.secret("${secret}") });`,
    );
    const { code, stdout, stderr } = await clone.run(["up", ...args, "--verbose"]);
    expect(code).toBe(1);
    expect(`${stdout}${stderr}`).not.toContain(secret);
  });
});

test("outputs for people leave out what the report says better", async () => {
  const values = { proof: "{}", difyProof: "{}", liveCheck: "{}", webuiUrl: "http://127.0.0.1:1" };
  const more = Object.entries(values).map(([name, value]) => `export const ${name} = ${JSON.stringify(value)};`);
  const args = stackOf("told", { first: "echo a" }, more.join("\n"));
  await clone.run(["up", ...args]);
  const { stdout } = await clone.run(["outputs", "--stack", "told"]);
  expect(stdout).toBe("webuiUrl  http://127.0.0.1:1\n");
  expect(JSON.parse((await clone.run(["outputs", "--stack", "told", "--json"])).stdout)).toEqual(values);
});

test("an update whose line to the host dropped is run again", async () => {
  const marker = join(clone.dir, "dropped-once");
  const args = stackOf("dropping", {
    far: `if [ ! -e '${marker}' ]; then touch '${marker}'; echo 'connection lost while running: 10.0.0.1:22' >&2; exit 1; fi`,
  });
  const { stdout, stderr } = await clone.run(["up", ...args]);
  expect(stdout).toContain("Attaching again (1 of 3).");
  expect(stdout).toContain("+ far created");
  // The program has no WebUI: the update is done, and the proof says what it lacks.
  expect(stderr).toContain("no output `liveCheck`");
});

describe("Ctrl-C", () => {
  test("once: the running step ends, the state is saved, the lock is released, exit code 130", async () => {
    const begun = join(clone.dir, "stopped-begun");
    const args = stackOf("stopped", { slow: `touch '${begun}'; ${untilGone(begun)}; echo made`, never: "echo no" });
    const up = clone.start(["up", ...args]);
    await until("the step runs", () => existsSync(begun));
    up.child.kill("SIGINT");
    await until("it has heard", () => heard(up));
    rmSync(begun);
    const { code, stdout } = await up.finished;
    expect(code).toBe(130);
    expect(stdout).toContain("+ slow created");
    expect(stdout).not.toContain("never created");
    expect(locks("stopped")).toEqual([]);
    const status = await clone.run(["status", "--stack", "stopped", "--json"]);
    expect(JSON.parse(status.stdout)).toMatchObject({ resources: 1 });
  });

  test("twice: everything ends at once", async () => {
    const started = join(clone.dir, "killed-begun");
    const args = stackOf("killed", { slow: `touch '${started}'; ${untilGone(started)}` });
    const up = clone.start(["up", ...args]);
    await until("the step runs", () => existsSync(started));
    up.child.kill("SIGINT");
    await until("it has heard", () => heard(up));
    // Two within a moment count as one.
    await sleep(1000);
    up.child.kill("SIGINT");
    const { code, stdout } = await up.finished;
    expect(code).toBe(130);
    expect(stdout).toContain("Ended at once.");
    expect(existsSync(started)).toBe(true);
  });
});

test("a second update of one stack is one clear error", async () => {
  const begun = join(clone.dir, "twice-begun");
  const args = stackOf("twice", { slow: `touch '${begun}'; ${untilGone(begun)}` });
  const first = clone.start(["up", ...args]);
  await until("the step runs", () => existsSync(begun));
  const second = await clone.run(["up", ...args]);
  expect(second.code).toBe(1);
  expect(`${second.stderr}${second.stdout}`).toMatch(/locked/);
  expect(`${second.stderr}${second.stdout}`).not.toContain("    at ");
  rmSync(begun);
  await first.finished;
});
