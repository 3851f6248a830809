import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { randomInt } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import Docker from "dockerode";
import { pack } from "tar-stream";
import { type Card, fakeToolkit } from "./toolkit.ts";
import { PATIENCE_MS } from "./until.ts";

/** An engine of the test's own, with one image. */
export interface TestDocker {
  /** `unix:///…` */
  host: string;
  docker: Docker;
  /** A folder for the test's own files; removed by stop(). */
  dir: string;
  /** Ends its containers and the engine, and removes all of it. */
  stop(): Promise<void>;
}

/** A small root file system with a shell; it sleeps unless it is told otherwise. */
export const IMAGE = "local/box:1";

const APPLETS = "cat chmod echo env false httpd id ls mkdir nc nslookup rm sh sleep stat test true wget".split(" ");

/** ATELIER_TEST_DOCKERD: another than the machine's; what belongs to it (containerd, runc, docker-proxy) is looked for on PATH. */
const DOCKERD =
  process.env.ATELIER_TEST_DOCKERD ??
  ["/usr/bin/dockerd", "/usr/sbin/dockerd", "/usr/local/bin/dockerd"].find(existsSync);
const BUSYBOX = ["/bin/busybox", "/usr/bin/busybox"].find((path) => existsSync(path) && isStatic(path));

/**
 * Starts an engine beside whatever the machine has; or says why there is none, for `describe.skipIf`.
 * @param options `store`: where it has to keep its images. @default as it likes
 * `cards`: the machine's GPUs, by a stand-in for NVIDIA's container toolkit. @default what the machine has
 */
export async function startDocker(
  options: { args?: string[]; store?: "containerd"; cards?: Card[] } = {},
): Promise<{ test: TestDocker; missing?: undefined } | { test?: undefined; missing: string }> {
  const missing = whyNot();
  if (missing !== undefined) return { missing };
  const dir = mkdtempSync(join(tmpdir(), "atelier-docker-"));
  const socket = join(dir, "docker.sock");
  const bridge = addBridge();
  if (bridge === undefined) {
    rmSync(dir, { recursive: true, force: true });
    return { missing: "no network bridge can be added here (package iproute2, and the right to)" };
  }
  const args = [
    ...[
      "--data-root",
      join(dir, "data"),
      "--exec-root",
      join(dir, "run"),
      "--pidfile",
      join(dir, "pid"),
      "-H",
      `unix://${socket}`,
    ],
    // The machine's own firewall and forwarding are left as they are; ports go through Docker's proxy.
    ...["--iptables=false", "--ip-forward=false", "--ip-masq=false", `--bridge=${bridge}`, "--log-level=warn"],
    // Docker's own pools hold 31 networks, and what another engine has left on the machine counts against them.
    ...["--default-address-pool", `base=10.${randomInt(64, 250)}.0.0/16,size=24`],
    ...(options.store === undefined ? [] : ["--config-file", writeConfig(dir)]),
    ...(options.args ?? []),
  ];
  let said = "";
  const first = options.cards === undefined ? [] : [fakeToolkit(dir, options.cards)];
  const env = { ...process.env, PATH: [...first, process.env.PATH].join(delimiter) };
  const child = spawn(DOCKERD as string, args, { env, stdio: ["ignore", "ignore", "pipe"] });
  child.stderr.on("data", (data: Buffer) => {
    said = (said + data.toString()).slice(-4000);
  });
  const kill = () => child.kill("SIGTERM");
  process.once("exit", kill);
  const docker = new Docker({ socketPath: socket });
  const stop = async () => {
    process.off("exit", kill);
    await removeContainers(docker);
    await removeNetworks(docker);
    await ended(child);
    spawnSync("ip", ["link", "delete", bridge]);
    // A network namespace stays mounted where a container had the machine's own.
    const mounts = readFileSync("/proc/mounts", "utf8")
      .split("\n")
      .map((line) => line.split(" ")[1] ?? "");
    for (const place of mounts.filter((path) => path.startsWith(`${dir}/`)).reverse()) spawnSync("umount", [place]);
    rmSync(dir, { recursive: true, force: true });
  };
  if (!(await answers(docker, child))) {
    await stop();
    const why =
      /failed to start[^\n]*|error[^\n]*/i.exec(said.split("\n").reverse().join("\n"))?.[0] ?? "it did not answer";
    return { missing: `dockerd does not start here: ${why.slice(0, 200)}` };
  }
  if (options.store === "containerd" && !(await inContainerd(docker))) {
    const { Version } = await docker.version();
    await stop();
    return { missing: `dockerd ${Version} keeps no images in containerd` };
  }
  try {
    await importImage(docker);
    await tryContainer(docker);
  } catch (error) {
    await stop();
    return { missing: `no container runs here: ${(error as Error).message.slice(0, 200)}` };
  }
  return { test: { host: `unix://${socket}`, docker, dir, stop } };
}

function whyNot(): string | undefined {
  if (DOCKERD === undefined) return "no dockerd on this machine (package docker.io)";
  if (process.getuid?.() !== 0) return "a Docker engine of the test's own wants root";
  return BUSYBOX === undefined ? "no static busybox on this machine (package busybox-static)" : undefined;
}

function isStatic(path: string): boolean {
  return !readFileSync(path).includes("/ld-linux");
}

/** Two engines side by side can't share docker0, and builds want one. Undefined: no `ip` here, or no right to. */
function addBridge(): string | undefined {
  const name = `atl${process.pid.toString(36)}${Math.floor(Math.random() * 1296).toString(36)}`.slice(0, 15);
  const taken = spawnSync("ip", ["-4", "-o", "addr"], { encoding: "utf8" }).stdout ?? "";
  const free = Array.from({ length: 250 }, (_, third) => third).filter((third) => !taken.includes(` 10.251.${third}.`));
  const third = free[randomInt(Math.max(1, free.length))];
  const run = (...args: string[]) => spawnSync("ip", args, { stdio: "ignore" }).status === 0;
  if (!run("link", "add", name, "type", "bridge")) return undefined;
  return run("addr", "add", `10.251.${third}.1/24`, "dev", name) && run("link", "set", name, "up") ? name : undefined;
}

async function answers(docker: Docker, child: ChildProcess): Promise<boolean> {
  for (const end = Date.now() + PATIENCE_MS; Date.now() < end && child.exitCode === null; await sleep(100)) {
    try {
      await docker.ping();
      return true;
    } catch {
      // Not yet.
    }
  }
  return false;
}

/** Older engines pass over a feature that they don't know. */
function writeConfig(dir: string): string {
  const path = join(dir, "daemon.json");
  writeFileSync(path, JSON.stringify({ features: { "containerd-snapshotter": true } }));
  return path;
}

async function inContainerd(docker: Docker): Promise<boolean> {
  const { DriverStatus } = (await docker.info()) as { DriverStatus?: [string, string][] };
  return DriverStatus?.some(([key, value]) => key === "driver-type" && /containerd/.test(value)) ?? false;
}

async function importImage(docker: Docker): Promise<void> {
  const archive = pack();
  archive.entry({ name: "bin/busybox", mode: 0o755 }, readFileSync(BUSYBOX as string));
  for (const applet of APPLETS) archive.entry({ name: `bin/${applet}`, type: "symlink", linkname: "busybox" });
  archive.entry({ name: "tmp", type: "directory", mode: 0o1777 });
  archive.entry({ name: "etc/passwd" }, "root:x:0:0:root:/:/bin/sh\n");
  archive.finalize();
  const [repo, tag] = IMAGE.split(":");
  const changes = ['CMD ["/bin/sh","-c","trap exit TERM; sleep 1000 & wait"]', "ENV FROM_IMAGE=1"];
  // Its types know a file's name only, and no answer.
  const stream: unknown = await docker.importImage(archive as unknown as string, { repo, tag, changes } as never);
  for await (const _ of stream as NodeJS.ReadableStream) {
    // To its end.
  }
}

/** An engine may start where its containers don't (no cgroups, no namespaces). */
async function tryContainer(docker: Docker): Promise<void> {
  const box = await docker.createContainer({ Image: IMAGE, Cmd: ["/bin/true"], HostConfig: { NetworkMode: "none" } });
  try {
    await box.start();
    await box.wait();
  } finally {
    await box.remove({ force: true });
  }
}

async function removeContainers(docker: Docker): Promise<void> {
  try {
    const all = await docker.listContainers({ all: true });
    await Promise.allSettled(all.map(({ Id }) => docker.getContainer(Id).remove({ force: true, v: true })));
  } catch {
    // It does not answer any more.
  }
}

/** The engine leaves their bridges on the machine when it ends. */
async function removeNetworks(docker: Docker): Promise<void> {
  try {
    const all = await docker.listNetworks();
    await Promise.allSettled(all.map(({ Id }) => docker.getNetwork(Id).remove()));
  } catch {
    // It does not answer any more.
  }
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((done) => child.once("exit", done));
  child.kill("SIGTERM");
  // Killed, it would leave its containerd behind.
  const late = setTimeout(() => child.kill("SIGKILL"), PATIENCE_MS);
  await gone;
  clearTimeout(late);
}
