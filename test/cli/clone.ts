import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { copyProject, withCompiled } from "../helpers/copy.ts";

export interface Finished {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** A copy of the project as a fresh clone would hold it, with a home and stacks of its own. */
export class Clone {
  readonly dir: string;
  readonly home: string;
  readonly #children = new Set<ChildProcess>();

  /** @param packages whether it shares this checkout's installed packages */
  constructor({ packages = true }: { packages?: boolean } = {}) {
    this.dir = mkdtempSync(join(tmpdir(), "atelier-clone-"));
    this.home = join(this.dir, ".atelier");
    copyProject(this.dir, { packages });
  }

  /** Writes `stacks/Pulumi.<stack>.yaml`. */
  settings(stack: string, config: Record<string, unknown>): void {
    const keyed = Object.fromEntries(Object.entries(config).map(([key, value]) => [`atelier:${key}`, value]));
    writeFileSync(join(this.dir, "stacks", `Pulumi.${stack}.yaml`), JSON.stringify({ config: keyed }));
  }

  /** Puts another program in the place of the stacks. */
  program(text: string): void {
    writeFileSync(join(this.dir, "stacks", "index.ts"), text);
  }

  start(args: string[], { env = {}, node = process.execPath }: { env?: NodeJS.ProcessEnv; node?: string } = {}) {
    const {
      PULUMI_CONFIG_PASSPHRASE: _,
      PULUMI_CONFIG_PASSPHRASE_FILE: __,
      ATELIER_HOME: ___,
      ...inherited
    } = process.env;
    // The shared packages are those of the checkout: nothing may install over them.
    const shared = existsSync(join(this.dir, "node_modules")) ? { ATELIER_PACKAGES: this.dir } : {};
    const child = spawn(node, [join(this.dir, "scripts", "atelier.mjs"), ...args], {
      cwd: this.dir,
      env: { ...inherited, ...withCompiled(this.dir), ...shared, NO_COLOR: "1", ...env },
      stdio: ["ignore", "pipe", "pipe"],
      timeout: 540_000,
    });
    this.#children.add(child);
    const told = { stdout: "", stderr: "" };
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      told.stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      told.stderr += text;
    });
    const finished = new Promise<Finished>((resolve, reject) => {
      child.on("error", reject);
      child.on("close", (code) => {
        this.#children.delete(child);
        resolve({ code, ...told });
      });
    });
    return { child, told, finished };
  }

  run(args: string[], options?: Parameters<Clone["start"]>[1]): Promise<Finished> {
    return this.start(args, options).finished;
  }

  remove(): void {
    for (const child of this.#children) child.kill("SIGKILL");
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** A host that nothing dials: for programs that have none. */
export const nowhere = {
  kind: "ssh",
  platform: "plain",
  address: "127.0.0.1",
  port: 9,
  password: "unused-password",
  hostKey: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBfRFMuVK2fp2pjK5NA8TpFjkU5F9oGBNcrkYrBVJnkl",
};
