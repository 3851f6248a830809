import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { freePort } from "../../../rehearsal/lib/ports.ts";
import { until } from "../../helpers/until.ts";

export const hasSshd = existsSync("/usr/sbin/sshd");

/** An OpenSSH server of our own on loopback, with a key of its own. */
export class Sshd {
  readonly folder = mkdtempSync(join(tmpdir(), "atelier-sshd-"));
  port = 0;
  private server: ChildProcess | undefined;

  async start(): Promise<void> {
    mkdirSync("/run/sshd", { recursive: true });
    for (const key of ["host", "user"]) {
      execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", join(this.folder, key)]);
    }
    writeFileSync(join(this.folder, "authorized"), readFileSync(join(this.folder, "user.pub")), { mode: 0o600 });
    this.port = await freePort();
    writeFileSync(
      join(this.folder, "config"),
      [
        `Port ${this.port}`,
        "ListenAddress 127.0.0.1",
        `HostKey ${this.folder}/host`,
        `AuthorizedKeysFile ${this.folder}/authorized`,
        "PasswordAuthentication no",
        "StrictModes no",
        "UsePAM no",
        `PidFile ${this.folder}/pid`,
        "PermitRootLogin yes",
        "",
      ].join("\n"),
    );
    this.server = spawn("/usr/sbin/sshd", ["-D", "-e", "-f", join(this.folder, "config")], { stdio: "ignore" });
    await until("sshd listens", () => {
      if (this.server?.exitCode !== null) throw new Error(`sshd ended with ${this.server?.exitCode}`);
      return existsSync(join(this.folder, "pid"));
    });
  }

  /** Runs a command line there; the process is ssh itself. */
  run(command: string, input: string): ChildProcess {
    const child = spawn(
      "ssh",
      [
        ...["-F", "none", "-i", join(this.folder, "user"), "-p", String(this.port), "-o", "BatchMode=yes"],
        ...["-o", "StrictHostKeyChecking=no", "-o", `UserKnownHostsFile=${this.folder}/known`, "-o", "LogLevel=ERROR"],
        ...[`${userInfo().username}@127.0.0.1`, command],
      ],
      { stdio: ["pipe", "pipe", "pipe"] },
    );
    child.stdin?.on("error", () => undefined);
    child.stdin?.end(input);
    return child;
  }

  stop(): void {
    this.server?.kill("SIGKILL");
    rmSync(this.folder, { recursive: true, force: true });
  }
}
