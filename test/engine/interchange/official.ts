import { execFileSync, spawnSync } from "node:child_process";
import { delimiter, dirname } from "node:path";
import type { Workspace } from "../deploy/workspace.ts";

/** Why the official engine can't be asked; undefined: it can. For `describe.skipIf`. */
export const noOfficial: string | undefined = whyNot();

function whyNot(): string | undefined {
  try {
    execFileSync("pulumi", ["version"], { env: { ...process.env, PULUMI_SKIP_UPDATE_CHECK: "1" }, stdio: "pipe" });
    execFileSync("pulumi-resource-command", ["--help"], { stdio: "pipe" });
    return undefined;
  } catch (error) {
    const { code } = error as { code?: string };
    // The plugin answers --help with an error of its own; that it could be started is enough.
    return code === "ENOENT" ? "no pulumi with its command plugin on PATH" : undefined;
  }
}

/** Runs the official CLI on the workspace's stack. @throws with its output when it fails */
export function official(work: Workspace, ...args: string[]): string {
  const result = spawnSync("pulumi", [...args, "--non-interactive"], {
    cwd: work.dir,
    encoding: "utf8",
    timeout: 540_000,
    env: {
      ...process.env,
      // The node of this test, and not an older one that may stand before it.
      PATH: `${dirname(process.execPath)}${delimiter}${process.env.PATH}`,
      PULUMI_BACKEND_URL: work.backend,
      PULUMI_CONFIG_PASSPHRASE: "correct-horse",
      PULUMI_SKIP_UPDATE_CHECK: "1",
      PULUMI_HOME: `${work.dir}/.pulumi-home`,
    },
  });
  const output = `${result.stdout}${result.stderr}`;
  if (result.status !== 0) throw new Error(`pulumi ${args.join(" ")} exited with ${result.status}:\n${output}`);
  return output;
}
