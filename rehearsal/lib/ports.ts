import { randomInt } from "node:crypto";
import { mkdirSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const loopback = "127.0.0.1";

/** Whether this machine lets us listen on a port of loopback now. */
export function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen({ port, host: loopback, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

/** Waits until a port of loopback is free: of a process that has just died it is for a moment not. Gives false when it was not within `ms`. */
export async function waitForFree(port: number, ms: number): Promise<boolean> {
  const deadline = Date.now() + ms;
  while (!(await isFree(port))) {
    if (Date.now() >= deadline) return false;
    await sleep(10);
  }
  return true;
}

/**
 * A free port of loopback below 32768: above it the system gives ports to any outgoing connection,
 * and one that must come back after a pause would be lost. ATELIER_PORT_CLAIMS names a folder of those that were given
 * already: none is given twice, though nobody listens on it yet.
 */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 50; attempt++) {
    const port = randomInt(20_000, 32_000);
    if ((await isFree(port)) && claim(port)) return port;
  }
  throw new Error("No free port: tried 50 between 20000 and 32000 on 127.0.0.1, each was taken.");
}

function claim(port: number): boolean {
  const { ATELIER_PORT_CLAIMS: claims } = process.env;
  if (claims === undefined) return true;
  try {
    mkdirSync(join(claims, String(port)));
    return true;
  } catch {
    return false;
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: loopback });
    const done = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(1000, () => done(false));
    socket.once("connect", () => done(true));
    socket.once("error", () => done(false));
  });
}

/** Waits until a port of loopback accepts connections. Gives false when it did not within `ms`. */
export async function waitForPort(port: number, ms: number): Promise<boolean> {
  const deadline = Date.now() + ms;
  do {
    if (await accepts(port)) return true;
    await sleep(10);
  } while (Date.now() < deadline);
  return false;
}
