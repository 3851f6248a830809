import { execFileSync, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Clone } from "../clone.ts";
import { noPty } from "../display/screen.ts";

/** The machine's own Node, where it is too old to run TypeScript: the case that the bootstrap is for. */
const oldNode = ["/usr/bin/node", "/usr/local/bin/node"].filter(existsSync).find((path) => {
  const [major, minor] = execFileSync(path, ["--version"], { encoding: "utf8" }).slice(1).split(".").map(Number);
  return major !== undefined && minor !== undefined && major >= 18 && (major < 22 || (major === 22 && minor < 19));
});

/** Runs a command on a terminal of its own, which is closed as soon as the command says `ready`; tells its exit code. */
const closing = `
import os, pty, sys
pid, fd = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
said = b""
while b"ready" not in said:
    said += os.read(fd, 4096)
os.close(fd)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`;

describe.skipIf(!oldNode)(
  `a fresh clone on an old Node${oldNode ? "" : " (skipped: this machine has no Node 18 to 22.18)"}`,
  () => {
    let clone: Clone;
    const { npm_execpath: _, PATH: path = "", ...others } = process.env;
    // As a user's shell has it: without the tools of this checkout.
    const env = {
      ...others,
      npm_execpath: "",
      PATH: path
        .split(":")
        .filter((part) => !part.includes("node_modules"))
        .join(":"),
    };
    beforeAll(() => {
      clone = new Clone({ packages: false });
    });
    afterAll(() => clone.remove());

    test("two at once install the packages once, and both go on", async () => {
      const both = await Promise.all([0, 1].map(() => clone.run(["run", "node", "--version"], { node: oldNode, env })));
      for (const { code, stdout } of both) {
        expect(code).toBe(0);
        expect(stdout).toMatch(/^v2[4-9]\.\d+\.\d+\n$/);
      }
      const said = both.map(({ stderr }) => stderr).join("");
      expect(said.match(/running npm ci/g)).toHaveLength(1);
      expect(said.match(/Waiting: process \d+ installs the packages/g)).toHaveLength(1);
    });

    test("the next run says nothing, and exit codes pass through", async () => {
      const { code, stderr } = await clone.run(["run", "node", "-e", "process.exit(7)"], { node: oldNode, env });
      expect([code, stderr]).toEqual([7, ""]);
      expect(existsSync(join(clone.dir, ".atelier", "packages.lock"))).toBe(false);
    });

    test("a signal passes through", async () => {
      const script = "process.on('SIGTERM', () => process.exit(42)); setInterval(() => {}, 1000); console.log('ready')";
      const run = clone.start(["run", "node", "-e", script], { node: oldNode, env });
      run.child.stdout.once("data", () => run.child.kill("SIGTERM"));
      expect((await run.finished).code).toBe(42);
    });

    test.skipIf(noPty)("a terminal that is closed passes through too, and its end is no crash", () => {
      const script = "process.on('SIGHUP', () => process.exit(42)); setInterval(() => {}, 1000); console.log('ready')";
      const command = [oldNode as string, join(clone.dir, "scripts", "atelier.mjs"), "run", "node", "-e", script];
      const { stdout } = spawnSync("python3", ["-c", closing, ...command], { env, encoding: "utf8" });
      expect(stdout).toBe("42\n");
    });
  },
);
