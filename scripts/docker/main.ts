import { text } from "node:stream/consumers";
import { type Call, openEngine } from "./engine.ts";
import { getImages } from "./images.ts";
import { type Action, actions, InputError, parseInput } from "./input.ts";
import { look } from "./look.ts";
import { reach } from "./reach.ts";
import { makeVolumes } from "./volumes.ts";
import { layWheels } from "./wheels.ts";

// What only a Docker engine can say or do, for the resources of a Dify: JSON on standard input, a line of JSON as the answer.
const usage = `usage: node scripts/docker/main.ts ${actions.join("|")}`;
const patience = 3600_000;

async function main(action: string | undefined): Promise<number> {
  if (!actions.includes(action as Action)) {
    console.error(usage);
    return 2;
  }
  const told = await text(process.stdin);
  const stop = new AbortController();
  process.once("SIGINT", () => stop.abort(new Error("interrupted")));
  process.once("SIGTERM", () => stop.abort(new Error("interrupted")));
  const signal = AbortSignal.any([stop.signal, AbortSignal.timeout(patience)]);
  const answer = await run(action as Action, told, signal);
  console.log(JSON.stringify(answer));
  return 0;
}

async function run(action: Action, told: string, signal: AbortSignal): Promise<object> {
  const say = (line: string) => console.error(`${action}: ${line}`);
  const open = (engine: Parameters<typeof openEngine>[0]): Call => ({ engine: openEngine(engine), signal, say });
  const within = async <T>(call: Call, work: (call: Call) => Promise<T>): Promise<T> => {
    try {
      return await work(call);
    } finally {
      call.engine.close();
    }
  };
  const bundle = process.env.ATELIER_BUNDLE || undefined;
  if (action === "images") {
    const input = parseInput(action, told);
    return within(open(input.engine), (call) => getImages(input, call, bundle));
  }
  if (action === "look") {
    const input = parseInput(action, told);
    return within(open(input.engine), (call) => look(input, call, bundle));
  }
  if (action === "volumes") {
    const input = parseInput(action, told);
    return within(open(input.engine), (call) => makeVolumes(input, call));
  }
  if (action === "wheels") {
    const input = parseInput(action, told);
    return within(open(input.engine), (call) => layWheels(input, call, bundle));
  }
  const input = parseInput(action, told);
  return within(open(input.engine), (call) => reach(input, call));
}

main(process.argv[2]).then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    console.error(error instanceof Error ? error.message : String(error));
    process.exitCode = error instanceof InputError ? 2 : 1;
  },
);
