import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { asBox, noSshd, type Sshd, startSshd } from "../helpers/sshd.ts";
import { Project, plain } from "./project.ts";

describe.skipIf(noSshd)("a stack's place on a box", () => {
  let project: Project;
  let box: Sshd;
  let disk: string;
  const settings = (workspace: string) =>
    project.settings({
      host: {
        ...asBox(box, join(project.dir, "key")),
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
});
