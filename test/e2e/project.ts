import { existsSync, mkdirSync, mkdtempSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { execa } from "execa";
import { stringify } from "yaml";
import { parseReport } from "../../healthchecks/report.ts";
import { freePort } from "../../rehearsal/lib/ports.ts";
import { copyProject, withCompiled } from "../helpers/copy.ts";

const root = resolve(import.meta.dirname, "../..");

/** A host without a GPU, on which nothing is installed. */
export const plain = { gpu: "none", python: ["any"], packages: "refuse" };

export type Engine = "embedded" | "pulumi";

/** The engines of this machine; the official one is left out by name where it is not on PATH. */
export const noPulumi: string | undefined = onPath("pulumi") ? undefined : "no `pulumi` on PATH";

function onPath(name: string): boolean {
  return (process.env.PATH ?? "").split(":").some((folder) => existsSync(join(folder, name)));
}

export interface Answer {
  exitCode: number;
  stdout: string;
  stderr: string;
  /** Both streams. */
  all: string;
}

/** A copy of this project in a folder of its own, with one stack `t` like the rehearsal, and a cache shared by all copies. */
export class Project {
  readonly dir: string;
  readonly home: string;
  readonly workspace: string;
  readonly engine: Engine;
  port = 0;
  /** Another one once it is renamed. */
  stack = "t";

  /** @param called how the folder's name begins */
  constructor(engine: Engine = "embedded", called = "atelier-e2e") {
    this.engine = engine;
    this.dir = mkdtempSync(join(tmpdir(), `${called}-`));
    this.home = join(this.dir, ".atelier");
    this.workspace = join(this.home, "t", "host", "workspace");
    copyProject(this.dir, { packages: true });
    // Wheels and models of earlier tests: what is tested here is not the download.
    const cache = join(root, ".atelier", "cache", "tests");
    mkdirSync(cache, { recursive: true });
    mkdirSync(this.home);
    symlinkSync(cache, join(this.home, "cache"));
  }

  /** Writes the stack's settings, on a port of its own. */
  async settings(changes: Record<string, object> = {}): Promise<void> {
    this.port ||= await freePort();
    const base: Record<string, object> = {
      host: { kind: "local", ...plain },
      upstreams: { profile: "rehearsal" },
      webui: { port: this.port, listen: "127.0.0.1" },
      proof: { width: 64, height: 64, steps: 2 },
    };
    const config: Record<string, object> = {};
    for (const key of new Set([...Object.keys(base), ...Object.keys(changes)])) {
      // Another kind of host has other keys.
      const fresh = key === "host" && "kind" in (changes.host ?? {});
      const change = changes[key];
      config[`atelier:${key}`] = fresh || Array.isArray(change) ? (change ?? {}) : { ...base[key], ...change };
    }
    writeFileSync(join(this.dir, "stacks", `Pulumi.${this.stack}.yaml`), stringify({ config }));
  }

  /** `npx atelier <args> --stack <stack> --yes`, as a user's shell would run it. */
  async atelier(
    args: string[],
    options: { env?: Record<string, string>; timeout?: number; signal?: AbortSignal; killSignal?: NodeJS.Signals } = {},
  ): Promise<Answer> {
    // Without the bootstrap: the packages are this checkout's, and must not be installed anew through the link.
    const main = JSON.stringify(pathToFileURL(join(this.dir, "scripts/cli/main.ts")).href);
    const start = `import(${main}).then(({ main }) => main(process.argv.slice(1))).then((code) => { process.exitCode = code; })`;
    const words = [...args, "--stack", this.stack, "--engine", this.engine, "--yes"];
    const result = await execa(process.execPath, ["-e", start, "--", ...words], {
      cwd: this.dir,
      env: { ATELIER_HOME: this.home, ...withCompiled(this.dir), ...options.env },
      all: true,
      reject: false,
      timeout: options.timeout ?? 540_000,
      cancelSignal: options.signal,
      killSignal: options.killSignal ?? "SIGTERM",
      // Running steps may end in their own time.
      forceKillAfterDelay: false,
      stdin: "ignore",
    });
    return { exitCode: result.exitCode ?? -1, stdout: result.stdout, stderr: result.stderr, all: result.all };
  }

  report() {
    return parseReport(readFileSync(join(this.home, this.stack, "report", "report.json"), "utf8"));
  }

  edit(file: string, change: (text: string) => string): void {
    const path = join(this.dir, file);
    const before = readFileSync(path, "utf8");
    const after = change(before);
    if (after === before) throw new Error(`the change left ${file} as it was`);
    writeFileSync(path, after);
  }

  /** Takes everything down, whatever the test left behind. */
  async remove(): Promise<void> {
    const { exitCode } = await this.atelier(["down"]);
    if (exitCode !== 0) await this.atelier(["down", "--host-gone"]);
    await rm(this.dir, { recursive: true, force: true });
  }
}
