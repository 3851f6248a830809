import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { Agent, request } from "node:http";
import { cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";
import { basic, Gate, Inner, login } from "../test/host/lib/gate.ts";
import { python, Standin } from "../test/rehearsal/standin.ts";
import { median } from "./lib/measure.ts";

/** What a call through the gate may take longer, and a picture. */
const AIMS = { call: 2, picture: 1 };
/** A picture of 512x512 in 20 steps takes a card of the middle class about so long, and is as large in base64. */
const PICTURE = { ms: 1500, bytes: 600_000 };

/**
 * What the gate costs: the same calls straight and through the gate, in turn, each over one kept connection.
 * `calls`: small GETs of the stand-in WebUI; `pictures`: txt2img of a server that waits and answers, so that no drawing blurs the difference.
 */
export async function bench(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: { calls: { type: "string", default: "500" }, pictures: { type: "string", default: "15" } },
  });
  const [calls, pictures] = [Number(values.calls), Number(values.pictures)];
  if (![calls, pictures].every((count) => Number.isInteger(count) && count >= 3))
    throw new Error(`--calls and --pictures are whole numbers from 3, not ${values.calls} and ${values.pictures}`);
  const [webuiPython, gatePython] = [python(), python("gate")];
  const missing = webuiPython.missing ?? gatePython.missing;
  if (missing) throw new Error(`The bench needs Python: ${missing}.`);
  const folder = mkdtempSync(join(tmpdir(), "atelier-bench-gate-"));
  const webui = new Standin(webuiPython.path, folder);
  const gate = new Gate(gatePython.path);
  const still = new Inner();
  const before = new Gate(gatePython.path);
  const image = "i".repeat(PICTURE.bytes);
  still.own["POST /sdapi/v1/txt2img"] = async ({ body }) => {
    await pause(PICTURE.ms);
    return { json: { images: [image], parameters: body, info: "{}" } };
  };
  try {
    await webui.start();
    await gate.start(webui.port);
    await before.start(await still.start());
    const small = () => ({ path: "/sdapi/v1/progress?skip_current_image=true" });
    const picture = (turn: number) => ({
      path: "/sdapi/v1/txt2img",
      json: { prompt: "a lighthouse", seed: turn, override_settings: { sd_model_checkpoint: "v1-5.safetensors" } },
    });
    const rows = [
      await row("a small GET", gate, webui.port, small, calls),
      await row(
        `a picture of ${PICTURE.ms / 1000} s, ${PICTURE.bytes / 1000} kB`,
        before,
        still.port,
        picture,
        pictures,
      ),
    ];
    const head = ["", "straight, ms", "through the gate, ms", "longer by, ms", "longer by, %", "the gate's CPU, ms"];
    const table = [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
    process.stdout.write(
      `\nMedians of ${calls} calls and ${pictures} pictures each way, in turn; "longer by" is the median of the pairs. Aims: under ${AIMS.call} ms a call, under ${AIMS.picture} % of a picture.\n` +
        `${cpus().length} cores (${cpus()[0]?.model.trim() ?? "?"}), load ${loadavg()[0]?.toFixed(1)}, Node ${process.version}.\n\n${table}\n`,
    );
  } finally {
    await gate.stop();
    await before.stop();
    await webui.stop();
    await still.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** One connection, as long as the other side keeps it. */
class Caller {
  readonly #port: number;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });

  constructor(port: number) {
    this.#port = port;
  }

  /** Milliseconds until the whole answer is there. */
  async time({ path, json }: { path: string; json?: object }): Promise<number> {
    const data = json === undefined ? undefined : JSON.stringify(json);
    const began = performance.now();
    const status = await new Promise<number>((done, fail) => {
      const asked = request(
        {
          ...{ host: "127.0.0.1", port: this.#port, path, agent: this.#agent, method: data ? "POST" : "GET" },
          headers: {
            authorization: basic(login),
            ...(data && { "content-type": "application/json", "content-length": String(Buffer.byteLength(data)) }),
          },
        },
        (answer) => {
          answer.resume();
          answer.on("end", () => done(answer.statusCode ?? 0));
          answer.on("error", fail);
        },
      );
      asked.on("error", fail);
      asked.end(data);
    });
    const took = performance.now() - began;
    if (status !== 200) throw new Error(`${path} answered ${status}`);
    return took;
  }
}

interface Pair {
  straight: number;
  through: number;
}

async function inTurn(straight: Caller, through: Caller, call: Calls, count: number): Promise<Pair[]> {
  const pairs: Pair[] = [];
  for (const caller of [straight, through]) await caller.time(call(0));
  for (let turn = 1; turn <= count; turn++) {
    // Who goes first changes, so that neither has the warmer machine.
    const first = turn % 2 === 0 ? straight : through;
    const one = await first.time(call(turn));
    const other = await (first === straight ? through : straight).time(call(turn));
    pairs.push(first === straight ? { straight: one, through: other } : { straight: other, through: one });
  }
  return pairs;
}

type Calls = (turn: number) => Parameters<Caller["time"]>[0];

/** One line of the table. On a busy machine most of what is longer is waiting for the CPU; what the gate itself needs of it is not blurred so. */
async function row(what: string, gate: Gate, inner: number, call: Calls, count: number): Promise<string[]> {
  const before = cpuMs(gate.pid);
  const pairs = await inTurn(new Caller(inner), new Caller(gate.port), call, count);
  const cpu = (cpuMs(gate.pid) - before) / (count + 1);
  const longer = pairs.map(({ straight, through }) => through - straight);
  const share = pairs.map(({ straight, through }) => (100 * (through - straight)) / straight);
  return [
    what,
    median(pairs.map((pair) => pair.straight)).toFixed(2),
    median(pairs.map((pair) => pair.through)).toFixed(2),
    median(longer).toFixed(2),
    median(share).toFixed(2),
    cpu.toFixed(2),
  ];
}

/** CPU time that a process has had, by Linux's ticks of 10 ms. */
function cpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10;
}
