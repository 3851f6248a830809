import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Clone } from "../../cli/clone.ts";
import { noSshd, type Sshd, startSshd } from "../../helpers/sshd.ts";
import { until } from "../../helpers/until.ts";
import { Marked, makeMarks } from "./marked.ts";
import { below, type Catch, Net, programOf } from "./net.ts";

const noProc = existsSync(`/proc/self/task/${process.pid}/children`) ? undefined : "no /proc here";

describe.skipIf(noProc)("the net finds a secret", () => {
  let dir: string;
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), "atelier-net-"));
  });
  afterAll(() => rmSync(dir, { recursive: true, force: true }));

  test("in arguments, in an environment, in a file that is gone at once, in a text and in base64", async () => {
    const { program, config, dynamic, passphrase, ...others } = makeMarks();
    const net = new Net({ program, config, dynamic, passphrase, ...others });
    // By its watcher alone: what the next look at the folder would find is gone by then.
    net.watchFolder(dir, 3_600_000);
    net.watchProcesses(process.pid);
    const found = (mark: string) => net.catches.filter((one) => one.mark === mark).map(({ where }) => where);
    const child = spawn("sh", ["-c", `sleep 600; : ${program}`], {
      env: { ...process.env, GIVEN: config },
      detached: true,
    });
    writeFileSync(join(dir, "brief"), `x${dynamic}x`);
    await until("the file is seen", () => found("dynamic").length > 0);
    rmSync(join(dir, "brief"));
    await until("both processes are seen", () => found("config").length === 2);
    process.kill(-(child.pid ?? 0), "SIGKILL");
    await new Promise((done) => child.once("exit", done));
    net.stop();
    for (const before of ["", "a", "ab"]) net.text(`base64 ${before}`, btoa(`${before}${passphrase} and more`));
    expect(found("program")).toEqual([expect.stringMatching(/^arguments of .*sh$/)]);
    expect(found("config")).toEqual([expect.stringMatching(/^environment of .*sh$/), expect.stringMatching(/sleep$/)]);
    expect(found("dynamic")).toEqual([join(dir, "brief")]);
    expect(found("passphrase")).toEqual(["base64 ", "base64 a", "base64 ab"]);
    expect(net.catches).toHaveLength(7);
  });
});

describe.skipIf(noSshd ?? noProc)(`a run whose every input is a secret${noSshd ? ` (${noSshd})` : ""}`, () => {
  let server: Sshd;
  let clone: Clone;
  let marked: Marked;
  let net: Net;
  let tmp: string;
  let reports: string;
  beforeAll(async () => {
    server = await startSshd({ config: ["AcceptEnv GIVEN PULUMI_COMMAND_STDOUT PULUMI_COMMAND_STDERR"] });
    clone = new Clone();
    marked = new Marked(clone, server);
    net = new Net(marked.marks);
    tmp = join(clone.dir, "tmp");
    reports = join(clone.dir, "reports");
    for (const folder of [tmp, reports]) mkdirSync(folder);
    net.watchFolder(tmp);
  });
  afterAll(async () => {
    net.stop();
    clone.remove();
    await server.stop();
  });

  const args = (...words: string[]) => [
    ...words,
    "--stack",
    "marked",
    "--yes",
    "--events",
    join(clone.dir, `${words.join("")}.jsonl`),
  ];
  const begin = (words: string[], env: NodeJS.ProcessEnv = {}) => {
    const run = clone.start(args(...words), { env: { TMPDIR: tmp, ...env } });
    net.watchProcesses(run.child.pid ?? -1);
    return run;
  };
  const run = async (words: string[], env?: NodeJS.ProcessEnv) => {
    const finished = await begin(words, env).finished;
    net.text(`what ${words.join(" ")} printed`, finished.stdout + finished.stderr);
    return finished;
  };
  /** What is in its own command's environment because the program asked for it to be there. */
  const isAsked = ({ mark, where }: Catch) => mark.startsWith("local-") && /^environment of (?!.*node$)/.test(where);
  const caught = () => {
    net.folder(clone.dir, (path) => path.endsWith("/node_modules") || path === join(clone.home, "passphrase"));
    net.text("the SSH server's log", server.log());
    return net.catches.filter((one) => !isAsked(one));
  };

  test("previews and makes all, and shows none", async () => {
    await marked.settings("fine", 1);
    const planned = await run(["preview", "--json", "--verbose"]);
    expect(JSON.parse(planned.stdout)).toMatchObject({ result: "succeeded", changes: { create: 5 } });
    const made = await run(["up", "--verbose"]);
    // The program has no WebUI: the update is done, and the proof says what it lacks.
    expect(made.stderr).toContain("no output `liveCheck`");
    for (const name of ["local", "remote", "copy", "thing", "known"])
      expect(made.stdout).toContain(`+ ${name} created`);
    for (const line of [
      "the program prints",
      "the program complains of",
      "the program logs",
      "dynamic create with",
      "a setting is",
    ])
      expect(made.stdout).toContain(`${line} [secret]`);
    const { stdout } = await clone.run(["outputs", "--stack", "marked", "--json", "--show-secrets"]);
    const { marks } = marked;
    for (const name of ["stack-output", "stack-output-deep", "local-create", "local-stdin", "dynamic"])
      expect(stdout).toContain(marks[name]);
    expect(caught()).toEqual([]);
  });

  test("changes all, fails, with gRPC's debug log on, and shows none", async () => {
    await marked.settings("fail", 2, join(clone.dir, "half-made"));
    const debug = { GRPC_TRACE: "all", GRPC_VERBOSITY: "DEBUG" };
    const { stdout, stderr, code } = await run(["up", "--json", "--verbose"], debug);
    expect(stderr).toMatch(/^D .*\| (server|channel|http)/m);
    expect(code).toBe(1);
    const { problems, steps } = JSON.parse(stdout) as {
      problems: { lines: string[] }[];
      steps: { name: string; op: string }[];
    };
    expect(problems.flatMap(({ lines }) => lines).join("\n")).toMatch(/\[secret\]/);
    for (const name of ["failing", "half-made"])
      expect(steps).toContainEqual(expect.objectContaining({ name, status: "failed" }));
    expect(caught()).toEqual([]);
  });

  test("is read again, and shows none", async () => {
    const { code, stdout } = await run(["refresh", "--json", "--verbose"]);
    // The commands have a host of their own; that of the settings is nowhere.
    expect([code, JSON.parse(stdout)]).toEqual([
      1,
      expect.objectContaining({ error: expect.stringMatching(/127\.0\.0\.1:9\b[\s\S]*nobody looked/) }),
    ]);
    expect(caught()).toEqual([]);
  });

  test("is killed in the middle, its processes told to write crash reports before, and leaves none", async () => {
    const begun = join(clone.dir, "begun");
    await marked.settings("slow", 3, begun);
    const up = begin(["up", "--verbose"], {
      // Without the network part, which asks a name server about every socket.
      NODE_OPTIONS: `--report-exclude-network --report-on-signal --report-signal=SIGUSR2 --report-directory=${reports}`,
    });
    await until("the slow command runs", () => existsSync(begun));
    const nodes = below(up.child.pid ?? -1).filter((pid) => programOf(pid).endsWith("node"));
    // The command line, the program and the dynamic resources.
    expect(nodes.length).toBeGreaterThanOrEqual(3);
    for (const pid of nodes) process.kill(Number(pid), "SIGUSR2");
    const written = () => readdirSync(reports).map((name) => readFileSync(join(reports, name), "utf8"));
    const whole = () => written().filter((report) => report.trimEnd().endsWith("}"));
    // One that was about to end anyway writes none.
    const left = () => below(up.child.pid ?? -1).filter((pid) => nodes.includes(pid)).length;
    await until("the reports are written", () => whole().length >= Math.max(2, left()));
    const all = below(up.child.pid ?? -1);
    for (const pid of nodes.slice(0, 1)) process.kill(Number(pid), "SIGKILL");
    net.text("what the killed up printed", JSON.stringify(await up.finished));
    for (const pid of all) attemptKill(Number(pid));
    for (const report of whole()) expect(JSON.parse(report)).toHaveProperty("javascriptStack");
    expect(caught()).toEqual([]);
  });

  test("is removed, and leaves none behind in states, backups and history", async () => {
    const { stdout, stderr } = await run(["down", "--json", "--verbose"]);
    expect(JSON.parse(stdout)).toMatchObject({ result: "succeeded" });
    expect(stderr).toContain("local: [secret]");
    expect(caught()).toEqual([]);
    const kinds = readdirSync(clone.home, { recursive: true }).map(String);
    for (const kind of ["history", "backups", "stacks"]) expect(kinds.some((path) => path.includes(kind))).toBe(true);
    // It did look: at node, at shells, at many files.
    const programs = [...net.looked.processes].join("\n");
    expect(programs).toMatch(/node$/m);
    expect(programs).toMatch(/sh$/m);
    expect(net.looked.files).toBeGreaterThan(100);
  });
});

function attemptKill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // Gone already.
  }
}
