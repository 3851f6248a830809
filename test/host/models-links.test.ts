import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type FileServer, honest, safetensors, serving } from "./lib/server.ts";
import { Workspace } from "./lib/workspace.ts";

const content = safetensors(3_000_000);
const sha256 = createHash("sha256").update(content).digest("hex");

const serve = serving();
let server: FileServer;
const open: Workspace[] = [];
beforeAll(async () => {
  server = await serve(honest(content));
});
afterEach(() => {
  for (const workspace of open.splice(0)) workspace.destroy();
});

/** The step models, applied and checked: the file in the store, and what the WebUI sees. */
async function bring(workspace: Workspace) {
  open.push(workspace);
  mkdirSync(join(workspace.path, "run"), { recursive: true });
  writeFileSync(join(workspace.path, "run/id"), "x");
  const url = `${server.base}a`;
  const models = [["a", "checkpoint", "Stable-diffusion", "a.safetensors", content.length, sha256, url]];
  const applied = await workspace.run("60-models.sh", "apply", { models });
  expect(applied.code, applied.stderr).toBe(0);
  const checked = await workspace.run("60-models.sh", "check", { models });
  expect(checked.code, checked.stderr).toBe(0);
  const shown = join(workspace.path, "data/models/Stable-diffusion/a.safetensors");
  expect(readFileSync(shown).equals(content)).toBe(true);
  return { store: join(workspace.cache, "sha256", sha256), shown };
}

describe("a model in the store reaches the WebUI's folder", () => {
  it("by a hard link, where both are on one file system", async () => {
    const { store, shown } = await bring(new Workspace());
    expect(statSync(shown).ino).toBe(statSync(store).ino);
    expect(statSync(shown).nlink).toBe(2);
  });

  const memory = "/dev/shm";
  const noMemory = existsSync(memory) && statSync(memory).dev !== statSync(tmpdir()).dev ? "" : " (needs /dev/shm)";
  it.skipIf(noMemory)(`by a symlink, across file systems${noMemory}`, async () => {
    const cache = mkdtempSync(join(memory, "atelier-host-"));
    try {
      const { shown } = await bring(new Workspace(cache));
      expect(lstatSync(shown).isSymbolicLink()).toBe(true);
      // Its target is a file of the store, under its own name there.
      expect(statSync(shown).dev).toBe(statSync(cache).dev);
    } finally {
      rmSync(cache, { recursive: true, force: true });
    }
  });

  const why = whyNoBtrfs();
  describe.skipIf(why)(`on btrfs${why ? ` (${why})` : ""}`, () => {
    let disk: string;
    beforeAll(() => {
      disk = mountBtrfs();
    });
    afterAll(() => unmount(disk));

    it("by a copy that shares its blocks, where hard links stop: between two subvolumes", async () => {
      const { store, shown } = await bring(new Workspace(join(disk, "one/cache"), join(disk, "two")));
      expect(lstatSync(shown).isSymbolicLink()).toBe(false);
      expect(statSync(shown).dev).not.toBe(statSync(store).dev);
      execFileSync("sync", ["-f", disk]);
      const said = execFileSync("btrfs", ["filesystem", "du", "--raw", "-s", shown], { encoding: "utf8" });
      const [total, exclusive] = said.split("\n")[1]?.trim().split(/\s+/).map(Number) ?? [];
      expect(total).toBeGreaterThan(2_900_000);
      expect(exclusive).toBe(0);
    });
  });
});

/** A small btrfs with two subvolumes; throws what is missing for it. */
function mountBtrfs(): string {
  if (process.getuid?.() !== 0) throw new Error("root");
  const disk = mkdtempSync(join(tmpdir(), "atelier-btrfs-"));
  const run = (command: string, ...args: string[]) => {
    const { error, status } = spawnSync(command, args, { stdio: "ignore" });
    if (error || status !== 0) throw new Error(error ? command : `\`${command} ${args[0]}\` to work`);
  };
  try {
    // Sparse: it takes a few MB.
    run("truncate", "-s", "1G", `${disk}.image`);
    run("mkfs.btrfs", "-q", `${disk}.image`);
    run("mount", "-o", "loop", `${disk}.image`, disk);
    for (const name of ["one", "two"]) run("btrfs", "subvolume", "create", join(disk, name));
    return disk;
  } catch (error) {
    unmount(disk);
    throw error;
  }
}

function unmount(disk: string): void {
  spawnSync("umount", [disk]);
  rmSync(`${disk}.image`, { force: true });
  rmSync(disk, { recursive: true, force: true });
}

/** Mounted and unmounted: whether a machine lets one do that, nothing else tells. */
function whyNoBtrfs(): string | undefined {
  try {
    unmount(mountBtrfs());
    return undefined;
  } catch (error) {
    return `needs ${(error as Error).message}`;
  }
}
