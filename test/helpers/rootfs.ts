import { spawnSync } from "node:child_process";
import { existsSync, lstatSync, readFileSync, realpathSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type Docker from "dockerode";

/** What a box of the tests has of this machine: as much as images/cuda wants, so that its build needs no network. */
const roots = [
  ...["base-files", "bash", "coreutils", "dash", "debianutils", "diffutils", "findutils", "grep", "gzip", "hostname"],
  ...["libc-bin", "login", "mawk", "passwd", "procps", "sed", "tar", "util-linux", "perl-base", "ncurses-base"],
  ...["python3", "python3-venv", "git", "openssh-server", "openssh-client", "ca-certificates", "tini", "aria2"],
  ...["libgl1", "libglib2.0-0"],
];
/** Nothing here draws by OpenGL, and these bring a compiler. */
const without = ["libglx-mesa0", "libegl-mesa0", "perl", "dpkg", "init-system-helpers", "systemd", "ucf"];
/** Made by the packages' own scripts, and what their programs are told on this machine: certificates, indexes. */
const besides = [
  ...["/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow", "/etc/ld.so.cache", "/etc/nsswitch.conf"],
  ...["/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt", "/etc/alternatives/awk", "/usr/bin/awk"],
  ...["/etc/os-release", "/etc/debian_version"],
];

/** Why no such box can be made here; undefined where it can. */
export function noRootFs(): string | undefined {
  if (!existsSync("/var/lib/dpkg/status")) return "no dpkg here whose packages could make a root file system";
  const there = installed();
  const missing = roots.filter((name) => !there.has(name));
  return missing.length === 0 ? undefined : `not installed here, for a root file system: ${missing.join(" ")}`;
}

/** Imports a root file system of this machine's own packages as an image: a base for images/cuda, without a registry. */
export async function importRootFs(docker: Docker, image: string): Promise<void> {
  const [repo, tag] = image.split(":");
  const files = [...new Set([...closure().flatMap(filesOf), ...besides].map(place).filter(isThere))].sort();
  const folders = new Set(files.flatMap(parents));
  const links = ["/bin", "/sbin", "/lib", "/lib64"].filter((path) => isThere(path) && lstatSync(path).isSymbolicLink());
  // A folder before what lies in it; twice is once too often for tar.
  const list = [...new Set([...folders, ...links, ...files])].map((path) => path.slice(1)).join("\0");
  const made = spawnSync(
    "tar",
    ["-C", "/", "--null", "--no-recursion", "--ignore-failed-read", "-cf", "-", "-T", "-"],
    {
      input: list,
      maxBuffer: 2 ** 30,
    },
  );
  if (made.stdout.length < 1e6) throw new Error(`tar made no root file system: ${made.stderr.toString().slice(-500)}`);
  // Its types know a file's name only, and no answer.
  const stream: unknown = await docker.importImage(made.stdout as unknown as string, { repo, tag } as never);
  for await (const _ of stream as NodeJS.ReadableStream) {
    // To its end.
  }
}

function installed(): Map<string, { depends: string[]; architecture: string }> {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query fills them in.
  const format = "${Package}\t${Architecture}\t${Pre-Depends}, ${Depends}\t${Provides}\n";
  const { stdout } = spawnSync("dpkg-query", ["-W", "-f", format], { encoding: "utf8", maxBuffer: 2 ** 26 });
  const all = new Map<string, { depends: string[]; architecture: string }>();
  for (const line of stdout.split("\n").filter(Boolean)) {
    const [name = "", architecture = "", depends = "", provides = ""] = line.split("\t");
    const words = (text: string) =>
      text.split(/[,|]/).flatMap((word) => /^[\w.+-]+/.exec(word.trim())?.slice(0, 1) ?? []);
    all.set(name, { depends: words(depends), architecture });
    // What it stands for leads to it.
    for (const other of words(provides)) if (!all.has(other)) all.set(other, { depends: [name], architecture });
  }
  return all;
}

function closure(): string[] {
  const all = installed();
  const found = new Set<string>();
  const visit = (name: string) => {
    if (found.has(name) || without.includes(name) || !all.has(name)) return;
    found.add(name);
    for (const other of all.get(name)?.depends ?? []) visit(other);
  };
  for (const name of roots) visit(name);
  return [...found];
}

function filesOf(name: string): string[] {
  const architecture = spawnSync("dpkg", ["--print-architecture"], { encoding: "utf8" }).stdout.trim();
  const list = [`${name}.list`, `${name}:${architecture}.list`]
    .map((file) => join("/var/lib/dpkg/info", file))
    .find(existsSync);
  if (!list) return [];
  return readFileSync(list, "utf8")
    .split("\n")
    .filter((path) => path.startsWith("/") && !/^\/usr\/share\/(doc|man|locale|info|lintian)\//.test(path));
}

/** Where a package's file really lies: /bin is /usr/bin. */
function place(path: string): string {
  try {
    return join(realpathSync(dirname(path)), basename(path));
  } catch {
    return path;
  }
}

function isThere(path: string): boolean {
  try {
    lstatSync(path);
    return path !== "/.";
  } catch {
    return false;
  }
}

function parents(path: string): string[] {
  const above = dirname(path);
  return above === "/" ? [] : [...parents(above), above];
}
