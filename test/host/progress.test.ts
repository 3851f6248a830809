import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { Workspace } from "./lib/workspace.ts";

let workspace: Workspace;
beforeEach(() => {
  workspace = new Workspace();
});
afterEach(() => workspace.destroy());

it("progress says what its megabytes are: what a process wrote is more than what it fetched", () => {
  const folder = join(workspace.path, "folder");
  mkdirSync(folder);
  writeFileSync(join(folder, "file"), Buffer.alloc(3_100_000, 1));
  const script = `. "$(dirname "$0")/lib.sh"; with_progress uv - python3 -c 'import time; open("/dev/null", "wb").write(bytes(5 << 20)); time.sleep(3)'; with_progress git '${folder}' sleep 3`;
  const file = join(workspace.path, "bin", "50-wheels.sh");
  writeFileSync(file, `${script}\n`);
  const { stderr } = spawnSync("/bin/sh", [file], { input: "", encoding: "utf8" });
  expect(stderr).toMatch(/^wheels: uv: 5 MB written to the disk, 2 s$/m);
  expect(stderr).toMatch(/^wheels: git: 3 MB, 2 s$/m);
});
