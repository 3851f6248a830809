import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { freePort, waitForPort } from "../../rehearsal/lib/ports.ts";
import { PATIENCE_MS } from "./until.ts";

export interface SshdOptions {
  /** Further lines of sshd_config, such as `MaxSessions 1`; of two of a kind the first counts. */
  config?: string[];
  /** Public keys that may log in besides the one in the answer. */
  authorizedKeys?: string[];
  /** @default a free one */
  port?: number;
  /** The type of the host's key. @default "ed25519" */
  hostKeyType?: "ed25519" | "rsa" | "ecdsa";
}

export interface Sshd {
  pid: number;
  port: number;
  user: string;
  /** `ssh-ed25519 AAAA…` */
  hostKey: string;
  /** The text of the key that may log in. */
  privateKey: string;
  /** A folder for the test's own files; removed by stop(). */
  dir: string;
  /** How many logins the server has let in so far. */
  logins(): number;
  log(): string;
  /** Kills every session's server process; the commands themselves live on. */
  dropConnections(): void;
  /** Ends the server and its connections. */
  stop(): Promise<void>;
}

/** What a stack's settings say of the server as a rented box. */
export const asBox = ({ dir, port, user, hostKey }: Sshd, keyFile = join(dir, "client")) => ({
  ...{ kind: "ssh", address: "127.0.0.1" },
  ...{ port, user, hostKey, keyFile },
});

const SSHD = ["/usr/sbin/sshd", "/usr/local/sbin/sshd", "/sbin/sshd"].find(existsSync);

/** Why no SSH server can be started here; undefined: one can. For `describe.skipIf`. */
export const noSshd: string | undefined =
  SSHD === undefined ? "no sshd on this machine (package openssh-server)" : undefined;

/** Starts an OpenSSH server of its own on loopback, as the current user, with new keys. */
export async function startSshd(options: SshdOptions = {}): Promise<Sshd> {
  if (SSHD === undefined) throw new Error(noSshd);
  const dir = mkdtempSync(join(tmpdir(), "atelier-sshd-"));
  const user = userInfo().username;
  makeKey(join(dir, "host"), options.hostKeyType ?? "ed25519");
  makeKey(join(dir, "client"), "ed25519");
  const allowed = [readFileSync(join(dir, "client.pub"), "utf8").trim(), ...(options.authorizedKeys ?? [])];
  writeFileSync(join(dir, "authorized_keys"), `${allowed.join("\n")}\n`, { mode: 0o600 });
  if (user === "root") mkdirSync("/run/sshd", { recursive: true, mode: 0o755 });

  for (let attempt = 1; ; attempt++) {
    const port = options.port ?? (await freePort());
    const server = await launch(SSHD, dir, port, options.config ?? []);
    if (server) return describe(server, dir, port, user);
    // Another took the port between the question and the server's start.
    if (attempt >= 3 || options.port !== undefined) {
      throw new Error(`sshd did not start on 127.0.0.1:${port}; it said: ${readFileSync(join(dir, "log"), "utf8")}`);
    }
  }
}

async function launch(sshd: string, dir: string, port: number, extra: string[]): Promise<ChildProcess | undefined> {
  const config = [
    ...extra,
    `ListenAddress 127.0.0.1:${port}`,
    `HostKey ${join(dir, "host")}`,
    "PidFile none",
    `AuthorizedKeysFile ${join(dir, "authorized_keys")}`,
    "PasswordAuthentication no",
    "KbdInteractiveAuthentication no",
    "PermitRootLogin yes",
    "StrictModes no",
    "UsePAM no",
    "UseDNS no",
    "PrintMotd no",
    "PermitUserRC no",
    // The user's own start-up files are none of the tests', and may take longer than what is tested.
    `SetEnv HOME=${dir}`,
    "LogLevel VERBOSE",
    // Of these the last would count, or a second be refused.
    ...["Subsystem sftp internal-sftp", "MaxStartups 100"].filter(
      (line) => !extra.some((own) => sameOption(own, line)),
    ),
    "",
  ];
  writeFileSync(join(dir, "config"), config.join("\n"), { mode: 0o600 });
  const server = spawn(sshd, ["-D", "-f", join(dir, "config"), "-E", join(dir, "log")], { stdio: "ignore" });
  // A run that breaks off leaves no server behind.
  const end = () => server.kill("SIGKILL");
  process.once("exit", end);
  server.once("exit", () => process.off("exit", end));
  const ended = new Promise<false>((done) => server.once("exit", () => done(false)));
  const up = await Promise.race([waitForPort(port, PATIENCE_MS), ended]);
  // A stranger on the port would accept too: ours must still be there, and say that it listens.
  return up && server.exitCode === null && /Server listening/.test(readLog(dir)) ? server : undefined;
}

const sameOption = (a: string, b: string) => a.split(" ")[0] === b.split(" ")[0];

function describe(server: ChildProcess, dir: string, port: number, user: string): Sshd {
  const drop = () => {
    for (const pid of sessionsOf(server.pid ?? -1)) kill(pid);
  };
  return {
    pid: server.pid ?? -1,
    port,
    user,
    hostKey: readFileSync(join(dir, "host.pub"), "utf8").split(" ").slice(0, 2).join(" "),
    privateKey: readFileSync(join(dir, "client"), "utf8"),
    dir,
    logins: () => readLog(dir).match(/Accepted \S+ for/g)?.length ?? 0,
    log: () => readLog(dir),
    dropConnections: drop,
    stop: async () => {
      drop();
      const gone = new Promise((done) => server.once("exit", done));
      if (server.exitCode === null && server.signalCode === null && server.kill("SIGKILL")) await gone;
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** The server processes of the sessions below `pid`, not the commands that they run. */
function sessionsOf(pid: number): number[] {
  const children = new Map<number, number[]>();
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const [, name, parent] = /\((.*)\) \S (\d+)/s.exec(readFileSync(`/proc/${entry}/stat`, "utf8")) ?? [];
      if (!name?.startsWith("sshd")) continue;
      children.set(Number(parent), [...(children.get(Number(parent)) ?? []), Number(entry)]);
    } catch {
      // It ended while we looked.
    }
  }
  const below = (parent: number): number[] => (children.get(parent) ?? []).flatMap((child) => [child, ...below(child)]);
  return below(pid);
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // Gone with its parent.
  }
}

const readLog = (dir: string) => (existsSync(join(dir, "log")) ? readFileSync(join(dir, "log"), "utf8") : "");

/** Makes a key pair at `path` and `path.pub`; gives the private one's text. */
export function makeKey(path: string, type: "ed25519" | "rsa" | "ecdsa", passphrase = ""): string {
  const bits = type === "rsa" ? ["-b", "2048"] : [];
  execFileSync("ssh-keygen", ["-q", "-t", type, ...bits, "-N", passphrase, "-C", "test", "-f", path]);
  return readFileSync(path, "utf8");
}
