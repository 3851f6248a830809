import { spawn } from "node:child_process";
import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { readFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { createServer, Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import ssh2 from "ssh2";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { DialFailed } from "../../../engine/src/providers/command/index.ts";
import { type PropertyMap, Secret } from "../../../engine/src/values.ts";
import { freePort } from "../../../rehearsal/lib/ports.ts";
import { keyPair } from "../../helpers/keyPair.ts";
import { makeKey, noSshd, type Sshd, startSshd } from "../../helpers/sshd.ts";
import { until } from "../../helpers/until.ts";
import { connectionTo, failure, type Harness, startHarness } from "./harness.ts";

const REMOTE = "command:remote:Command";

describe.skipIf(noSshd)(`logging in${noSshd ? ` (${noSshd})` : ""}`, () => {
  let server: Sshd;
  let other: Sshd;
  let harness: Harness;
  beforeAll(async () => {
    [server, other] = await Promise.all([startSshd(), startSshd({ hostKeyType: "rsa" })]);
  });
  afterAll(() => Promise.all([server.stop(), other.stop()]));
  beforeEach(async () => {
    harness = await startHarness(server.dir);
  });
  afterEach(() => harness.provider.close());

  const run = async (connection: PropertyMap) =>
    (await harness.create(REMOTE, { connection, create: "echo in" })).outputs.stdout;

  it("names the user, the ways tried and the way out when the key is refused, and does not insist", async () => {
    const began = server.log().length;
    const key = makeKey(join(server.dir, "stranger"), "ed25519");
    const error = await failure(run(connectionTo(server, { privateKey: new Secret(key), dialErrorLimit: 10 })));
    expect(error).toMatchObject({ name: "DialFailed", kind: "credentials" });
    expect(error.message).toContain(`${server.user}@127.0.0.1:${server.port} refused the login`);
    expect(error.message).toMatch(/Tried: publickey \(ssh-ed25519 SHA256:\S+\)\. The server accepts: publickey\./);
    expect(error.message).toContain("authorized_keys");
    expect(error.message).not.toContain("PRIVATE KEY");
    const attempts =
      server
        .log()
        .slice(began)
        .match(/Connection closed by authenticating user/g)?.length ?? 0;
    expect(attempts).toBeLessThanOrEqual(2);
  });

  it("sends small packets at once, from the first one of the login", async () => {
    const sent: number[] = [];
    const real = Socket.prototype.setNoDelay;
    const spy = vi.spyOn(Socket.prototype, "setNoDelay").mockImplementation(function (this: Socket, on?: boolean) {
      if (this.remotePort === server.port && on) sent.push(this.bytesWritten);
      return real.call(this, on);
    });
    try {
      expect(await run(connectionTo(server))).toBe("in");
    } finally {
      spy.mockRestore();
    }
    expect(sent[0]).toBe(0);
  });

  it("stops at a host key that is not the pinned one, names both, and never tries again", async () => {
    const before = connections(server);
    const error = await failure(run(connectionTo(server, { hostKey: other.hostKey, dialErrorLimit: 10 })));
    expect(error).toMatchObject({ kind: "hostKey" });
    expect(error.message.match(/SHA256:[\w+/]{43}/g)).toHaveLength(2);
    expect(error.message).toContain("expected ssh-rsa SHA256:");
    expect(error.message).toContain("the server shows ssh-ed25519 SHA256:");
    expect(error.message).not.toContain("failed attempts");
    expect(connections(server) - before).toBe(1);
  });

  it("is begun when a create is to come, once, and a failure is told by those creates", async () => {
    const before = [connections(server), server.logins()] as const;
    const right = { connection: connectionTo(server), create: "echo in" };
    const wrong = { connection: connectionTo(server, { hostKey: other.hostKey }), create: "echo in" };
    const expectIt = (inputs: PropertyMap, type = REMOTE) => harness.provider.expect?.({ type, inputs });
    // None of these will need a login, or can have one.
    expectIt({ connection: connectionTo(server, { user: "nobody" }) });
    expectIt({ connection: connectionTo(server, { user: "nobody" }), create: "true" }, "command:local:Command");
    expectIt({ connection: { port: 1 }, create: "true" });
    for (const inputs of [right, right, wrong, wrong]) expectIt(inputs);
    await until("both are over", () => server.logins() > before[1] && connections(server) > before[0] + 1);
    await sleep(100);
    expect((await harness.create(REMOTE, right)).outputs.stdout).toBe("in");
    for (let n = 0; n < 2; n++) expect(await failure(harness.create(REMOTE, wrong))).toMatchObject({ kind: "hostKey" });
    expect([connections(server) - before[0], server.logins() - before[1]]).toEqual([2, 1]);
    // The next one tries again.
    expect(await failure(harness.create(REMOTE, wrong))).toMatchObject({ kind: "hostKey" });
    expect(connections(server) - before[0]).toBe(3);
  });

  it("refuses a host key and a private key that are none, without dialling", async () => {
    const before = connections(server);
    expect((await failure(run(connectionTo(server, { hostKey: "ssh-ed25519 nonsense" })))).message).toContain(
      "hostKey",
    );
    const error = await failure(run(connectionTo(server, { privateKey: new Secret("my-secret-no-key") })));
    expect(error.message).toContain("cannot read connection.privateKey");
    expect(error.message).not.toContain("my-secret");
    expect(connections(server)).toBe(before);
  });

  it("takes a pinned RSA key, and any key where none is pinned", async () => {
    expect(await run(connectionTo(other))).toBe("in");
    expect(await run(connectionTo(server, { hostKey: null }))).toBe("in");
  });

  it.each(["rsa", "ecdsa", "ed25519"] as const)("opens an encrypted %s key, and says when it can't", async (type) => {
    const path = join(server.dir, `locked-${type}`);
    const privateKey = new Secret(makeKey(path, type, "open sesame"));
    const mine = await startSshd({ authorizedKeys: [readPublic(path)] });
    try {
      const closed = await failure(run(connectionTo(mine, { privateKey })));
      expect(closed.message).toContain("it is encrypted; set connection.privateKeyPassword");
      const wrong = await failure(
        run(connectionTo(mine, { privateKey, privateKeyPassword: new Secret("open barley") })),
      );
      expect(wrong.message).toContain("does not open it");
      expect(wrong.message).not.toContain("barley");
      expect(await run(connectionTo(mine, { privateKey, privateKeyPassword: new Secret("open sesame") }))).toBe("in");
    } finally {
      await mine.stop();
    }
  });

  it.each(["rsa", "ec", "ed25519"] as const)("logs in by an %s key of PKCS#8, open or encrypted", async (type) => {
    const { publicKey, privateKey: key } = generateKey(type);
    const pem = key.export({ type: "pkcs8", format: "pem" }).toString();
    const locked = key.export({ type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "open sesame" });
    const mine = await startSshd({ authorizedKeys: [sshLine(publicKey)] });
    const by = (privateKey: string, privateKeyPassword?: string) =>
      run(
        connectionTo(mine, {
          privateKey: new Secret(privateKey),
          ...(privateKeyPassword === undefined ? {} : { privateKeyPassword: new Secret(privateKeyPassword) }),
        }),
      );
    try {
      expect(await by(pem)).toBe("in");
      expect(await by(pem.replaceAll("\n", "\r\n"))).toBe("in");
      expect((await failure(by(locked.toString()))).message).toContain("it is encrypted; set");
      expect((await failure(by(locked.toString(), "open barley"))).message).toContain("does not open it");
      expect(await by(locked.toString(), "open sesame")).toBe("in");
      const cut = await failure(by(pem.slice(0, 60)));
      expect(cut.message).toContain("expected the whole text of");
      expect(cut.message).not.toContain(pem.slice(30, 60));
    } finally {
      await mine.stop();
    }
  });

  it("logs in by an agent, and says when the agent is not there", async () => {
    const socket = join(server.dir, "agent.sock");
    const connection = connectionTo(server, { privateKey: null, agentSocketPath: socket });
    expect((await failure(run(connection))).message).toContain("connection.agentSocketPath names");
    const agent = spawn("ssh-agent", ["-D", "-a", socket], { stdio: "ignore" });
    try {
      await addKey(socket, join(server.dir, "client"));
      expect(await run(connection)).toBe("in");
    } finally {
      agent.kill();
    }
  });

  it("logs in by the agent of SSH_AUTH_SOCK, and does not lend it to the host", async () => {
    const socket = join(server.dir, "user-agent.sock");
    const agent = spawn("ssh-agent", ["-D", "-a", socket], { stdio: "ignore" });
    const before = process.env.SSH_AUTH_SOCK;
    process.env.SSH_AUTH_SOCK = socket;
    try {
      await addKey(socket, join(server.dir, "client"));
      const connection = connectionTo(server, { privateKey: null });
      const { outputs } = await harness.create(REMOTE, { connection, create: 'echo "[$SSH_AUTH_SOCK]"' });
      expect(outputs.stdout).toBe("[]");
      expect(server.log()).not.toMatch(/agent.*forward/i);
    } finally {
      if (before === undefined) delete process.env.SSH_AUTH_SOCK;
      else process.env.SSH_AUTH_SOCK = before;
      agent.kill();
    }
  });

  it("tries a dead port as often as dialErrorLimit says, and tells of it", async () => {
    const port = await freePort();
    const error = await failure(run(connectionTo(server, { port, dialErrorLimit: 2 })));
    expect(error).toMatchObject({ kind: "network" });
    expect(error.message).toMatch(/^after 3 failed attempts: cannot connect to \S+@127\.0\.0\.1:\d+: .*ECONNREFUSED/);
    expect(harness.lines.map((line) => line.text)).toEqual(["Dial 1/2 failed: retrying", "Dial 2/2 failed: retrying"]);
  });

  it("does not try again where the server allows nothing that is known here, and says of what", async () => {
    const strange = await startSshd({ config: ["Ciphers aes256-ctr", "MACs umac-64@openssh.com"] });
    const error = await failure(run(connectionTo(strange, { dialErrorLimit: 10 })));
    await strange.stop();
    expect(error).toMatchObject({ name: "DialFailed", kind: "settings" });
    // After several it would begin with their number.
    expect(error.message).toMatch(/^the SSH server of \S+ allows no C->S MAC that is known here/);
  });

  it("gets many ways of logging in through where the server takes few logins at once", async () => {
    const narrow = await startSshd({ config: ["MaxStartups 1:100:2"] });
    try {
      // Each is a connection of its own: another limit is another identity.
      const runs = Array.from({ length: 30 }, (_, n) =>
        run(connectionTo(narrow, { dialErrorLimit: 20, perDialTimeout: 30 + n })),
      );
      expect(await Promise.all(runs)).toEqual(Array(30).fill("in"));
      expect(narrow.logins()).toBe(30);
    } finally {
      await narrow.stop();
    }
  });

  it("finds a host that comes up while it is trying", async () => {
    const port = await freePort();
    const waiting = run(connectionTo(server, { port, dialErrorLimit: 100, hostKey: null }));
    await until("it has tried in vain", () => harness.lines.some(({ text }) => text.startsWith("Dial 1/100 failed")));
    const late = await startSshd({ port, authorizedKeys: [readPublic(join(server.dir, "client"))] });
    try {
      expect(await waiting).toBe("in");
    } finally {
      await late.stop();
    }
  });

  it("gives up on a host that accepts and says nothing", async () => {
    const silent = createServer(() => {});
    await new Promise<void>((done) => silent.listen(0, "127.0.0.1", done));
    const { port } = silent.address() as AddressInfo;
    const error = await failure(run(connectionTo(server, { port, perDialTimeout: 1 })));
    silent.close();
    expect(error.message).toContain("no SSH answer within 1 s");
  });
});

describe("logging in by password", () => {
  it.each(["password", "keyboard-interactive"] as const)("answers %s, and names it when it is wrong", async (way) => {
    const { port, stop } = await startPasswordServer(way, "right-password");
    const harness = await startHarness(".");
    const connection = (password: string): PropertyMap => ({ host: "127.0.0.1", port, password: new Secret(password) });
    const error = await failure(
      harness.create(REMOTE, { connection: connection("wrong-password"), create: "echo in" }),
    );
    expect(error).toBeInstanceOf(DialFailed);
    expect(error.message).toContain(`root@127.0.0.1:${port} refused the login. Tried: `);
    expect(error.message).toContain(way);
    expect(error.message).not.toContain("wrong-password");
    const { outputs } = await harness.create(REMOTE, { connection: connection("right-password"), create: "echo in" });
    await harness.provider.close();
    await stop();
    expect(outputs.stdout).toBe("ran echo in");
  });
});

describe("logging in by keyboard-interactive", () => {
  it.each([
    ["Verification code: ", false],
    ["Enter new password: ", false],
    ["User name: ", true],
    ["验证码：", false],
  ])("does not answer %j with the password, and names it", async (prompt, echo) => {
    const { port, answers, stop } = await startPasswordServer("keyboard-interactive", "right-password", {
      prompt,
      echo,
    });
    const harness = await startHarness(".");
    const connection = { host: "127.0.0.1", port, password: new Secret("right-password"), dialErrorLimit: 0 };
    const error = await failure(harness.create(REMOTE, { connection, create: "true" }));
    await harness.provider.close();
    await stop();
    expect(error.message).toContain(
      `The server asks ${JSON.stringify(prompt.trim())}, which no setting here can answer`,
    );
    expect(error.message).not.toContain("right-password");
    expect(answers).toEqual([]);
  });

  it("answers the password, and not the code that is asked for after it", async () => {
    const second = { prompt: "One-time code: ", echo: false };
    const { port, answers, stop } = await startPasswordServer(
      "keyboard-interactive",
      "right-password",
      undefined,
      second,
    );
    const harness = await startHarness(".");
    const connection = { host: "127.0.0.1", port, password: new Secret("right-password"), dialErrorLimit: 0 };
    const error = await failure(harness.create(REMOTE, { connection, create: "true" }));
    await harness.provider.close();
    await stop();
    expect(error.message).toContain('The server asks "One-time code:"');
    expect(answers).toEqual(["right-password"]);
  });
});

/** OpenSSH takes the machine's own passwords only; so this is ssh2's server. */
async function startPasswordServer(
  way: "password" | "keyboard-interactive",
  right: string,
  first = { prompt: "Password: ", echo: false },
  second?: typeof first,
) {
  const answers: string[] = [];
  const { private: hostKey } = keyPair();
  const server = new ssh2.Server({ hostKeys: [hostKey] }, (client) => {
    client.on("error", () => {});
    client.on("authentication", (context) => {
      if (context.method !== way) context.reject([way]);
      else if (context.method === "password" && context.password === right) context.accept();
      else if (context.method === "keyboard-interactive") {
        context.prompt([first], (given) => {
          answers.push(...given);
          if (given[0] !== right) return context.reject([way]);
          if (second === undefined) return context.accept();
          context.prompt([second], (more) => {
            answers.push(...more);
            context.reject([way]);
          });
        });
      } else context.reject([way]);
    });
    client.on("session", (accept) => {
      accept().on("exec", (acceptExec, _reject, { command }) => {
        const channel = acceptExec();
        channel.write(`ran ${command}\n`);
        channel.exit(0);
        channel.end();
      });
    });
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return {
    port: (server.address() as AddressInfo).port,
    /** All that the client answered. */
    answers,
    stop: () => new Promise<void>((done) => server.close(() => done())),
  };
}

async function addKey(socket: string, key: string): Promise<void> {
  await until("ssh-add reaches the agent", async () => {
    const env = { ...process.env, SSH_AUTH_SOCK: socket };
    const adding = spawn("ssh-add", [key], { stdio: "ignore", env });
    return (await new Promise((done) => adding.once("exit", done))) === 0;
  });
}

/** How many have come so far; the ends of earlier ones are told whenever the server has the time. */
const connections = (server: Sshd) => server.log().match(/^Connection from /gm)?.length ?? 0;

const readPublic = (path: string) => readFileSync(`${path}.pub`, "utf8").trim();

function generateKey(type: "rsa" | "ec" | "ed25519") {
  if (type === "rsa") return generateKeyPairSync("rsa", { modulusLength: 2048 });
  return type === "ec" ? generateKeyPairSync("ec", { namedCurve: "P-384" }) : generateKeyPairSync("ed25519");
}

/** The line of authorized_keys, put together from the key's own numbers. */
function sshLine(key: KeyObject): string {
  const { kty, n = "", e = "", x = "", y = "" } = key.export({ format: "jwk" });
  const number = (text: string) => Buffer.from(text, "base64url");
  const fields = {
    RSA: ["ssh-rsa", number(e), Buffer.concat([Buffer.alloc(1), number(n)])],
    EC: ["ecdsa-sha2-nistp384", "nistp384", Buffer.concat([Buffer.from([4]), number(x), number(y)])],
    OKP: ["ssh-ed25519", number(x)],
  }[kty as "RSA" | "EC" | "OKP"].map((field) => Buffer.from(field as string));
  const blob = fields.flatMap((field) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(field.length);
    return [length, field];
  });
  return `${fields[0]} ${Buffer.concat(blob).toString("base64")}`;
}
