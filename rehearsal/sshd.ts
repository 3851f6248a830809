import { spawnSync } from "node:child_process";
import { accessSync, constants, existsSync, mkdirSync, readFileSync } from "node:fs";
import { userInfo } from "node:os";
import { delimiter, join } from "node:path";
import { writeIfChanged } from "./lib/files.ts";

/** Where one host's server keeps its own. */
export function sshdFiles(dir: string) {
  const own = join(dir, "ssh");
  return {
    dir: own,
    config: join(own, "sshd_config"),
    log: join(own, "sshd.log"),
    pid: join(own, "sshd.pid"),
    hostKey: join(own, "host_ed25519"),
    clientKey: join(own, "client_ed25519"),
    authorizedKeys: join(own, "authorized_keys"),
    session: join(own, "session"),
  };
}

/** Full path of a program; sshd must be started by one. Looks beyond PATH, where users have no sbin. */
export function findProgram(name: string): string | undefined {
  const folders = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/usr/local/sbin", "/sbin", "/usr/bin"];
  return folders.map((folder) => join(folder, name)).find(isExecutable);
}

const isExecutable = (path: string) => {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
};

/** @throws an error that names the package, where the server is missing */
export function requireSshd(find = findProgram): { sshd: string; keygen: string } {
  const sshd = find("sshd");
  const keygen = find("ssh-keygen");
  if (sshd && keygen) return { sshd, keygen };
  throw new Error(
    `No ${sshd ? "ssh-keygen" : "sshd"} on this machine (looked on PATH and in /usr/sbin): the rehearsal's host is a real OpenSSH server. ` +
      "Install the package openssh-server (`apt-get install openssh-server`, `dnf install openssh-server`); it need not run as a service.",
  );
}

/** Makes the two keys and the list of the one that may log in, where they are not yet. */
export function makeKeys(dir: string, keygen: string): { hostKey: string; privateKey: string } {
  const files = sshdFiles(dir);
  mkdirSync(files.dir, { recursive: true, mode: 0o700 });
  for (const [path, comment] of [
    [files.hostKey, "rehearsal-host"],
    [files.clientKey, "rehearsal-client"],
  ] as const) {
    if (existsSync(path) && existsSync(`${path}.pub`)) continue;
    run(keygen, ["-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", path]);
  }
  writeIfChanged(files.authorizedKeys, publicKey(files.clientKey), 0o600);
  return { hostKey: publicKey(files.hostKey).trim(), privateKey: readFileSync(files.clientKey, "utf8") };
}

/** `ssh-ed25519 AAAA…`, without the comment. */
const publicKey = (path: string) => `${readFileSync(`${path}.pub`, "utf8").split(" ").slice(0, 2).join(" ")}\n`;

/** Writes the server's configuration and what it starts sessions with. */
export function configure(dir: string, port: number, sshd: string): void {
  const files = sshdFiles(dir);
  const home = join(dir, "home");
  // What npm puts in front is the control machine's, not the host's.
  const folders = (process.env.PATH ?? "/usr/bin:/bin").split(delimiter).filter((path) => !/node_modules/.test(path));
  const path = [join(dir, "bin"), ...folders].join(delimiter);
  for (const folder of [home, join(dir, "bin")]) mkdirSync(folder, { recursive: true, mode: 0o755 });
  // A login shell sets PATH anew.
  writeIfChanged(join(home, ".profile"), `PATH=${shellWord(join(dir, "bin"))}:$PATH\n`);
  // Sessions begin in the host's home: the account's real one is none of ours.
  writeIfChanged(files.session, session, 0o755);
  const sftp = ["/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server", "/usr/lib/ssh/sftp-server"].find(
    isExecutable,
  );
  writeIfChanged(
    files.config,
    [
      `ListenAddress 127.0.0.1:${port}`,
      `HostKey ${word(files.hostKey)}`,
      `PidFile ${word(files.pid)}`,
      `AuthorizedKeysFile ${word(files.authorizedKeys)}`,
      `AllowUsers ${userInfo().username}`,
      "AuthenticationMethods publickey",
      "PasswordAuthentication no",
      "KbdInteractiveAuthentication no",
      "PermitRootLogin prohibit-password",
      `UsePAM ${isLocked() ? "yes" : "no"}`,
      // The folder may lie in one that a group can write, such as /tmp.
      "StrictModes no",
      "UseDNS no",
      "PrintMotd no",
      "PrintLastLog no",
      "PermitUserRC no",
      "X11Forwarding no",
      "AcceptEnv LANG LC_*",
      // Everyone comes from one address here: a test's wrong keys must not lock out the right one.
      ...(version(sshd) >= 9.08 ? ["PerSourcePenalties no"] : []),
      ...(sftp
        ? [`Subsystem sftp ${sftp}`, `ForceCommand ${shellWord(files.session)}`]
        : ["Subsystem sftp internal-sftp"]),
      `SetEnv ${word(`HOME=${home}`)} ${word(`PATH=${path}`)}`,
      "",
    ].join("\n"),
    0o600,
  );
}

const session = `#!/bin/sh
cd "$HOME" || exit 1
command=$SSH_ORIGINAL_COMMAND
unset SSH_ORIGINAL_COMMAND
[ -z "$command" ] || exec "\${SHELL:-/bin/sh}" -c "$command"
exec "\${SHELL:-/bin/sh}" -l
`;

const word = (text: string) => `"${text.replaceAll("%", "%%")}"`;
const shellWord = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;

/** Without PAM, sshd refuses an account whose password is locked, also to a key. */
function isLocked(): boolean {
  try {
    const { username } = userInfo();
    const entry = readFileSync("/etc/shadow", "utf8")
      .split("\n")
      .find((line) => line.startsWith(`${username}:`));
    return entry?.split(":")[1]?.startsWith("!") ?? false;
  } catch {
    // Who may not read it runs a server that can't either.
    return false;
  }
}

/** 9.2p1 is 9.02. */
function version(sshd: string): number {
  const { stderr, stdout } = spawnSync(sshd, ["-V"], { encoding: "utf8", timeout: 60_000 });
  const [, major, minor] = /OpenSSH_(\d+)\.(\d+)/.exec(`${stderr}${stdout}`) ?? [];
  return Number(major ?? 0) + Number(minor ?? 0) / 100;
}

/** A path as the server writes it into its command line: what is no ASCII there is octal. */
export const titled = (path: string): string =>
  [...Buffer.from(path)]
    .map((byte) => (byte > 0x1f && byte < 0x7f ? String.fromCharCode(byte) : `\\${byte.toString(8).padStart(3, "0")}`))
    .join("");

/** Starts the server; it detaches itself. */
export function launch(dir: string, sshd: string): void {
  const { config, log } = sshdFiles(dir);
  const start = () => spawnSync(sshd, ["-f", config, "-E", log], { encoding: "utf8", timeout: 60_000, cwd: "/" });
  const before = logText(log).length;
  let started = start();
  const missing = /Missing privilege separation directory: (\S+)/.exec(
    `${started.stderr}${logText(log).slice(before)}`,
  );
  if (missing?.[1]) {
    mkdirSync(missing[1], { recursive: true, mode: 0o755 });
    started = start();
  }
  if (started.status === 0) return;
  const said = `${started.stderr}${logText(log).slice(before)}`.trim() || started.error?.message || "nothing";
  throw new Error(`\`${sshd} -f ${config}\` ended with ${started.status ?? started.signal}. It said: ${said}`);
}

const logText = (path: string) => (existsSync(path) ? readFileSync(path, "utf8") : "");

function run(program: string, args: string[]): void {
  const { status, stderr, error } = spawnSync(program, args, { encoding: "utf8", timeout: 60_000 });
  if (status !== 0) throw new Error(`\`${program} ${args.join(" ")}\` failed: ${error?.message ?? stderr.trim()}`);
}
