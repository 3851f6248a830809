import { execFile } from "node:child_process";
import { existsSync, rmSync } from "node:fs";
import { promisify } from "node:util";
import { messageOf } from "../errors.ts";
import { pastProxy } from "../http.ts";

const run = promisify(execFile);

/** git on this machine, with its user's own proxy; it asks nobody for a name, and ends after half an hour. */
async function git(folder: string, args: string[], signal?: AbortSignal): Promise<string> {
  const { stdout } = await run("git", [`--git-dir=${folder}`, ...args], {
    timeout: 1_800_000,
    signal,
    maxBuffer: 16 << 20,
    env: {
      ...process.env,
      no_proxy: pastProxy(),
      GIT_TERMINAL_PROMPT: "0",
      GIT_CONFIG_COUNT: "1",
      GIT_CONFIG_KEY_0: "safe.directory",
      GIT_CONFIG_VALUE_0: "*",
      LC_ALL: "C",
    },
  });
  return stdout;
}

interface Mirror {
  folder: string;
  commit: string;
  paths: string[];
  bases: string[];
  signal: AbortSignal;
}

/**
 * A bare repository with one commit, from the first upstream and path that has it. A whole one is left alone.
 * @returns whether it was there
 * @throws Error with every address and its reason
 */
export async function mirrorCommit({ folder, commit, paths, bases, signal }: Mirror): Promise<boolean> {
  if (existsSync(folder)) {
    if (await isWhole(folder, commit, signal)) return true;
    rmSync(folder, { recursive: true });
  }
  await run("git", ["init", "-q", "--bare", folder]);
  // One pack: whoever serves or copies it moves few files.
  await git(folder, ["config", "fetch.unpackLimit", "1"], signal);
  // Any commit may be asked for by its hash, as of the big hosts.
  await git(folder, ["config", "uploadpack.allowAnySHA1InWant", "true"], signal);
  const whys: string[] = [];
  for (const path of paths)
    for (const base of bases) {
      const url = `${base}${path}`;
      try {
        await git(folder, ["fetch", "-q", "--no-tags", "--depth", "1", url, commit], signal).catch(() =>
          git(folder, ["fetch", "-q", "--no-tags", url, "+refs/heads/*:refs/upstream/*"], signal),
        );
        await git(folder, ["update-ref", "refs/heads/atelier", `${commit}^{commit}`], signal);
        await git(folder, ["symbolic-ref", "HEAD", "refs/heads/atelier"], signal);
        await git(folder, ["update-server-info"], signal);
        rmSync(`${folder}/FETCH_HEAD`, { force: true });
        rmSync(`${folder}/hooks`, { recursive: true, force: true });
        if (await isWhole(folder, commit, signal)) return false;
        whys.push(`  - ${url}: what it sent is not whole`);
      } catch (error) {
        signal.throwIfAborted();
        const { stderr } = error as { stderr?: string };
        whys.push(`  - ${url}: ${(stderr ?? messageOf(error)).trim().split("\n").at(-1)}`);
      }
    }
  rmSync(folder, { recursive: true, force: true });
  throw new Error(`could not be had at ${commit}. Tried:\n${whys.join("\n") || "  nothing: no git upstream is set"}`);
}

/** Every object of the commit is there and is what its hash says. */
async function isWhole(folder: string, commit: string, signal: AbortSignal): Promise<boolean> {
  try {
    const head = await git(folder, ["rev-parse", "refs/heads/atelier"], signal);
    await git(folder, ["fsck", "--no-dangling", "--no-progress"], signal);
    return head.trim() === commit;
  } catch {
    signal.throwIfAborted();
    return false;
  }
}
