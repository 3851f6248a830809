import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Clone } from "../clone.ts";

/** The machine's own Node, where it is too old to run TypeScript: the case that the bootstrap is for. */
const oldNode = ["/usr/bin/node", "/usr/local/bin/node"].filter(existsSync).find((path) => {
  const [major, minor] = execFileSync(path, ["--version"], { encoding: "utf8" }).slice(1).split(".").map(Number);
  return major !== undefined && minor !== undefined && major >= 18 && (major < 22 || (major === 22 && minor < 19));
});

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
  },
);
