import { spawnSync } from "node:child_process";
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { BootstrapError, say } from "./errors.mjs";

/** Looked for, not loaded, and without the site's packages: a fifth of the time. */
const HAS_VENV = "import sys; from importlib.util import find_spec as f; sys.exit(not (f('venv') and f('ensurepip')))";

/** What a host on this machine needs of the system, and the Debian package that has it. */
const wanted = [
  { package: "openssh-server", missing: () => !onPath("sshd", ["/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin"]) },
  { package: "git", missing: () => !onPath("git") },
  { package: "python3-venv", missing: () => !succeeds("python3", ["-I", "-S", "-c", HAS_VENV]) },
];

/** What the tests of Docker need besides: an engine (about 75 MB to fetch, 290 MB on disk), a registry, a root file system. */
const wantedForDocker = [
  { package: "docker.io", missing: () => !onPath("dockerd", ["/usr/sbin", "/usr/local/sbin"]) },
  { package: "docker-registry", missing: () => !onPath("docker-registry") },
  { package: "busybox-static", missing: () => !onPath("busybox") },
  { package: "iproute2", missing: () => !onPath("ip", ["/usr/sbin", "/sbin"]) },
  // What images/cuda wants of its base, which the tests make of this machine's own packages.
  { package: "tini", missing: () => !onPath("tini") },
  { package: "aria2", missing: () => !onPath("aria2c") },
  { package: "libgl1", missing: () => !hasLibrary("libGL.so.1") },
  { package: "libglib2.0-0", missing: () => !hasLibrary("libglib-2.0.so.0") },
];
/** What these would leave running, or start at the next boot. */
const servicesOf = {
  "openssh-server": ["ssh.service", "ssh.socket"],
  "docker.io": ["docker.service", "docker.socket", "containerd.service"],
  "docker-registry": ["docker-registry.service"],
};

/**
 * Makes sure of OpenSSH's server, git and Python's venv: with apt, as root, said in a line; else one clear error.
 * @param {{ required?: boolean }} [options] not required: what can't be installed is named, nothing more
 * @throws {BootstrapError} naming what is missing and how to install it
 */
export function ensureSystemPackages({ required = true } = {}) {
  ensure(wanted, "a host on this machine", required);
  // Docker is not for everybody who runs the tests: the project's check asks for it, and a rehearsal never does.
  const docker = !required && process.env.ATELIER_TEST_DOCKER === "install" && process.platform === "linux";
  if (docker) ensure(wantedForDocker, "a test of Docker", false);
}

function ensure(items, who, required) {
  const missing = items.filter((item) => item.missing()).map((item) => item.package);
  if (missing.length === 0) return;
  const how = `apt-get install -y ${missing.join(" ")}`;
  if (process.platform === "linux" && process.getuid?.() === 0 && onPath("apt-get")) {
    say(`Installing system packages that ${who} needs: ${missing.join(", ")} (apt).`);
    const failure = install(missing);
    if (!failure) return;
    if (required)
      throw new BootstrapError(`${how} failed:\n${failure}\nInstall them by hand and run the same command again.`);
    say(`${how} failed; tests that need them are skipped.`);
    return;
  }
  const subject = `${who[0].toUpperCase()}${who.slice(1)}`;
  const message = `${subject} needs ${missing.join(", ")}, which ${missing.length === 1 ? "is" : "are"} missing`;
  if (required) {
    throw new BootstrapError(
      process.platform === "linux"
        ? `${message}. Install as root (Debian, Ubuntu: ${how}) and run the same command again.`
        : `${message}. The rehearsal needs Linux or WSL; stacks of kind ssh run from here.`,
    );
  }
  say(`${message}; tests that need them are skipped.`);
}

/** Gives the last lines of what went wrong, or undefined. */
function install(packages) {
  // Installing a server must not open a port of the machine.
  const policy = "/usr/sbin/policy-rc.d";
  const ownPolicy = !existsSync(policy);
  if (ownPolicy) writeFileSync(policy, "#!/bin/sh\nexit 101\n", { mode: 0o755 });
  try {
    const options = ["-o", "DPkg::Lock::Timeout=180"];
    const install = () => apt([...options, "install", "-y", "-q", "--no-install-recommends", ...packages]);
    let failure = install();
    if (failure) failure = apt([...options, "update", "-q"]) ?? install();
    const services = packages.flatMap((name) => servicesOf[name] ?? []);
    if (!failure && services.length > 0 && existsSync("/run/systemd/system")) {
      spawnSync("systemctl", ["disable", "--now", ...services], { stdio: "ignore", timeout: 30_000 });
    }
    return failure;
  } finally {
    if (ownPolicy) rmSync(policy, { force: true });
  }
}

function apt(args) {
  const result = spawnSync("apt-get", args, {
    stdio: ["ignore", "pipe", "pipe"],
    encoding: "utf8",
    timeout: 600_000,
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
  });
  if (result.status === 0) return undefined;
  return result.error?.message ?? `${result.stdout}${result.stderr}`.trim().split("\n").slice(-8).join("\n");
}

function onPath(name, more = []) {
  return [...(process.env.PATH ?? "").split(delimiter), ...more].some(
    (folder) => folder !== "" && existsSync(join(folder, name)),
  );
}

function hasLibrary(name) {
  const { stdout } = spawnSync("ldconfig", ["-p"], {
    encoding: "utf8",
    timeout: 20_000,
    env: { ...process.env, PATH: `${process.env.PATH}${delimiter}/sbin${delimiter}/usr/sbin` },
  });
  return stdout?.includes(`\t${name} `) ?? false;
}

function succeeds(command, args) {
  return spawnSync(command, args, { stdio: "ignore", timeout: 20_000 }).status === 0;
}
