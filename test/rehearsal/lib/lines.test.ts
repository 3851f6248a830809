import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { keepLines } from "../../../rehearsal/lib/lines.ts";

test("a client that a busy machine has kept from its next request for seconds finds its line as it was", async () => {
  const server = keepLines(createServer((_, response) => response.end("here")));
  await new Promise<void>((listens) => server.listen(0, "127.0.0.1", listens));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  expect(await (await fetch(url)).text()).toBe("here");
  // The line is put aside.
  await sleep(100);
  // Node's own server has closed it after that, and the client does not know yet.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 7000);
  expect(await (await fetch(url, { method: "POST", body: "again" })).text()).toBe("here");
  server.closeAllConnections();
  await new Promise((closed) => server.close(closed));
});
