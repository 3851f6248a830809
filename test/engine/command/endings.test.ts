import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import ssh2, { type Algorithms, type Connection, type ServerChannel } from "ssh2";
import { afterEach, describe, expect, it } from "vitest";
import { Asset, type PropertyMap } from "../../../engine/src/values.ts";
import { keyPair } from "../../helpers/keyPair.ts";
import { failure, startHarness } from "./harness.ts";

const REMOTE = "command:remote:Command";

/** A command's end as a server says it, message by message. */
interface Ending {
  eof(): void;
  status(code: number): void;
  close(): void;
  /** The TCP connection, with no word of the channel. */
  hangUp(): void;
}

describe("a command's end, as servers other than OpenSSH say it", () => {
  const stops: (() => unknown)[] = [];
  afterEach(async () => {
    for (const stop of stops.splice(0)) await stop();
  });

  /** What a command comes to on a server that says `out`, hears the end of its input, and then ends it so. */
  async function run(end: (ending: Ending) => Promise<void>, algorithms: Algorithms = {}): Promise<PropertyMap> {
    const server = new ssh2.Server({ hostKeys: [keyPair().private], algorithms }, (client) => {
      client.on("error", () => {});
      client.on("authentication", (context) => context.accept());
      client.on("session", (accept) => {
        accept().on("exec", (acceptExec) => {
          const channel = acceptExec();
          channel.resume();
          channel.write("out\n");
          channel.once("end", () => void end(endingOf(client, channel)));
        });
      });
    });
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    const harness = await startHarness(".");
    stops.push(
      () => harness.provider.close(),
      () => server.close(),
    );
    const connection = { host: "127.0.0.1", port: (server.address() as AddressInfo).port, dialErrorLimit: 0 };
    return (await harness.create(REMOTE, { connection, create: "true", stdin: "in" })).outputs;
  }

  it("is the status that comes after the streams' end", async () => {
    const end = (code: number) =>
      run(async ({ eof, status, close }) => {
        eof();
        await sleep(200);
        status(code);
        close();
      });
    expect((await end(0)).stdout).toBe("out");
    expect((await failure(end(3))).message).toContain("Process exited with status 3");
  });

  it("is the status also where the connection ends with the command, and the channel is not closed", async () => {
    const end = (code: number) =>
      run(async ({ eof, status, hangUp }) => {
        status(code);
        eof();
        hangUp();
      });
    expect((await end(0)).stdout).toBe("out");
    expect((await failure(end(3))).message).toContain("Process exited with status 3");
  });

  it("is not known where the connection ends before the streams do, or without a status", async () => {
    const half = run(async ({ status, hangUp }) => {
      status(0);
      hangUp();
    });
    expect(await failure(half)).toMatchObject({ name: "ConnectionLost" });
    const packed = run(async ({ hangUp }) => hangUp(), { compress: ["zlib@openssh.com"] });
    expect(await failure(packed)).toMatchObject({ name: "ConnectionLost" });
    const bare = run(async ({ eof, hangUp }) => {
      eof();
      hangUp();
    });
    expect(await failure(bare)).toMatchObject({ name: "ConnectionLost" });
  });

  it("comes where the server waits for this side to close the channel", async () => {
    const outputs = await run(async ({ eof, status }) => {
      eof();
      await sleep(200);
      status(0);
    });
    expect(outputs.stdout).toBe("out");
  });
});

it("is a lost connection also for a copy whose packets are compressed", async () => {
  const algorithms: Algorithms = { compress: ["zlib@openssh.com"] };
  const server = new ssh2.Server({ hostKeys: [keyPair().private], algorithms }, (client) => {
    client.on("error", () => {});
    client.on("authentication", (context) => context.accept());
    client.on("session", (accept) => {
      accept().on("sftp", (acceptSftp) => {
        acceptSftp().on("STAT", () => client.end());
      });
    });
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address() as AddressInfo;
  const harness = await startHarness(".");
  const inputs = { connection: { host: "127.0.0.1", port }, source: new Asset({ text: "x" }), remotePath: "/x" };
  const error = await failure(harness.create("command:remote:CopyToRemote", inputs));
  await harness.provider.close();
  server.close();
  expect(error).toMatchObject({ name: "ConnectionLost" });
});

it("names the host that lets in, and ends each connection before a session is open", async () => {
  let logins = 0;
  const server = new ssh2.Server({ hostKeys: [keyPair().private] }, (client) => {
    client.on("error", () => {});
    client.on("authentication", (context) => context.accept());
    client.on("ready", () => {
      logins++;
      client.end();
    });
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address() as AddressInfo;
  const harness = await startHarness(".");
  const error = await failure(
    harness.create(REMOTE, { connection: { host: "127.0.0.1", port, dialErrorLimit: 0 }, create: "true" }),
  );
  await harness.provider.close();
  server.close();
  expect(error.message).toContain(`root@127.0.0.1:${port} lets the user in, and ends the connection`);
  expect(logins).toBe(3);
});

/** ssh2's own server ends a command in one way only. */
function endingOf(client: Connection, channel: ServerChannel): Ending {
  const { outgoing } = channel as unknown as { outgoing: { id: number } };
  const { _protocol: protocol, _sock: socket } = client as unknown as {
    _protocol: Record<"channelEOF" | "channelClose", (id: number) => void> & {
      exitStatus(id: number, code: number): void;
    };
    _sock: { end(): void };
  };
  return {
    eof: () => protocol.channelEOF(outgoing.id),
    status: (code) => protocol.exitStatus(outgoing.id, code),
    close: () => protocol.channelClose(outgoing.id),
    hangUp: () => socket.end(),
  };
}
