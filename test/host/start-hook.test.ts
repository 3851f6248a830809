import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Workspace } from "./lib/workspace.ts";

let workspace: Workspace;
let hook: string;
const file = (name: string) => join(workspace.top, name);
beforeEach(() => {
  workspace = new Workspace();
  hook = file("onstart.sh");
  workspace.script(
    "71-hook.sh",
    `#!/bin/sh
. "$(dirname "$0")/lib.sh"
. "$BIN/lib-service.sh"
step_apply() { add_hook; }
step_check() { hooked || drifted "not hooked"; }
step_remove() { remove_hook; }
run_step "$@"
`,
  );
  mkdirSync(join(workspace.path, "run"), { recursive: true });
  writeFileSync(join(workspace.path, "run/id"), "01234567-89ab\n");
  writeFileSync(join(workspace.path, "run/start-service.sh"), `echo started >>'${file("seen")}'\n`);
});
afterEach(() => workspace.destroy());

const step = (verb: string) => workspace.run("71-hook.sh", verb, { manager: "supervisor", start_hook: hook });
/** What the box's start does: the service's starts, and what the script itself says. */
function boot() {
  rmSync(file("seen"), { force: true });
  const { stdout, stderr } = spawnSync("bash", [hook], { cwd: workspace.top, encoding: "utf8" });
  const starts = existsSync(file("seen")) ? readFileSync(file("seen"), "utf8").split("\n").length - 1 : 0;
  return { starts, said: stdout + stderr };
}

/** Scripts of users, as a platform's form takes them: many have no `#!`. */
const scripts: [string, string][] = [
  ["a text that goes into a file", "cat > conf <<EOF\nport=1\nEOF\ncat conf\n"],
  ["a command of several lines", "echo one \\\n  two\n"],
  ["what never comes to its end", "exec sleep 0.2\n"],
  ["a branch", "if [ ! -f done ]; then\n  touch done\n  echo first\nfi\n"],
  ["an exit", "exit 0\n"],
  ["a comment", "# my own\necho hello\n"],
  ["nothing", ""],
  ["a shell of its own", "#!/bin/bash\necho hello\n"],
  ["a shell by env, and no line end", "#!/usr/bin/env bash"],
];

describe("a start script that begins with", () => {
  for (const [what, text] of scripts) {
    it(`${what}: starts the service each time, and does and says what it did`, async () => {
      writeFileSync(hook, text, { mode: 0o755 });
      const before = boot();
      rmSync(file("done"), { force: true });
      const { code, stderr } = await step("apply");
      expect(code, stderr).toBe(0);
      expect(boot()).toEqual({ starts: 1, said: before.said });
      expect(boot().starts).toBe(1);
      if (text.startsWith("#!")) expect(readFileSync(hook, "utf8").split("\n")[0]).toBe(text.split("\n")[0]);
      expect((await step("check")).code).toBe(0);
      expect((await step("remove")).code).toBe(0);
      expect(readFileSync(hook, "utf8").trim()).toBe(text.trim());
    });
  }

  it.each(["#!/bin/bash -e\necho on\n", "#!/bin/bash\nset -e\necho on\n"])(
    "%j: goes on where the service does not start",
    async (text) => {
      writeFileSync(hook, text, { mode: 0o755 });
      writeFileSync(join(workspace.path, "run/start-service.sh"), "exit 3\n");
      expect((await step("apply")).code).toBe(0);
      expect(spawnSync(hook, { encoding: "utf8" })).toMatchObject({ status: 0, stdout: "on\n" });
    },
  );

  it("what can't be ours, and can later: check says so, apply adds our line", async () => {
    writeFileSync(hook, "#!/usr/bin/python3\n");
    expect((await step("apply")).code).toBe(0);
    expect((await step("check")).code).toBe(0);
    writeFileSync(hook, "#!/bin/sh\necho on\n", { mode: 0o755 });
    expect((await step("check")).code).toBe(10);
    expect((await step("apply")).code).toBe(0);
    expect(boot()).toEqual({ starts: 1, said: "on\n" });
    expect((await step("check")).code).toBe(0);
  });

  it("no shell is left as it is, with a word", async () => {
    writeFileSync(hook, "#!/usr/bin/python3\nprint(1)\n");
    const { code, stderr } = await step("apply");
    expect([code, stderr]).toEqual([0, expect.stringContaining("is no shell script (#!/usr/bin/python3)")]);
    expect(readFileSync(hook, "utf8")).toBe("#!/usr/bin/python3\nprint(1)\n");
    expect((await step("check")).code).toBe(0);
  });

  it("another line than ours, where an earlier version put it: check says so, apply moves it", async () => {
    writeFileSync(hook, "");
    expect((await step("apply")).code).toBe(0);
    const ours = readFileSync(hook, "utf8");
    writeFileSync(hook, `if [ ! -f done ]; then\n${ours}  touch done\nfi\n`);
    expect((await step("check")).code).toBe(10);
    expect((await step("apply")).code).toBe(0);
    expect(readFileSync(hook, "utf8")).toBe(`${ours}if [ ! -f done ]; then\n  touch done\nfi\n`);
    expect((await step("check")).code).toBe(0);
  });
});
