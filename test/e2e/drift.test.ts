import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type HostOptions, startHost } from "../../rehearsal/host.ts";
import { until } from "../helpers/until.ts";
import { type Engine, noPulumi, Project, plain } from "./project.ts";

/** Steps that an `up` applied again, by its plain lines. */
function appliedBy(output: string): string[] {
  return [...output.matchAll(/^[~+±] (\S+) (?:updated|created|replaced)/gm)].map((match) => match[1] ?? "").sort();
}

const gpu = (memoryMb: number) => ({
  driver: "535.54.03",
  gpus: [{ name: "NVIDIA T1000", memoryMb, computeCapability: "7.5" }],
});

const engines: { engine: Engine; skip: string | undefined }[] = [
  { engine: "embedded", skip: undefined },
  { engine: "pulumi", skip: noPulumi },
];

describe.each(engines)("a host that is not what the state believes, engine $engine", ({ engine, skip }) => {
  describe.skipIf(skip)(skip ?? "runs", () => {
    let project: Project;
    let box: HostOptions;
    beforeAll(async () => {
      project = new Project(engine);
      box = { dir: join(project.home, "t", "host"), cacheDir: join(project.home, "cache") };
      await startHost({ ...box, gpu: gpu(24564) });
      await project.settings({ host: { kind: "local", ...plain, gpu: "required" } });
      const up = await project.atelier(["up", "--skip-preview"]);
      expect(up.exitCode, up.all).toBe(0);
    });
    afterAll(() => project?.remove());

    const mended = async (...flags: string[]) => {
      const up = await project.atelier(["up", "--skip-preview", ...flags]);
      expect(up.exitCode, up.all).toBe(0);
      expect(project.report().checks.every(({ ok }) => ok)).toBe(true);
      return appliedBy(up.all);
    };

    it("changes nothing when nothing drifted, and says so", async () => {
      const up = await project.atelier(["up"]);
      expect(up.exitCode, up.all).toBe(0);
      expect(appliedBy(up.all)).toEqual([]);
      expect(up.all).toMatch(/nothing changed|no changes/i);
    });

    it("mends a stopped service, a model that was removed, sources that somebody edited and what goes by a GPU that is another, and only them", async () => {
      await startHost({ ...box, gpu: gpu(4096) });
      process.kill(Number(readFileSync(join(project.workspace, "run", "supervisord.pid"), "utf8")), "SIGTERM");
      await until("it has ended", () => !existsSync(join(project.workspace, "run", "supervisord.pid")));
      rmSync(join(project.workspace, "data", "models", "Stable-diffusion"), { recursive: true });
      writeFileSync(join(project.workspace, "src", "webui", "launch.py"), "raise SystemExit('edited')\n");
      const plan = await project.atelier(["preview"]);
      for (const why of [
        /(preflight|config|service) is not in place: the host has other GPUs/,
        /models is not in place: .*Stable-diffusion/,
        /service is not in place/,
        /sources is not in/,
      ])
        expect(plan.all).toMatch(why);
      const applied = await mended();
      expect(applied).toEqual(expect.arrayContaining(["config", "models", "preflight", "service", "smoke", "sources"]));
      expect(readFileSync(join(project.workspace, "run", "flags"), "utf8")).toContain("--medvram\n");
      for (const left of ["packages", "python"]) expect(applied).not.toContain(left);
      expect(
        execFileSync("git", ["status", "--porcelain"], { cwd: join(project.workspace, "src", "webui") }).toString(),
      ).toBe("");
    });

    it("mends an emptied workspace", async () => {
      for (const name of readdirSync(project.workspace)) {
        if (name !== "run") rmSync(join(project.workspace, name), { recursive: true });
      }
      const applied = await mended();
      expect(applied).toEqual(
        expect.arrayContaining(["scripts", "sources", "wheels", "models", "config", "service", "smoke"]),
      );
    });

    it("takes a changed setting over, applies every step whose script changed, and makes anew what is to be replaced", async () => {
      for (const script of readdirSync(join(project.dir, "scripts", "host")).filter((file) => /^[1-9]\d-/.test(file))) {
        project.edit(join("scripts", "host", script), (text) => text.replace("\n", "\n# changed\n"));
      }
      await project.settings({
        host: { kind: "local", ...plain, gpu: "required" },
        webui: { options: { jpeg_quality: 90 } },
      });
      // What goes must go before what is made anew under the same names, and the packages with the venv that they lie in.
      const applied = await mended("--replace", "**::config", "--replace", "**::python", "--replace", "**::service");
      expect(existsSync(join(project.workspace, "venv", ".atelier-wheels"))).toBe(true);
      const steps = ["preflight", "packages", "python", "sources", "wheels", "models", "config", "service", "ready"];
      expect(applied).toEqual(expect.arrayContaining(steps));
      expect(
        existsSync(join(project.workspace, "data", "models", "Stable-diffusion", "v1-5-pruned-emaonly.safetensors")),
      ).toBe(true);
      expect(JSON.parse(readFileSync(join(project.workspace, "data", "config.json"), "utf8"))).toMatchObject({
        jpeg_quality: 90,
      });
    });

    it("provisions a new host behind the old address", async () => {
      // A new box: nothing of the old one's disk, its service gone with it.
      process.kill(Number(readFileSync(join(project.workspace, "run", "supervisord.pid"), "utf8")), "SIGTERM");
      await until("it has ended", () => !existsSync(join(project.workspace, "run", "supervisord.pid")));
      rmSync(project.workspace, { recursive: true });
      const applied = await mended();
      expect(applied).toEqual(
        expect.arrayContaining([
          "scripts",
          "workspace",
          "sources",
          "wheels",
          "models",
          "config",
          "service",
          "ready",
          "smoke",
        ]),
      );
    });
  });
});
