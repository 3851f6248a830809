import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { userInfo } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { readJson, writeIfChanged, writeWhole } from "./lib/files.ts";
import { freePort, waitForFree, waitForPort } from "./lib/ports.ts";
import { endProcesses, isOurs, processesWith } from "./lib/processes.ts";
import { configure, launch, makeKeys, requireSshd, sshdFiles, titled } from "./sshd.ts";

/** What `host.json` holds: all that is needed to reach the host. */
export interface HostFacts {
  address: string;
  port: number;
  user: string;
  /** `ssh-ed25519 AAAA…` */
  hostKey: string;
  /** The one key that may log in, as OpenSSH writes it. */
  privateKey: string;
  workspace: string;
  cache: string;
  pid: number;
}

/** Graphics cards that the stand-in `nvidia-smi` tells of. */
export interface Gpu {
  driver: string;
  gpus: { name: string; memoryMb: number; computeCapability: string }[];
}

export interface HostOptions {
  /** The host's folder; everything of it lies in there. */
  dir: string;
  /** The host's cache, which outlives it. */
  cacheDir: string;
  /** @default a free one, chosen once and kept in host.json */
  port?: number;
  /** Puts a stand-in nvidia-smi on the host's PATH; `null` takes it away. @default as it is */
  gpu?: Gpu | null;
}

/**
 * A host on this machine: a real OpenSSH server on 127.0.0.1, detached, with its own keys, home and PATH.
 * A running one is left alone; a dead one comes back with the same port and keys.
 * @throws when sshd is missing, does not start, or the port kept for it is taken; before anything is made, where a folder's path has odd letters
 */
export async function startHost(options: HostOptions): Promise<HostFacts> {
  if (process.platform !== "linux") {
    throw new Error(`The rehearsal's host needs Linux or WSL; this is ${process.platform}. Use a stack of kind ssh.`);
  }
  const dir = resolve(options.dir);
  const cache = resolve(options.cacheDir);
  for (const folder of [dir, cache]) requirePlain(folder);
  const { sshd, keygen } = requireSshd();
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  mkdirSync(cache, { recursive: true });
  if (options.gpu !== undefined) setGpu(dir, options.gpu);

  const known = readJson<HostFacts>(factsPath(dir));
  const running = runningPid(dir);
  if (known && running && (options.port ?? known.port) === known.port) {
    if (known.pid === running && known.cache === cache) return known;
    return writeFacts(dir, { ...known, cache, pid: running });
  }
  if (running) await stopServer(dir);

  const port = options.port ?? known?.port ?? (await freePort());
  if (!(await waitForFree(port, 5000))) {
    throw new Error(
      `Port ${port} on 127.0.0.1 belongs to this rehearsal's host (${dir}), but another program listens there now. ` +
        "End that program, or remove the host with `npx atelier down` and start anew.",
    );
  }
  const keys = makeKeys(dir, keygen);
  configure(dir, port, sshd);
  rmSync(sshdFiles(dir).pid, { force: true });
  launch(dir, sshd);
  const pid = await waitForServer(dir, port);
  if (!pid) throw new Error(`sshd started, but nothing of it listens on 127.0.0.1:${port}; see ${sshdFiles(dir).log}`);
  return writeFacts(dir, {
    address: "127.0.0.1",
    port,
    user: userInfo().username,
    ...keys,
    workspace: join(dir, "workspace"),
    cache,
    pid,
  });
}

/** Its services read configurations of their own kinds, and its packages find-links as addresses. @throws where the folder can't be a host's */
function requirePlain(dir: string): void {
  if (!/[%?#$"'\\]/.test(dir)) return;
  throw new Error(
    `The folder ${dir} can't be a host: its path has one of % ? # $ ' " \\. Move this clone to a folder of plain letters, or set ATELIER_HOME to one.`,
  );
}

/**
 * Turns the host off: the server, and every process that was started through it, as on a machine that loses power.
 * Its folder stays. Nothing happens when it does not run.
 */
export async function stopHost({ dir }: { dir: string }): Promise<void> {
  const folder = resolve(dir);
  await stopServer(folder);
  const home = `HOME=${join(folder, "home")}`;
  const mine = new Set(processesWith(home));
  if (mine.size > 0) await endProcesses([...mine], (pid) => processesWith(home).includes(pid));
}

/** What `host.json` says, and whether the server runs. */
export function hostStatus({ dir }: { dir: string }): { running: boolean; facts: HostFacts | undefined } {
  const folder = resolve(dir);
  return { running: runningPid(folder) !== undefined, facts: readJson<HostFacts>(factsPath(folder)) };
}

const factsPath = (dir: string) => join(dir, "host.json");

function writeFacts(dir: string, facts: HostFacts): HostFacts {
  writeWhole(factsPath(dir), `${JSON.stringify(facts, null, 2)}\n`, 0o600);
  return facts;
}

/** The server's pid, when it is alive and this folder's. */
function runningPid(dir: string): number | undefined {
  const { pid, config } = sshdFiles(dir);
  if (!existsSync(pid)) return undefined;
  const number = Number(readFileSync(pid, "utf8"));
  return isServer(number, config) ? number : undefined;
}

const isServer = (pid: number, config: string): boolean => isOurs(pid, config) || isOurs(pid, titled(config));

/** The server listens first and writes its pid file after. */
async function waitForServer(dir: string, port: number): Promise<number | undefined> {
  const end = Date.now() + 60_000;
  if (!(await waitForPort(port, 60_000))) return undefined;
  do {
    const pid = runningPid(dir);
    if (pid) return pid;
    await sleep(5);
  } while (Date.now() < end);
  return undefined;
}

async function stopServer(dir: string): Promise<void> {
  const pid = runningPid(dir);
  if (pid) await endProcesses([pid], (number) => isServer(number, sshdFiles(dir).config));
}

/** The stand-in on the host's PATH, and what it tells of. */
function setGpu(dir: string, gpu: Gpu | null): void {
  const bin = join(dir, "bin");
  const program = join(bin, "nvidia-smi");
  const data = join(bin, "nvidia-smi.gpus");
  if (gpu === null) {
    for (const path of [program, data]) rmSync(path, { force: true });
    return;
  }
  const lines = gpu.gpus.map(({ name, memoryMb, computeCapability }) => [name, memoryMb, computeCapability].join("\t"));
  writeIfChanged(data, `${[gpu.driver, ...lines].join("\n")}\n`);
  copyFileSync(join(import.meta.dirname, "nvidia-smi"), program);
  chmodSync(program, 0o755);
}
