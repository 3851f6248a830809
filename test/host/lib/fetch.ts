import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Answer, collect, scripts } from "./workspace.ts";

/** Each of the two ways to fetch; aria2c only where it is on PATH. */
export type Way = "own" | "aria2c";

export interface Wanted {
  name?: string;
  bytes?: number;
  sha256?: string;
  urls: string[];
}

/** A cache in a temporary folder, and scripts/host/fetch.py working on it. */
export class Fetcher {
  readonly cache = mkdtempSync(join(tmpdir(), "atelier-fetch-"));

  start({ name = "a.safetensors", bytes, sha256, urls }: Wanted, way: Way, env: Record<string, string> = {}) {
    const child = spawn("python3", [join(scripts, "fetch.py")], {
      env: {
        PATH: process.env.PATH,
        PYTHONDONTWRITEBYTECODE: "1",
        // The servers are of a test on a busy machine.
        ATELIER_FETCH_STALL_S: "60",
        // A line that comes back is a matter of models-break.test.ts.
        ATELIER_FETCH_PATIENCE_S: "1",
        ATELIER_FETCH_ARIA2: way === "aria2c" ? "yes" : "no",
        ...env,
      },
      stdio: ["pipe", "pipe", "pipe"],
    });
    child.stdin.on("error", () => undefined);
    child.stdin.end(`cache\t${this.cache}\nfile\t${name}\t${bytes ?? "-"}\t${sha256 ?? "-"}\t${urls.join(" ")}\n`);
    return child;
  }

  run(wanted: Wanted, way: Way, env?: Record<string, string>): Promise<Answer> {
    return collect(this.start(wanted, way, env));
  }

  /** Names of the store: sha256, without the marks beside them. */
  store(): string[] {
    return readdirSync(join(this.cache, "sha256")).filter((name) => !name.includes("."));
  }

  remove(): void {
    rmSync(this.cache, { recursive: true, force: true, maxRetries: 5 });
  }
}
