import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { asBox, noSshd, type Sshd, startSshd } from "../helpers/sshd.ts";
import { Project, plain } from "./project.ts";

describe.skipIf(noSshd)("a stack's place on a box", () => {
  let project: Project;
  let box: Sshd;
  let disk: string;
  /** Without the box's key, which is pinned at first contact. */
  const settings = (workspace: string) =>
    project.settings({
      host: {
        ...asBox(box, join(project.dir, "key")),
        hostKey: undefined,
        ...plain,
        workspace: join(disk, workspace),
        cache: join(project.home, "cache", "host"),
      },
    });
  const atelier = async (args: string[], code = 0) => {
    const answer = await project.atelier(args);
    expect(answer.exitCode, answer.all).toBe(code);
    return answer.all;
  };

  beforeAll(async () => {
    project = new Project();
    box = await startSshd();
    disk = mkdtempSync(join(tmpdir(), "atelier-box-"));
    writeFileSync(join(project.dir, "key"), box.privateKey, { mode: 0o600 });
  });
  afterAll(async () => {
    await project.remove();
    await box.stop();
    rmSync(disk, { recursive: true, force: true });
  });

  it("is no folder of somebody's: it is refused before anything is laid there, and down leaves it whole", async () => {
    const files = ["bin/backup.sh", "data/notes.txt", "models/my.safetensors", "src/thesis/a.tex", "venv/bin/z"];
    for (const file of files) {
      mkdirSync(dirname(join(disk, "theirs", file)), { recursive: true });
      writeFileSync(join(disk, "theirs", file), "theirs");
    }
    const there = () =>
      readdirSync(join(disk, "theirs"), { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map(({ parentPath, name }) => join(parentPath, name).slice(join(disk, "theirs").length + 1))
        .sort();
    await settings("theirs");
    expect(await atelier(["up", "--skip-preview"], 1)).toMatch(
      /theirs is a folder .* not make .*bin src venv models data/,
    );
    expect(there()).toEqual(files);
    await atelier(["down", "--purge"]);
    expect(there()).toEqual(files);
  });

  it("is taken over by another clone of the stack, with a state of its own; the first one sees it, and takes it back", async () => {
    const second = new Project();
    second.port = project.port;
    try {
      writeFileSync(join(second.dir, "key"), box.privateKey, { mode: 0o600 });
      await settings("shared");
      await second.settings({
        host: {
          ...asBox(box, join(second.dir, "key")),
          ...plain,
          workspace: join(disk, "shared"),
          cache: join(project.home, "cache", "host"),
        },
      });
      await atelier(["up", "--skip-preview"]);
      const taken = await second.atelier(["up", "--skip-preview"]);
      expect([taken.exitCode, taken.all]).toEqual([0, expect.stringMatching(/\d+ created/)]);
      // It said "no changes", and each of its runs after that failed with "Run up again".
      const back = await atelier(["up"]);
      expect(back).toContain("another clone of this stack brought the host up since");
      expect(back).toContain("live check passed now");
      expect(await atelier(["up"])).toContain("No changes");
    } finally {
      await atelier(["down"]);
      await second.remove();
    }
  });

  it("stays with a stack that is renamed, and the pinned key with it", async () => {
    await settings("ws");
    await atelier(["up", "--skip-preview"]);
    const files = () => readdirSync(join(project.home, project.stack)).sort();
    const before = files();
    expect(before).toContain("hostkey");
    await atelier(["stack", "rename", "t2"]);
    project.stack = "t2";
    expect(files()).toEqual(expect.arrayContaining([...before, "renamed"]));
    expect(existsSync(join(project.home, "t"))).toBe(false);

    const said = await atelier(["up", "--skip-preview"]);
    expect(said).not.toContain("First contact");
    const applied = [...said.matchAll(/^[~+] (\S+) (?:updated|created)/gm)].map(([, name]) => name);
    for (const left of ["packages", "python", "sources", "wheels", "models", "config", "service"])
      expect(applied).not.toContain(left);
    expect(readFileSync(join(disk, "ws", "run", "owner"), "utf8")).toBe("atelier/t2\n");
    expect(await atelier(["up"])).toMatch(/no changes/i);
  });

  it("does not move on the same box: up stops before its plan, and down takes it away where it was", async () => {
    await settings("ws2");
    for (const command of ["up", "preview"]) {
      const said = await atelier([command], 2);
      expect(said).toMatch(
        /is \S+\/ws on its box, and the settings now say \S+\/ws2\. .*`npx atelier down --stack t2` first/,
      );
      expect(said).toMatch(/or set host\.workspace to \S+\/ws again/);
    }
    expect(existsSync(join(disk, "ws2"))).toBe(false);
    expect(runningIn(disk)).not.toEqual([]);
    await atelier(["down"]);
    expect(runningIn(disk)).toEqual([]);
    expect(readdirSync(disk)).toEqual(["theirs"]);
  });
});

/** Command lines of processes that name a folder of the box. */
const runningIn = (folder: string) =>
  readdirSync("/proc").flatMap((pid) => {
    try {
      const line = readFileSync(`/proc/${pid}/cmdline`, "utf8");
      return line.includes(folder) ? [line.replaceAll("\0", " ")] : [];
    } catch {
      return [];
    }
  });
