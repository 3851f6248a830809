import { KeyObject } from "node:crypto";
import type { Socket } from "node:net";
import type { Client } from "ssh2";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { dial } from "../../../engine/src/providers/command/ssh/dial.ts";
import { openSession, requestExec } from "../../../engine/src/providers/command/ssh/session.ts";
import { readConnection } from "../../../engine/src/providers/command/ssh/settings.ts";
import { noSshd, type Sshd, startSshd } from "../../helpers/sshd.ts";
import { until } from "../../helpers/until.ts";
import { connectionTo } from "./harness.ts";

/** What the engine reaches into ssh2 for: when these names change, connections are slower, and this test says so. */
interface Internals {
  _sock: Socket;
  _protocol: {
    _cipher: { _encKey: unknown; allocPacket(length: number): Buffer; encrypt(packet: Buffer): void };
    _decipher: { _decipherKey: unknown };
    _handlers: { GLOBAL_REQUEST(protocol: object, name: string, wantReply: boolean, data: unknown): void };
    openssh_hostKeysProve(keys: unknown): void;
    rekey(): void;
  };
}

describe.skipIf(noSshd)(`an SSH connection's packets${noSshd ? ` (${noSshd})` : ""}`, () => {
  let server: Sshd;
  let client: Client;
  beforeAll(async () => {
    server = await startSshd();
    client = await dial(readConnection(connectionTo(server)), {
      signal: new AbortController().signal,
      onRetry: () => {},
      keepaliveMs: 10_000,
      name: "Dial",
    });
  });
  afterAll(async () => {
    client.end();
    await server.stop();
  });
  const internals = () => client as unknown as Internals;

  /** One command, from the channel's opening to its end. */
  const run = async (command: string) => {
    const session = await openSession(client);
    let said = "";
    session.on("data", (data: Buffer) => {
      said += data;
    });
    session.stderr.resume();
    const closed = new Promise((done) => session.once("close", done));
    void requestExec(session, client, command);
    session.end("");
    await closed;
    return said;
  };

  it("are written whole: a command takes four writes at most, its channel's opening and end among them", async () => {
    await run("true");
    const { _sock } = internals();
    const writes = [vi.spyOn(_sock, "_write"), vi.spyOn(_sock, "_writev" as "_write")];
    const before = _sock.bytesWritten;
    for (let count = 0; count < 5; count++) expect(await run(`echo ${count}`)).toBe(`${count}\n`);
    const calls = writes.reduce((sum, spy) => sum + spy.mock.calls.length, 0);
    expect(calls).toBeLessThanOrEqual(20);
    expect(calls).toBeGreaterThan(0);
    expect(_sock.bytesWritten).toBeGreaterThan(before);
  });

  it("are enciphered with key objects, after a change of keys too", async () => {
    const keys = () => [internals()._protocol._cipher._encKey, internals()._protocol._decipher._decipherKey];
    const first = keys();
    expect(first).toEqual([expect.any(KeyObject), expect.any(KeyObject)]);
    const changed = new Promise((done) => client.once("handshake", done));
    internals()._protocol.rekey();
    await changed;
    expect(keys()).toEqual([expect.any(KeyObject), expect.any(KeyObject)]);
    for (const [index, key] of keys().entries())
      expect((key as KeyObject).equals(first[index] as KeyObject)).toBe(false);
    expect(await run("echo after")).toBe("after\n");
  });

  it("are padded as ssh2 pads them, never twice alike", () => {
    const { _cipher: cipher } = internals()._protocol;
    const { allocPacket } = Object.getPrototypeOf(cipher) as typeof cipher;
    expect(cipher.allocPacket).not.toBe(allocPacket);
    const paddings = new Set<string>();
    for (let round = 0; round < 1000; round++) {
      const length = round % 67;
      const [packet, ours] = [allocPacket.call(cipher, length), cipher.allocPacket(length)];
      expect(ours.length).toBe(packet.length);
      expect(ours.subarray(0, 5)).toEqual(packet.subarray(0, 5));
      paddings.add(ours.toString("hex", 5 + length));
    }
    expect(paddings.size).toBeGreaterThan(995);
  });

  it("do not ask the server to sign for each of its keys", () => {
    const { _protocol: protocol } = internals();
    const prove = vi.spyOn(protocol, "openssh_hostKeysProve").mockImplementation(() => {});
    const key = `ssh-ed25519 ${server.hostKey.split(" ")[1]}`;
    protocol._handlers.GLOBAL_REQUEST(protocol, "hostkeys-00@openssh.com", false, [Buffer.from(key)]);
    expect(prove).not.toHaveBeenCalled();
    prove.mockRestore();
  });

  it("acknowledge what the server tells after the login, by one that it ignores: else it waits 40 ms with its next", async () => {
    const { _sock, _protocol: protocol } = internals();
    await run("true");
    const encrypt = vi.spyOn(protocol._cipher, "encrypt");
    const before = _sock.bytesWritten;
    protocol._handlers.GLOBAL_REQUEST(protocol, "hostkeys-00@openssh.com", false, []);
    // SSH_MSG_IGNORE with a text of no length, behind the packet's length and that of its padding.
    expect(encrypt.mock.calls.map(([packet]) => packet.toString("hex", 5, 10))).toEqual(["0200000000"]);
    await until("it is on its way", () => _sock.bytesWritten > before);
    encrypt.mockRestore();
    // The next packets' numbers, and with them their codes, are right.
    expect(await run("echo after")).toBe("after\n");
  });

  it("are none of ours while keys are changed", async () => {
    const { _protocol: protocol } = internals();
    const changed = new Promise((done) => client.once("handshake", done));
    protocol.rekey();
    const encrypt = vi.spyOn(protocol._cipher, "encrypt");
    protocol._handlers.GLOBAL_REQUEST(protocol, "hostkeys-00@openssh.com", false, []);
    expect(encrypt).not.toHaveBeenCalled();
    encrypt.mockRestore();
    await changed;
    expect(await run("echo after")).toBe("after\n");
  });
});
