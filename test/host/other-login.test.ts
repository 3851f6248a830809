import { execFileSync, spawn, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { until } from "../helpers/until.ts";
import { Workspace } from "./lib/workspace.ts";

const missing =
  process.getuid?.() === 0 && spawnSync("setpriv", ["--version"]).status === 0
    ? undefined
    : "no root here, or no setpriv, to be two logins";
const nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sh"];

describe.skipIf(missing)(missing ?? "a WebUI that another login has started", () => {
  let workspace: Workspace;
  beforeEach(() => {
    workspace = new Workspace();
    workspace.script("webui_start.py", "while :; do sleep 1; done\n");
    workspace.script(
      "71-end.sh",
      `#!/bin/sh
. "$(dirname "$0")/lib.sh"
. "$BIN/lib-service.sh"
step_apply() { :; }
step_check() { :; }
step_remove() { end_all service_pids 50; }
run_step "$@"
`,
    );
    execFileSync("chown", ["-R", "65534:65534", workspace.top]);
  });
  afterEach(() => workspace.destroy());

  it("and that this one can't end is no WebUI that was removed", async () => {
    const child = spawn("sh", [join(workspace.bin, "webui_start.py")], { stdio: "ignore" });
    try {
      await until("the process runs its script", () =>
        /webui_start/.test(readFileSync(`/proc/${child.pid}/cmdline`, "utf8")),
      );
      const { code, stderr } = await workspace.run("71-end.sh", "remove", {}, { shell: nobody });
      expect([code, stderr]).toEqual([
        1,
        expect.stringMatching(
          new RegExp(`another login's: process ${child.pid} of root, and nobody may not end it\\. Set host\\.user`),
        ),
      ]);
      // The login that started it can.
      expect((await workspace.run("71-end.sh", "remove", {})).code).toBe(0);
      await until("it has ended", () => child.exitCode !== null || child.signalCode !== null);
    } finally {
      child.kill("SIGKILL");
    }
  });
});
