import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Project } from "./project.ts";

/** Steps that an `up` applied again, by its plain lines. */
const appliedBy = (output: string) =>
  [...output.matchAll(/^[~+-] (\S+) (?:updated|created|deleted)/gm)].map((match) => match[1] ?? "").sort();

describe("the gate, from settings to proof", () => {
  let project: Project;
  beforeAll(async () => {
    project = new Project();
    await project.settings();
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
