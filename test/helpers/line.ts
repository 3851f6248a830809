import type { AddressInfo } from "node:net";
import { connect, createServer, type Socket } from "node:net";

/** A TCP line to a port of loopback that can be cut, or go dead without a word. */
export interface Line {
  port: number;
  /** How many connections were made over it. */
  count(): number;
  /** Resets every connection. */
  cut(): void;
  /** From now on nothing comes through, and nobody is told. */
  freeze(): void;
  close(): Promise<void>;
}

export async function startLine(target: number): Promise<Line> {
  const sockets = new Set<Socket>();
  let made = 0;
  let frozen = false;
  const server = createServer((near) => {
    made++;
    const far = connect({ port: target, host: "127.0.0.1" });
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.on("data", (data) => {
        if (!frozen) to.write(data);
      });
      from.on("error", () => to.destroy());
      from.on("close", () => {
        sockets.delete(from);
        if (!frozen) to.destroy();
      });
    }
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const cut = () => {
    for (const socket of sockets) socket.resetAndDestroy();
  };
  return {
    port: (server.address() as AddressInfo).port,
    count: () => made,
    cut,
    freeze: () => {
      frozen = true;
    },
    close: () => {
      cut();
      return new Promise((done) => server.close(() => done()));
    },
  };
}
