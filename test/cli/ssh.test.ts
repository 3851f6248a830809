import type { AddressInfo, Socket } from "node:net";
import { createServer } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { Clone, nowhere } from "./clone.ts";

describe("a host that takes a connection and logs nobody in", () => {
  let clone: Clone;
  const servers: { close(): void }[] = [];
  beforeAll(() => {
    clone = new Clone();
  });
  afterEach(() => {
    for (const server of servers.splice(0)) server.close();
  });
  afterAll(() => clone?.remove());

  it.each<[string, (socket: Socket) => void]>([
    ["says nothing at all", () => {}],
    ["speaks something else", (socket) => void socket.end("HTTP/1.1 400 Bad Request\r\n\r\n")],
    ["hangs up after its first line", (socket) => void socket.end("SSH-2.0-Gone\r\n")],
  ])("one that %s is one sentence", async (_, met) => {
    const server = createServer((socket) => met(socket.on("error", () => {})));
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    clone.settings("far", { host: { ...nowhere, port } });
    const { code, stderr } = await clone.run(["models", "verify", "--stack", "far"]);
    expect([code, stderr]).toEqual([
      1,
      expect.stringMatching(
        new RegExp(`^root@127\\.0\\.0\\.1:${port} can't be reached: [^\\n]+ Is the box running, [^\\n]+\\n$`),
      ),
    ]);
  });
});
