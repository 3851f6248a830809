import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** A TCP line to a port of loopback on which everything takes its time. */
export interface Delay {
  port: number;
  stop(): void;
}

/** @param oneWayMs how much later each byte arrives, in milliseconds; in a process of its own, so that no contender waits for another's work */
export async function startDelay(target: number, oneWayMs: number): Promise<Delay> {
  const relay: ChildProcess = spawn(
    process.execPath,
    [fileURLToPath(new URL("./delayRelay.ts", import.meta.url)), String(target), String(oneWayMs)],
    { stdio: ["pipe", "pipe", "inherit"] },
  );
  if (relay.stdout === null) throw new Error("the relay has no output");
  const [port] = await once(createInterface({ input: relay.stdout }), "line", { signal: AbortSignal.timeout(10_000) });
  // It ends with its standard input, so also when this process is killed.
  return { port: Number(port), stop: () => relay.stdin?.end() };
}
