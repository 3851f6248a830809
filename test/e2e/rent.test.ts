import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { stopHost } from "../../rehearsal/host.ts";
import { commandLine, endProcesses } from "../../rehearsal/lib/processes.ts";
import { noSshd } from "../helpers/sshd.ts";
import { type Engine, noPulumi, Project } from "./project.ts";

const provider = `node ${resolve(import.meta.dirname, "../rent/provider.ts")}`;
const engines: { engine: Engine; skip: string | undefined }[] = [
  { engine: "embedded", skip: noSshd },
  { engine: "pulumi", skip: noSshd ?? noPulumi },
];

describe.each(engines)("a box that `up` rents, engine $engine", ({ engine, skip }) => {
  describe.skipIf(skip)(skip ?? "runs", () => {
    let project: Project;
    let folder: string;
    const env = () => ({ FAKE_FOLDER: folder, FAKE_API_KEY: "the-api-key" });
    const atelier = async (...args: string[]) => {
      const answer = await project.atelier(args, { env: env() });
      expect(answer.exitCode, answer.all).toBe(0);
      return answer.all;
    };
    const bill = () =>
      existsSync(join(folder, "log")) ? readFileSync(join(folder, "log"), "utf8").trim().split("\n") : [];

    beforeAll(async () => {
      folder = mkdtempSync(join(tmpdir(), "atelier-rented-"));
      mkdirSync(join(folder, "disk"));
      project = new Project(engine);
      await project.settings({
        host: {
          kind: "ssh",
          rent: { create: `${provider} create`, destroy: `${provider} destroy` },
          workspace: join(folder, "disk", "ws"),
          cache: join(project.home, "cache", "host"),
          gpu: "none",
          python: ["any"],
          packages: "refuse",
        },
        webui: { exposure: "tunnel", listen: "127.0.0.1" },
      });
    });
    afterAll(async () => {
      await project.atelier(["down"], { env: env() });
      for (const name of readdirSync(folder)) if (name.startsWith("box-")) await stopHost({ dir: join(folder, name) });
      // A platform takes them away with the box.
      const onDisk = (pid: number) => commandLine(pid).includes(join(folder, "disk"));
      const numbers = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
      await endProcesses(numbers.map(Number).filter(onDisk), onDisk);
      await project.remove();
      rmSync(folder, { recursive: true, force: true });
    });

    it("is planned with an address that nobody knows yet, and nothing is rented by that", async () => {
      expect(await atelier("preview")).toMatch(/\+ rent +create/);
      expect(bill()).toEqual([]);
    });

    it("is rented once, made ready, proved through its tunnel, and left alone after", async () => {
      const said = await atelier("up");
      const { port } = JSON.parse(readFileSync(join(folder, "box-1", "host.json"), "utf8"));
      expect(said).toContain(`-p ${port} `);
      expect(project.report().checks.every(({ ok }) => ok)).toBe(true);
      expect(await atelier("models", "list")).not.toContain("The host was not asked");
      expect(await atelier("logs")).not.toBe("");
      // What listens on that port of this machine is none of its matter.
      expect(JSON.parse((await project.atelier(["status", "--json"])).stdout).webui).toMatchObject({ through: "ssh" });
      expect(await atelier("up")).toMatch(/no changes/i);
      expect(bill()).toEqual(["create box-1 for t"]);
      const state = readFileSync(join(project.home, "state/.pulumi/stacks/atelier/t.json"), "utf8");
      expect(state).not.toContain("the-api-key");
      expect(state).not.toContain("PRIVATE KEY");
    });

    it("that the platform took away is one clear error, is forgotten when told, and its rental ended", async () => {
      await stopHost({ dir: join(folder, "box-1") });
      const gone = await project.atelier(["up"], { env: env() });
      expect([gone.exitCode, gone.all]).toEqual([1, expect.stringContaining("down --host-gone")]);
      expect(await atelier("down", "--host-gone")).toContain("The rental was ended");
      expect(bill()).toEqual(["create box-1 for t", "destroy box-1"]);
    });
  });
});
