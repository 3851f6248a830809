import { mkdtempSync, rmSync } from "node:fs";
import { Agent, request } from "node:http";
import { cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { basic, Gate, login } from "../test/host/lib/gate.ts";
import { python, Standin } from "../test/rehearsal/standin.ts";
import { median } from "./lib/measure.ts";

/** What a call through the gate may take longer, and a picture. */
const AIMS = { call: 2, picture: 1 };
/** A picture of 512x512 in 20 steps takes a card of the middle class so long. */
const STEP_SECONDS = 0.075;

/**
 * What the gate costs: the same calls to the stand-in WebUI straight and through the gate, in turn, each over one kept connection.
 * `calls`: small GETs; `pictures`: 512x512, 20 steps of 75 ms.
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
  try {
    await webui.start({ env: { ATELIER_STANDIN_STEP_SECONDS: String(STEP_SECONDS) } });
    await gate.start(webui.port);
    const straight = new Caller(webui.port);
    const through = new Caller(gate.port);
    const small = () => ({ path: "/sdapi/v1/progress?skip_current_image=true" });
    const picture = (turn: number) => ({
      path: "/sdapi/v1/txt2img",
      json: { prompt: "a lighthouse", seed: turn, steps: 20, width: 512, height: 512 },
    });
    const rows = [
      row("a small GET", await inTurn(straight, through, small, calls)),
      row("a picture", await inTurn(straight, through, picture, pictures)),
    ];
    const head = ["", "straight, ms", "through the gate, ms", "longer by, ms", "longer by, %"];
    const table = [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
    process.stdout.write(
      `\nMedians of ${calls} calls and ${pictures} pictures each way, in turn; "longer by" is the median of the pairs. Aims: under ${AIMS.call} ms a call, under ${AIMS.picture} % of a picture.\n` +
        `${cpus().length} cores (${cpus()[0]?.model.trim() ?? "?"}), load ${loadavg()[0]?.toFixed(1)}, Node ${process.version}.\n\n${table}\n`,
    );
  } finally {
    await gate.stop();
    await webui.stop();
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

async function inTurn(
  straight: Caller,
  through: Caller,
  call: (turn: number) => Parameters<Caller["time"]>[0],
  count: number,
): Promise<Pair[]> {
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

function row(what: string, pairs: Pair[]): string[] {
  const longer = pairs.map(({ straight, through }) => through - straight);
  const share = pairs.map(({ straight, through }) => (100 * (through - straight)) / straight);
  return [
    what,
    median(pairs.map((pair) => pair.straight)).toFixed(2),
    median(pairs.map((pair) => pair.through)).toFixed(2),
    median(longer).toFixed(2),
    median(share).toFixed(2),
  ];
}
