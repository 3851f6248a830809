import { createServer } from "node:net";
import { afterEach, expect, test } from "vitest";
import { freePort } from "../../rehearsal/lib/ports.ts";
import { UserError } from "../../scripts/cli/errors.ts";
import { fetchHostKey, parseKey } from "../../scripts/cli/hostkey.ts";

const servers: { close(): void }[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

async function listen(onConnection: (socket: import("node:net").Socket) => void): Promise<number> {
  const server = createServer(onConnection);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as import("node:net").AddressInfo).port;
}

test("a closed port is one clear error", async () => {
  const port = await freePort();
  await expect(fetchHostKey("127.0.0.1", port)).rejects.toThrow(UserError);
  await expect(fetchHostKey("127.0.0.1", port)).rejects.toThrow(/ECONNREFUSED.*Is the box running/);
});

test("a server that never speaks is given up", async () => {
  const port = await listen(() => {});
  await expect(fetchHostKey("127.0.0.1", port, 500)).rejects.toThrow(/did not show an SSH host key/);
});

test("something that is no SSH server", async () => {
  const port = await listen((socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"));
  await expect(fetchHostKey("127.0.0.1", port, 60_000)).rejects.toThrow(/did not show an SSH host key/);
});

test("a key's fingerprint is what ssh-keygen -l shows", () => {
  // ssh-keygen -t ed25519; its -l says the fingerprint below.
  const line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBfRFMuVK2fp2pjK5NA8TpFjkU5F9oGBNcrkYrBVJnkl";
  expect(parseKey(`${line}\n`)).toEqual({
    type: "ssh-ed25519",
    line,
    fingerprint: "SHA256:b6yTO+KnMG/6yA49JGd9f0apy31ir6erWGXBWJykl5I",
  });
});

test("something that is no key", () => {
  expect(() => parseKey("PRIVATE")).toThrow(/not an SSH public key/);
});
