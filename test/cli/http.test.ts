import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, expect, it, vi } from "vitest";
import { pastProxy, request } from "../../scripts/cli/http.ts";

// Where nobody listens. It is read at the first request.
vi.stubEnv("http_proxy", "http://127.0.0.1:1");
vi.stubEnv("no_proxy", "");
vi.stubEnv("NO_PROXY", "");
afterAll(() => vi.unstubAllEnvs());

it("a proxy of this machine is not asked for this machine itself, such as a rehearsal's upstreams", async () => {
  const server = createServer((_, response) => response.end("here"));
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address() as AddressInfo;
  for (const host of ["127.0.0.1", "localhost"])
    expect(await (await request(`http://${host}:${port}/`, { seconds: 20 })).text()).toBe("here");
  await expect(request("http://mirror.example.com/", { seconds: 20 })).rejects.toThrow();
  server.close();
  server.closeAllConnections();
});

it("what the variables spare stays spared, for git too", () => {
  expect(pastProxy({ NO_PROXY: "corp.example" })).toBe("corp.example,localhost,127.0.0.1,::1");
  expect(pastProxy({ no_proxy: "a", NO_PROXY: "b" })).toBe("a,localhost,127.0.0.1,::1");
  expect(pastProxy({})).toBe("localhost,127.0.0.1,::1");
});
