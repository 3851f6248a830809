import type { AddressInfo, Socket } from "node:net";
import { createServer } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { noSshd, type Sshd, startSshd } from "../helpers/sshd.ts";
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

/** Stands for the rental and the first step on its box. */
const program = `
import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
const { box } = process.env;
const connection = pulumi.output(pulumi.secret(box)).apply((text) => JSON.parse(text ?? ""));
new command.remote.Command("step", { connection, create: "true" });
`;

describe.skipIf(noSshd)("a box that `up` rented", () => {
  let clone: Clone;
  let sshd: Sshd;
  const settings = (host: object = {}) =>
    clone.settings("t", {
      host: { kind: "ssh", rent: { create: "true", destroy: "true" }, workspace: `${sshd.dir}/ws`, ...host },
    });
  const verify = () => clone.run(["models", "verify", "--stack", "t"]);

  beforeAll(async () => {
    sshd = await startSshd();
    clone = new Clone();
    clone.program(program);
    settings();
  });
  afterAll(async () => {
    clone?.remove();
    await sshd?.stop();
  });

  it("has no address before", async () => {
    const { code, stderr } = await verify();
    expect([code, stderr]).toEqual([1, expect.stringContaining("only then it has an address")]);
  });

  it("is reached as the update reached it, or by the login of the settings", async () => {
    const { port, user, hostKey, privateKey } = sshd;
    const box = JSON.stringify({ host: "127.0.0.1", port, user, hostKey, privateKey });
    const made = await clone.run(["up", "--stack", "t", "--yes", "--skip-preview"], { env: { box } });
    expect(made.stderr + made.stdout).toContain("no output `liveCheck`");
    const asked = `${user}@127.0.0.1:${port} has no ${sshd.dir}/ws/bin/store.sh`;
    expect((await verify()).stderr).toContain(asked);
    settings({ password: "wrong" });
    expect((await verify()).stderr).toContain("All configured authentication methods failed");
    settings({ key: privateKey });
    expect((await verify()).stderr).toContain(asked);
  });
});
