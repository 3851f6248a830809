import { type AddressInfo, connect } from "node:net";
import ssh2 from "ssh2";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { ConnectionLost } from "../../../engine/src/providers/command/index.ts";
import { type PropertyMap, Secret } from "../../../engine/src/values.ts";
import { freePort } from "../../../rehearsal/lib/ports.ts";
import { keyPair } from "../../helpers/keyPair.ts";
import { noSshd, type Sshd, startSshd } from "../../helpers/sshd.ts";
import { begun, connectionTo, failure, type Harness, startHarness } from "./harness.ts";

const REMOTE = "command:remote:Command";

describe.skipIf(noSshd)(`through a proxy${noSshd ? ` (${noSshd})` : ""}`, () => {
  let proxy: Sshd;
  let hosts: Sshd[];
  let harness: Harness;
  beforeAll(async () => {
    [proxy, ...hosts] = await Promise.all([startSshd({ hostKeyType: "ecdsa" }), startSshd(), startSshd()]);
  });
  afterAll(() => Promise.all([proxy, ...hosts].map((server) => server.stop())));
  beforeEach(async () => {
    harness = await startHarness(proxy.dir);
  });
  afterEach(() => harness.provider.close());

  const host = (index: number) => hosts[index] as Sshd;
  const behind = (index: number, changes: PropertyMap = {}, ofProxy: PropertyMap = {}) =>
    connectionTo(host(index), { proxy: connectionTo(proxy, ofProxy), ...changes });
  const run = async (connection: PropertyMap, create = "echo in") =>
    (await harness.create(REMOTE, { connection, create })).outputs.stdout;

  it("stops at a host key that is not the proxy's, and at one that is not the host's", async () => {
    const wrongProxy = await failure(run(behind(0, {}, { hostKey: host(0).hostKey, dialErrorLimit: 5 })));
    expect(wrongProxy).toMatchObject({ kind: "hostKey" });
    expect(wrongProxy.message).toContain(`127.0.0.1:${proxy.port} is not the pinned one`);
    const wrongHost = await failure(run(behind(0, { hostKey: proxy.hostKey, dialErrorLimit: 5 })));
    expect(wrongHost).toMatchObject({ kind: "hostKey" });
    expect(wrongHost.message).toContain(`127.0.0.1:${host(0).port} is not the pinned one`);
    expect(host(0).logins()).toBe(0);
  });

  it("names the proxy when it can't be reached, tried as often as its own limit says, and when it does not forward", async () => {
    const port = await freePort();
    const dead = await failure(run(behind(0, { dialErrorLimit: 10 }, { port, dialErrorLimit: 1 })));
    expect(dead.message).toMatch(new RegExp(`^after 2 failed attempts: cannot connect to \\S+:${port}`));
    expect(harness.lines.map((line) => line.text)).toEqual(["Dial proxy 1/1 failed: retrying"]);
    const closed = await failure(run(behind(0, { port })));
    expect(closed.message).toContain(`127.0.0.1:${proxy.port} does not forward to`);
  });

  it("makes one connection to it for all commands of all hosts behind it", async () => {
    const before = [proxy, ...hosts].map((server) => server.logins());
    const runs = Array.from({ length: 12 }, (_, n) => run(behind(n % 2), `sleep 0.1; echo ${n}`));
    expect(await Promise.all(runs)).toEqual(Array.from({ length: 12 }, (_, n) => String(n)));
    expect([proxy, ...hosts].map((server, n) => server.logins() - (before[n] ?? 0))).toEqual([1, 1, 1]);
  });

  it("is made again when the proxy drops: what ran is lost by name, the next commands go through", async () => {
    const before = proxy.logins();
    const running = failure(run(behind(0), "echo begun; sleep 60"));
    const other = failure(run(behind(1), "echo begun; sleep 60"));
    await begun(harness, 2);
    proxy.dropConnections();
    for (const error of await Promise.all([running, other])) expect(error).toBeInstanceOf(ConnectionLost);
    expect(await Promise.all([run(behind(0)), run(behind(1))])).toEqual(["in", "in"]);
    expect(proxy.logins() - before).toBe(2);
  });

  it("logs in to it as another user, by a password of its own", async () => {
    const { port, users, stop } = await startForwarder("bastion", "of the proxy");
    const login = { host: "127.0.0.1", port, user: "bastion" };
    const refused = await failure(
      run(connectionTo(host(0), { proxy: { ...login, password: new Secret("wrong"), dialErrorLimit: 0 } })),
    );
    expect(refused.message).toContain(`bastion@127.0.0.1:${port} refused the login`);
    expect(await run(connectionTo(host(0), { proxy: { ...login, password: new Secret("of the proxy") } }))).toBe("in");
    await harness.provider.close();
    await stop();
    expect(users).toContain("bastion");
  });
});

/** A server that only forwards, to who knows the password; OpenSSH would take the machine's own passwords only. */
async function startForwarder(user: string, password: string) {
  const users: string[] = [];
  const server = new ssh2.Server({ hostKeys: [keyPair().private] }, (client) => {
    client.on("error", () => {});
    client.on("authentication", (context) => {
      users.push(context.username);
      if (context.method === "password" && context.username === user && context.password === password) context.accept();
      else context.reject(["password"]);
    });
    client.on("tcpip", (accept, _reject, { destIP, destPort }) => {
      const channel = accept();
      const socket = connect(destPort, destIP);
      socket.on("error", () => channel.close());
      channel.on("error", () => {});
      channel.pipe(socket).pipe(channel);
    });
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return {
    port: (server.address() as AddressInfo).port,
    users,
    stop: () => new Promise<void>((done) => server.close(() => done())),
  };
}
