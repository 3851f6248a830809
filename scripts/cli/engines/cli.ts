import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { UserError } from "../errors.ts";

/** How the official CLI is started: a program and its first arguments. */
export interface PulumiCli {
  command: string;
  prefix: string[];
}

/**
 * The official CLI: the one on PATH, else the npm package `pulumi`, which fetches its binary at first use.
 * @throws UserError naming both ways where neither works
 */
export function findPulumi(say: (line: string) => void): PulumiCli {
  const file = process.platform === "win32" ? "pulumi.exe" : "pulumi";
  for (const folder of (process.env.PATH ?? "").split(delimiter))
    if (folder !== "" && existsSync(join(folder, file))) return { command: join(folder, file), prefix: [] };
  say("The Pulumi CLI is not on PATH: asking the npm package `pulumi` for it.");
  const npx: PulumiCli =
    process.platform === "win32"
      ? { command: "cmd.exe", prefix: ["/d", "/s", "/c", "npx", "--yes", "pulumi@3"] }
      : { command: "npx", prefix: ["--yes", "pulumi@3"] };
  const tried = spawnSync(npx.command, [...npx.prefix, "version"], { encoding: "utf8", timeout: 300_000 });
  if (tried.status === 0) return npx;
  const came = tried.error?.message ?? `${tried.stderr}${tried.stdout}`.trim().split("\n").slice(-3).join("\n");
  throw new UserError(
    "--engine pulumi needs the official Pulumi CLI. It is not on PATH, and `npx pulumi@3 version` failed:\n" +
      `${came}\nInstall it (https://www.pulumi.com/docs/install), or leave --engine out: the embedded engine needs nothing.`,
  );
}

/** Runs it to its end without events; gives what it printed. @throws UserError with the end of its standard error */
export async function callPulumi(
  cli: PulumiCli,
  args: string[],
  options: { cwd: string; env: NodeJS.ProcessEnv },
): Promise<string> {
  const child = spawn(cli.command, [...cli.prefix, ...args], {
    ...options,
    stdio: ["ignore", "pipe", "pipe"],
    timeout: 120_000,
  });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", resolve);
  });
  if (code === 0) return stdout;
  throw new UserError(
    `pulumi ${args.slice(0, 2).join(" ")} failed (exit ${code}):\n${stderr.trim().split("\n").slice(-10).join("\n")}`,
  );
}
