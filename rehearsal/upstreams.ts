import { mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { type Daemon, daemonRuns, daemonServes, startDaemon, stopDaemon } from "./lib/daemon.ts";
import { readJson, writeWhole } from "./lib/files.ts";
import { fingerprintOf } from "./lib/fingerprint.ts";
import { freePort } from "./lib/ports.ts";
import {
  type Content,
  clipRepository,
  hubRepository,
  modelscopeRepository,
  revision,
  type Source,
  type StandIn,
  standIns,
  version,
} from "./upstreams/content.ts";
import type { Told } from "./upstreams/daemon.ts";
import type { Fault } from "./upstreams/faults.ts";
import { type LoggedRequest, readRequestLog } from "./upstreams/request-log.ts";

/** What `upstreams.json` holds. */
export interface UpstreamFacts {
  git: string[];
  huggingface: string[];
  modelscope: string[];
  /** Empty: the client's own default. Only PyPI is real. */
  pypi: string[];
  sources: Source[];
  models: StandInModel[];
  tokenizer: { repository: string; revision: string; files: { file: string; bytes: number; sha256: string }[] };
  /** Name of the wheel lock in `images/wheels`. */
  wheels: string;
  version: string;
  pid: number;
}

/** An entry of the model catalog. */
export interface StandInModel {
  name: string;
  kind: StandIn["kind"];
  base?: "sdxl";
  file: string;
  bytes: number;
  sha256: string;
  licence: string;
  sources: ({ huggingface: string } | { modelscope: string })[];
}

export interface UpstreamsOptions {
  /** `upstreams.json`, the request log and the daemon's log lie here. */
  dir: string;
  /** What is served is made here once, and outlives the stack. */
  cacheDir: string;
  /** @default a free one, chosen once and kept */
  port?: number;
}

const daemonIn = (dir: string): Daemon => ({ script: join(import.meta.dirname, "upstreams", "daemon.ts"), dir });
const factsPath = (dir: string) => join(dir, "upstreams.json");

/**
 * The stand-in upstreams as a detached process on 127.0.0.1. A running one with today's content is left alone;
 * another is replaced, a dead one comes back, both at the same port.
 * @throws when the port kept for it is taken, or the process does not tell within two minutes that it serves
 */
export async function startUpstreams(options: UpstreamsOptions): Promise<UpstreamFacts> {
  const dir = resolve(options.dir);
  const cacheDir = resolve(options.cacheDir);
  const known = readJson<UpstreamFacts>(factsPath(dir));
  const fingerprint = fingerprintOf(import.meta.dirname);
  const knownPort = known ? portOf(known) : undefined;
  const daemon = daemonIn(dir);
  if (known && (options.port ?? knownPort) === knownPort) {
    const today = { pid: known.pid, base: `http://127.0.0.1:${knownPort}`, fingerprint };
    if (await daemonServes(daemon, today)) return known;
  }
  await stopUpstreams({ dir });

  mkdirSync(dir, { recursive: true, mode: 0o700 });
  mkdirSync(cacheDir, { recursive: true });
  const port = options.port ?? knownPort ?? (await freePort());
  const { told, pid } = await startDaemon<Told>(daemon, {
    nodeArgs: ["--max-old-space-size=64"],
    args: ["--cache", cacheDir, "--port", String(port), "--fingerprint", fingerprint],
    env: { NODE_COMPILE_CACHE: join(cacheDir, "compiled") },
  }).catch((error: Error) => {
    throw new Error(
      `The stand-in upstreams did not start on 127.0.0.1:${port} (their folder: ${dir}): ${error.message}. ` +
        "If another program has the port, end it, or remove the stack with `npx atelier down` and start anew.",
    );
  });
  const facts = describe(told.content, port, pid);
  writeWhole(factsPath(dir), `${JSON.stringify(facts, null, 2)}\n`, 0o600);
  return facts;
}

/** Ends the process. Its folder stays. Nothing happens when it does not run. */
export async function stopUpstreams({ dir }: { dir: string }): Promise<void> {
  const folder = resolve(dir);
  await stopDaemon(daemonIn(folder), readJson<UpstreamFacts>(factsPath(folder))?.pid);
}

/** What `upstreams.json` says, and whether the process runs. */
export function upstreamsStatus({ dir }: { dir: string }): { running: boolean; facts: UpstreamFacts | undefined } {
  const folder = resolve(dir);
  const facts = readJson<UpstreamFacts>(factsPath(folder));
  return { running: daemonRuns(daemonIn(folder), facts?.pid), facts };
}

/** Every request that the upstreams of a folder answered, oldest first. */
export const upstreamRequests = ({ dir }: { dir: string }): LoggedRequest[] =>
  readRequestLog(join(resolve(dir), "requests.jsonl"));

/** Orders a fault from running upstreams; `null` clears all. */
export async function orderFault({ dir }: { dir: string }, fault: Fault | null): Promise<void> {
  const facts = readJson<UpstreamFacts>(factsPath(resolve(dir)));
  if (!facts) throw new Error(`No upstreams in ${dir}: start them first.`);
  const url = `http://127.0.0.1:${portOf(facts)}/control/faults`;
  const response = await fetch(url, {
    method: fault ? "POST" : "DELETE",
    body: fault ? JSON.stringify(fault) : undefined,
    signal: AbortSignal.timeout(5000),
  });
  if (!response.ok) throw new Error(`${url} answered ${response.status}: ${await response.text()}`);
}

const portOf = (facts: UpstreamFacts) => Number(new URL(facts.git[0] ?? "http://127.0.0.1:0/").port);

function describe(content: Content, port: number, pid: number): UpstreamFacts {
  const base = `http://127.0.0.1:${port}`;
  const licence = "none: REHEARSAL, a stand-in";
  const sizeOf = (file: string) => {
    const served = content.files.find((candidate) => candidate.file === file);
    if (!served) throw new Error(`No ${file} among the stand-in files.`);
    return { bytes: served.bytes, sha256: served.sha256 };
  };
  const usual = (name: string, extension: string): StandInModel => {
    const file = `v1-5-pruned-emaonly.${extension}`;
    return {
      name,
      kind: "checkpoint",
      file,
      ...sizeOf(file),
      licence,
      sources: [
        { huggingface: `${hubRepository}/resolve/main/${file}` },
        { modelscope: `${modelscopeRepository}/resolve/master/${file}` },
      ],
    };
  };
  const other = ({ repository, ...model }: StandIn): StandInModel => ({
    ...model,
    ...sizeOf(model.file),
    licence,
    sources: [{ huggingface: `${repository}/resolve/main/${model.file}` }],
  });
  return {
    git: [`${base}/git/`],
    huggingface: [`${base}/hf/`],
    modelscope: [`${base}/modelscope/`],
    pypi: [],
    sources: content.sources,
    models: [
      usual("v1-5-pruned-emaonly", "safetensors"),
      usual("v1-5-pruned-emaonly-ckpt", "ckpt"),
      ...standIns.map(other),
    ],
    tokenizer: {
      repository: clipRepository,
      revision,
      files: content.files
        .filter(({ repository }) => repository === clipRepository)
        .map(({ file, bytes, sha256 }) => ({ file, bytes, sha256 })),
    },
    wheels: "rehearsal",
    version,
    pid,
  };
}
