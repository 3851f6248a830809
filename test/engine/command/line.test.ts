import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { ConnectionLost } from "../../../engine/src/providers/command/index.ts";
import { runRemote } from "../../../engine/src/providers/command/remote.ts";
import { Links } from "../../../engine/src/providers/command/ssh/link.ts";
import { type Line, startLine } from "../../helpers/line.ts";
import { noSshd, type Sshd, startSshd } from "../../helpers/sshd.ts";
import { begun, connectionTo, failure, type Harness, startHarness } from "./harness.ts";

const REMOTE = "command:remote:Command";

describe.skipIf(noSshd)(`a line that drops${noSshd ? ` (${noSshd})` : ""}`, () => {
  let server: Sshd;
  let line: Line;
  let harness: Harness;
  beforeAll(async () => {
    server = await startSshd();
  });
  afterAll(() => server.stop());
  beforeEach(async () => {
    line = await startLine(server.port);
    harness = await startHarness(server.dir);
  });
  afterEach(async () => {
    await harness.provider.close();
    await line.close();
  });
  const create = (command: string) =>
    harness.create(REMOTE, { connection: connectionTo(server, { port: line.port }), create: command });

  it.each([
    ["cut", () => line.cut()],
    ["ended by the server", () => server.dropConnections()],
  ])("fails the running command with an error of its own when it is %s", async (_how, drop) => {
    const running = failure(create("echo begun; sleep 60"));
    await begun(harness);
    drop();
    const error = await running;
    expect(error).toBeInstanceOf(ConnectionLost);
    expect(error).toMatchObject({ code: "CONNECTION_LOST" });
    expect(error.message).toMatch(
      /^connection lost while running: \S+@127\.0\.0\.1:\d+: .*: running "echo begun; sleep 60":\nbegun\n$/,
    );
  });

  it("is made again for the next command", async () => {
    const running = failure(create("echo begun; sleep 60"));
    await begun(harness);
    line.cut();
    await running;
    expect((await create("echo again")).outputs.stdout).toBe("again");
    expect(line.count()).toBe(2);
  });

  it("is made again when it dropped while nothing ran", async () => {
    await create("true");
    line.cut();
    expect((await create("echo again")).outputs.stdout).toBe("again");
    expect(line.count()).toBe(2);
  });

  it("is found dead by its keep-alive", async () => {
    const links = new Links({ keepaliveMs: 1000 });
    const inputs = { connection: connectionTo(server, { port: line.port }) };
    const log = (shown: { text: string }) => harness.lines.push({ stream: "stdout", text: shown.text });
    const call = { signal: new AbortController().signal, log };
    const running = failure(runRemote("echo begun; sleep 60", inputs, { stdout: "", stderr: "" }, call, links));
    await begun(harness);
    line.freeze();
    expect(await running).toBeInstanceOf(ConnectionLost);
    links.close();
  });

  it("does not pass for success when the command ended while it was gone", async () => {
    const go = join(server.dir, "go");
    const running = failure(
      create(`echo begun; n=0; while [ ! -e ${go} ] && [ $n -lt 1200 ]; do n=$((n + 1)); sleep 0.05; done`),
    );
    await begun(harness);
    line.cut();
    writeFileSync(go, "");
    expect(await running).toBeInstanceOf(ConnectionLost);
    expect(existsSync(go)).toBe(true);
  });
});
