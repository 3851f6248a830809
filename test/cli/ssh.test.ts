import { spawn } from "node:child_process";
import { appendFileSync, mkdirSync, writeFileSync } from "node:fs";
import type { AddressInfo, Socket } from "node:net";
import { createServer } from "node:net";
import { dirname } from "node:path";
import ssh2 from "ssh2";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { keyPair } from "../helpers/keyPair.ts";
import { noSshd, type Sshd, startSshd } from "../helpers/sshd.ts";
import { until } from "../helpers/until.ts";
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

describe("a host that takes a password as the answer to a question alone", () => {
  let clone: Clone;
  let server: ssh2.Server;
  let hostKey: string;
  /** Whom the server lets in. */
  let uid: number | undefined;
  beforeAll(async () => {
    const pair = keyPair();
    hostKey = pair.public.split(" ").slice(0, 2).join(" ");
    // OpenSSH would ask for the machine's own passwords: this is ssh2's server, whose commands are real.
    server = new ssh2.Server({ hostKeys: [pair.private] }, (client) => {
      client.on("error", () => {});
      client.on("authentication", (context) => {
        if (context.method !== "keyboard-interactive") context.reject(["keyboard-interactive"]);
        else
          context.prompt([{ prompt: "root's password: ", echo: false }], ([given]) =>
            given === "the-password" ? context.accept() : context.reject(["keyboard-interactive"]),
          );
      });
      client.on("session", (accept) =>
        accept().on("exec", (run, _reject, { command }) => {
          const channel = run();
          channel.write("*** Welcome ***\n");
          const child = spawn("sh", ["-c", command], { stdio: ["ignore", "pipe", "pipe"], uid, cwd: "/" });
          child.stdout.pipe(channel, { end: false });
          child.stderr.pipe(channel.stderr, { end: false });
          child.on("close", (code) => {
            channel.exit(code ?? 1);
            channel.end();
          });
        }),
      );
    });
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    clone = new Clone();
    clone.program(`
import { ComponentResource } from "@pulumi/pulumi";
import { HostFacts } from "./facts.ts";
import { readSettings } from "./settings.ts";
const parent = new ComponentResource("a:b:C", "around");
new HostFacts("facts", { host: readSettings().host, steps: ["step"] }, { parent });
`);
  });
  afterAll(() => {
    clone?.remove();
    server?.close();
  });
  const settings = (host: object) => {
    const { port } = server.address() as AddressInfo;
    clone.settings("asks", { host: { ...nowhere, port, hostKey, workspace: `${clone.dir}/ws`, ...host } });
  };
  const run = async (...args: string[]) => {
    const { stdout, stderr } = await clone.run([...args, "--stack", "asks"]);
    return stdout + stderr;
  };

  it("is looked at by a plan, and reached by the commands that log in", async () => {
    settings({ password: "the-password" });
    // The first one has nothing to look at yet.
    await run("up", "--yes", "--skip-preview");
    expect(await run("status")).toMatch(/^State +1 resource$/m);
    expect(await run("preview")).toContain("step is not in place: the workspace is not there");
    expect(await run("models", "verify")).toContain(`${clone.dir}/ws/bin/store.sh`);
    mkdirSync(`${clone.dir}/ws/logs`, { recursive: true });
    writeFileSync(`${clone.dir}/ws/logs/webui.log`, "one\n");
    expect(await run("logs")).toBe("one\n");
    // A script that a crash of the box cut: it can't say so itself.
    mkdirSync(`${clone.dir}/ws/bin`);
    writeFileSync(`${clone.dir}/ws/bin/.laid`, `${"0".repeat(64)}  check-all.sh\n`);
    writeFileSync(`${clone.dir}/ws/bin/check-all.sh`, "if [");
    expect(await run("preview")).toContain(
      "step is not in place: bin/check-all.sh, which looks at it, was cut or changed",
    );
  });

  it.skipIf(process.getuid?.() !== 0)(
    "says of a workspace where this login may not go that it can't tell",
    async () => {
      settings({ password: "the-password" });
      uid = 65534;
      // The clone's folder is root's alone.
      const [plan, ...others] = await Promise.all([run("preview"), run("logs"), run("models", "verify")]);
      expect(plan).toContain(`host-facts: root may not enter ${clone.dir} on 127.0.0.1, where`);
      for (const said of others) expect(said).toContain(` may not read ${clone.dir}: what is there, this login can't`);
      uid = undefined;
    },
  );

  it("refuses another one, and another key than the pinned one names the stack to trust it for", async () => {
    settings({ password: "wrong" });
    expect(await run("models", "verify")).toContain("All configured authentication methods failed");
    settings({ password: "the-password", hostKey: nowhere.hostKey });
    expect(await run("models", "verify")).toContain("npx atelier trust --stack asks --replace");
    expect(await run("preview")).toContain("npx atelier trust --replace --stack asks");
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

  it("has a log that is followed until nobody reads it", async () => {
    const log = `${sshd.dir}/ws/logs/webui.log`;
    mkdirSync(dirname(log), { recursive: true });
    writeFileSync(log, "one\n");
    const { child, told, finished } = clone.start(["logs", "--follow", "--stack", "t"]);
    await until("its first line", () => told.stdout !== "");
    child.stdout.destroy();
    await until("it ends", () => {
      appendFileSync(log, "more\n");
      return child.exitCode !== null;
    });
    expect([child.exitCode, (await finished).stderr]).toEqual([0, ""]);
  });
});
