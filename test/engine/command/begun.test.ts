import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type PropertyMap, Secret } from "../../../engine/src/values.ts";
import { freePort } from "../../../rehearsal/lib/ports.ts";
import { type Line, startLine } from "../../helpers/line.ts";
import { noSshd, type Sshd, startSshd } from "../../helpers/sshd.ts";
import { until } from "../../helpers/until.ts";
import { connectionTo, failure, type Harness, startHarness } from "./harness.ts";

const REMOTE = "command:remote:Command";

describe.skipIf(noSshd)(`a login that is begun${noSshd ? ` (${noSshd})` : ""}`, () => {
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

  const expectIt = (inputs: PropertyMap) => harness.provider.expect?.({ type: REMOTE, inputs });

  it("is made anew when its connection is gone before the create comes", async () => {
    const before = server.logins();
    const inputs = { connection: connectionTo(server, { port: line.port }), create: "echo in" };
    expectIt(inputs);
    await until("it is logged in", () => server.logins() > before);
    await sleep(100);
    line.cut();
    await sleep(100);
    expect((await harness.create(REMOTE, inputs)).outputs.stdout).toBe("in");
  });

  it("that fails is told by all creates that were to come, and the server is asked once", async () => {
    const connection = connectionTo(server, {
      port: line.port,
      hostKey: null,
      privateKey: null,
      password: new Secret("x"),
    });
    const inputs = { connection, create: "echo in" };
    for (let n = 0; n < 5; n++) expectIt(inputs);
    await until("it is refused", () => line.count() > 0);
    await sleep(500);
    const all = await Promise.all(Array.from({ length: 5 }, () => failure(harness.create(REMOTE, inputs))));
    for (const error of all) expect(error).toMatchObject({ kind: "credentials" });
    expect(line.count()).toBe(1);
    expect(await failure(harness.create(REMOTE, inputs))).toMatchObject({ kind: "credentials" });
    expect(line.count()).toBe(2);
  });

  it("goes on for the creates that are still to come when the first has given up", async () => {
    const port = await freePort();
    const inputs = {
      connection: connectionTo(server, { port, hostKey: null, dialErrorLimit: 1000 }),
      create: "echo in",
    };
    for (let n = 0; n < 2; n++) expectIt(inputs);
    expect((await failure(harness.create(REMOTE, inputs, { timeout: 0.2 }))).message).toBe("stopped while connecting");
    const late = await startSshd({ port, authorizedKeys: [await publicHalf(server)] });
    try {
      expect((await harness.create(REMOTE, inputs)).outputs.stdout).toBe("in");
    } finally {
      await late.stop();
    }
  });
});

const publicHalf = ({ dir }: Sshd) => readFile(join(dir, "client.pub"), "utf8").then((line) => line.trim());
