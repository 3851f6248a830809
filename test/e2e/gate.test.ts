import { appendFileSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { until } from "../helpers/until.ts";
import { Project } from "./project.ts";

/** How far each `tail` of this machine that has the file open has read it. */
function reading(file: string): number[] {
  return readdirSync("/proc")
    .filter((pid) => /^\d+$/.test(pid))
    .flatMap((pid) => {
      try {
        if (!readFileSync(`/proc/${pid}/cmdline`, "utf8").startsWith("tail\0")) return [];
        const open = readdirSync(`/proc/${pid}/fd`).filter((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`) === file);
        return open.map((fd) => Number(/pos:\s*(\d+)/.exec(readFileSync(`/proc/${pid}/fdinfo/${fd}`, "utf8"))?.[1]));
      } catch {
        return [];
      }
    });
}

/** Steps that an `up` applied again, by its plain lines. */
const appliedBy = (output: string) =>
  [...output.matchAll(/^[~+-] (\S+) (?:updated|created|deleted)/gm)].map((match) => match[1] ?? "").sort();

/** How long the WebUI is waited for. */
const patient = { proof: { timeout: 120 } };

describe("the gate, from settings to proof", () => {
  let project: Project;
  beforeAll(async () => {
    // Users' folders have spaces, and letters of their own.
    project = new Project("embedded", "atelier e2e 模");
    await project.settings(patient);
    const up = await project.atelier(["up", "--skip-preview"]);
    expect(up.exitCode, up.all).toBe(0);
  });
  afterAll(() => project?.remove());
  const detail = (check: string) => project.report().checks.find(({ name }) => name === check)?.detail;
  const up = async () => {
    const { exitCode, all } = await project.atelier(["up", "--skip-preview"]);
    expect(exitCode, all).toBe(0);
    expect(project.report().checks.every(({ ok }) => ok)).toBe(true);
    return appliedBy(all);
  };

  it("is there without a word in the settings: nothing answers a stranger, and the WebUI listens on loopback behind it", () => {
    expect(detail("exposure")).toBe("Nothing answers without a password.");
    const config = JSON.parse(readFileSync(join(project.workspace, "run", "gate", "config.json"), "utf8"));
    expect(config).toMatchObject({ port: project.port, queue: 16, deadline: 110, interrupt: true });
    expect(detail("flags")).toContain(`port ${config.inner_port}, server_name 127.0.0.1`);
  });

  it("and the WebUI have logs that are printed, and followed until Ctrl-C; nothing goes on reading them", async () => {
    const webui = await project.atelier(["logs", "--lines", "3"]);
    const written = readFileSync(join(project.workspace, "logs", "webui.log"), "utf8")
      .trimEnd()
      .split("\n");
    expect(webui).toMatchObject({ exitCode: 0, stdout: written.slice(-3).join("\n") });
    const json = await project.atelier(["logs", "webui", "--lines", "2", "--json"]);
    expect(JSON.parse(json.stdout)).toMatchObject({ stack: "t", lines: written.slice(-2) });

    const log = join(project.workspace, "logs", "gate.log");
    const stop = new AbortController();
    const lines = readFileSync(log, "utf8").split("\n").length - 1;
    const following = project.atelier(["logs", "gate", "--follow", "--lines", String(lines)], {
      signal: stop.signal,
      killSignal: "SIGINT",
    });
    const readers = () => reading(log);
    await until("the log is read", () => readers().length > 0);
    appendFileSync(log, "a line of this test\n");
    await until("it was read to its end", () => readers().every((position) => position === statSync(log).size));
    stop.abort();
    const { exitCode, stdout } = await following;
    expect(exitCode).toBe(130);
    expect(stdout).toContain("a line of this test");
    await until("the log is left alone", () => readers().length === 0);
  });

  it("lets status see the WebUI behind it", async () => {
    expect((await project.atelier(["status"])).stdout).toMatch(/WebUI +http\S+ answers \(HTTP 200\)/);
  });

  it("says which log is not there, and which there are", async () => {
    rmSync(join(project.workspace, "logs", "supervisord.log"), { force: true });
    const none = await project.atelier(["logs", "service"]);
    expect(none).toMatchObject({ exitCode: 1, stdout: "" });
    expect(none.stderr).toMatch(/127\.0\.0\.1:\d+ has no .*logs\/supervisord\.log: no supervisor was ever started/);
    const unknown = await project.atelier(["logs", "apache"]);
    expect(unknown.exitCode).toBe(2);
    expect(unknown.stderr).toContain("`logs` wants one of webui, gate, service, not `apache`");
  });

  it("is mended by the next up, and the WebUI runs on meanwhile", async () => {
    const pid = readFileSync(join(project.workspace, "run", "supervisord.pid"), "utf8");
    rmSync(join(project.workspace, "tools", "gate"), { recursive: true });
    const preview = await project.atelier(["preview"]);
    expect(preview.all).toContain("gate is not in place: the gate's packages are not those of its lock");
    const applied = await up();
    expect(applied).toContain("gate");
    expect(applied).not.toContain("service");
    expect(readFileSync(join(project.workspace, "run", "supervisord.pid"), "utf8")).toBe(pid);
  });

  it("tells by the WebUI's own log that a launch flag is unknown, and does not wait for a picture", async () => {
    await project.settings({ webui: { flags: ["--no-such-flag"] }, ...patient });
    const { exitCode, all } = await project.atelier(["up", "--skip-preview"]);
    expect(exitCode, all).toBe(1);
    expect(all).toMatch(/The update failed at ready/);
    expect(all).toContain("the WebUI does not know one of webui.flags");
    // The gate answers all the same.
    expect((await project.atelier(["status"])).stdout).toMatch(/WebUI +http\S+ does not answer: HTTP 503, \S/);
  });

  it("goes when it is switched off, and the WebUI takes its port; comes back with other settings", async () => {
    await project.settings({ webui: { gate: false } });
    expect(await up()).toEqual(expect.arrayContaining(["config", "service", "gate", "ready", "smoke"]));
    expect(detail("exposure")).toMatch(/^Warning: open without a password/);
    expect(detail("flags")).toContain(`port ${project.port},`);
    await project.settings({ webui: { gate: { queue: 2, interrupt: false } } });
    await up();
    expect(detail("exposure")).toBe("Nothing answers without a password.");
    const config = JSON.parse(readFileSync(join(project.workspace, "run", "gate", "config.json"), "utf8"));
    expect(config).toMatchObject({ queue: 2, interrupt: false });
  });
});
