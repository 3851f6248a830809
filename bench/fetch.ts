import { spawn } from "node:child_process";
import { createHash, randomFillSync } from "node:crypto";
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeSync } from "node:fs";
import { cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Contender, contenders, type Wanted, type Work } from "./fetch/contenders.ts";
import { type Served, Servers } from "./fetch/servers.ts";
import { median } from "./lib/measure.ts";

interface Case {
  name: string;
  servers: number;
  /** The first goes away after this share of what it would send. */
  dies?: boolean;
}
const cases: Case[] = [
  { name: "1 server", servers: 1 },
  { name: "3 servers", servers: 3 },
  { name: "3, one dies half-way", servers: 3, dies: true },
];
interface Result {
  case: string;
  contender: string;
  /** Of the file's bytes a second to the sum of the servers' rates. */
  ratio?: number;
  seconds: number;
  why?: string;
}
const DEADLINE_MS = 600_000;

/** A large file from servers of limited rate: ours against what there is, and what a kill -9 at the half costs. */
export async function bench(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      runs: { type: "string", default: "1" },
      mib: { type: "string", default: "1024" },
      rate: { type: "string", default: "40" },
      only: { type: "string" },
    },
  });
  const rate = Number(values.rate) * 1e6;
  const scratch = mkdtempSync(join(tmpdir(), "atelier-bench-fetch-"));
  try {
    const served = makeFile(join(scratch, "file"), Number(values.mib) * 2 ** 20);
    const { able, missing } = contenders(scratch, served);
    for (const line of missing) process.stdout.write(`left out: ${line}\n`);
    const chosen = able.filter(({ name }) => values.only === undefined || values.only.split(",").includes(name));
    const results: Result[] = [];
    for (let run = 1; run <= Number(values.runs); run++) {
      for (const one of cases) {
        for (const contender of chosen.filter(({ several }) => several || one.servers === 1)) {
          const result = await measure(one, contender, served, rate, scratch);
          results.push(result);
          process.stdout.write(`${one.name}  ${contender.name}  ${said(result)}  (load ${loadavg()[0]?.toFixed(1)})\n`);
        }
      }
    }
    process.stdout.write(`\n${summary(results, chosen, values.mib, values.rate, Number(values.runs))}\n\n`);
    for (const contender of chosen.filter(({ several }) => several))
      process.stdout.write(`${await killed(contender, served, rate, scratch)}\n`);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** A safetensors file of noise. */
function makeFile(path: string, size: number): Served & Wanted {
  const header = Buffer.from(JSON.stringify({ t: { dtype: "U8", shape: [size], data_offsets: [0, size] } }));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  const digest = createHash("sha256");
  const file = openSync(path, "w");
  const write = (block: Buffer) => {
    digest.update(block);
    writeSync(file, block);
  };
  write(Buffer.concat([length, header]));
  const block = Buffer.alloc(4 << 20);
  for (let left = size; left > 0; left -= block.length)
    write(randomFillSync(block).subarray(0, Math.min(left, block.length)));
  closeSync(file);
  return { path, sha256: digest.digest("hex"), bytes: statSync(path).size };
}

async function measure(
  one: Case,
  contender: Contender,
  served: Served & Wanted,
  rate: number,
  scratch: string,
): Promise<Result> {
  const folder = join(scratch, "out");
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
  const dies = one.dies ? served.bytes / one.servers / 2 : 0;
  const servers = await Servers.start(one.servers, served, rate, dies);
  const began = performance.now();
  try {
    await finish(contender.run(servers.urls, folder)).ended;
    const seconds = (performance.now() - began) / 1000;
    const got = createHash("sha256")
      .update(readFileSync(join(folder, contender.result)))
      .digest("hex");
    if (got !== served.sha256) return { case: one.name, contender: contender.name, seconds, why: "a wrong file" };
    // The dying one gives half of its share.
    const sum = rate * one.servers;
    return { case: one.name, contender: contender.name, seconds, ratio: served.bytes / seconds / sum };
  } catch (error) {
    return {
      case: one.name,
      contender: contender.name,
      seconds: (performance.now() - began) / 1000,
      why: (error as Error).message.split("\n")[0],
    };
  } finally {
    servers.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

function finish({ command: [program = "", ...args], env, stdin }: Work) {
  const child = spawn(program, args, {
    env: { ...process.env, ...env },
    stdio: ["pipe", "pipe", "pipe"],
    timeout: DEADLINE_MS,
    detached: true,
  });
  let said = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => {
      said = (said + text).slice(-4000);
    });
  child.stdin.on("error", () => {});
  child.stdin.end(stdin ?? "");
  const ended = new Promise<string>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => {
      if (code === 0) resolve(said);
      else reject(new Error(`ended with ${code ?? signal}: ${said.trim().split("\n").at(-1) ?? ""}`));
    });
  });
  return { child, ended };
}

/** Killed with all of its children when half of the bytes are there; then again, to the end. */
async function killed(contender: Contender, served: Served & Wanted, rate: number, scratch: string): Promise<string> {
  const folder = join(scratch, "out");
  mkdirSync(folder, { recursive: true });
  const servers = await Servers.start(1, served, rate);
  try {
    const first = finish(contender.run(servers.urls, folder));
    first.ended.catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, (served.bytes / 2 / rate) * 1000));
    process.kill(-(first.child.pid ?? 0), "SIGKILL");
    await first.ended.catch(() => {});
    const before = await sent(servers);
    await finish(contender.run(servers.urls, folder)).ended;
    const again = (await sent(servers)) - served.bytes;
    const got = createHash("sha256")
      .update(readFileSync(join(folder, contender.result)))
      .digest("hex");
    const right = got === served.sha256 ? "the right file" : "a WRONG file";
    return `kill -9 at ${Math.round((100 * before) / served.bytes)} %  ${contender.name}: ${((100 * again) / served.bytes).toFixed(2)} % of the bytes sent again, ${right}`;
  } catch (error) {
    return `kill -9  ${contender.name}: ${(error as Error).message}`;
  } finally {
    servers.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** What the servers have sent so far, by their own count. */
async function sent({ urls }: Servers): Promise<number> {
  const counts = await Promise.all(urls.map(async (url) => Number(await (await fetch(new URL("/sent", url))).text())));
  return counts.reduce((a, b) => a + b, 0);
}

const said = ({ ratio, seconds, why }: Result) =>
  ratio === undefined ? `failed: ${why}` : `${ratio.toFixed(3)} of the sum, ${seconds.toFixed(1)} s`;

function summary(results: Result[], chosen: Contender[], mib: string, rate: string, runs: number): string {
  const cell = (one: Case, contender: Contender) => {
    const mine = results.filter((result) => result.case === one.name && result.contender === contender.name);
    const ratios = mine.flatMap(({ ratio }) => ratio ?? []);
    if (mine.length === 0) return "-";
    return ratios.length < mine.length ? "failed" : median(ratios).toFixed(3);
  };
  const rows = chosen.map((contender) => [
    contender.name,
    ...cases.map((one) => cell(one, contender)),
    contender.proves ? "yes" : "no",
  ]);
  const head = ["", ...cases.map(({ name }) => name), "sha256 proved"];
  const table = [head, head.map(() => "---"), ...rows].map((row) => `| ${row.join(" | ")} |`).join("\n");
  const [cpu] = cpus();
  return `${mib} MiB, ${rate} MB/s a server; the file's bytes a second to the sum of the servers' rates, medians of ${runs} run${runs > 1 ? "s" : ""}.
${cpus().length} cores (${cpu?.model.trim() ?? "?"}), load ${loadavg()[0]?.toFixed(1)}, Node ${process.version}.

${table}`;
}
