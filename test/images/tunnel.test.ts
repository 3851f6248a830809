import { type ChildProcess, execFile, spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { freePort } from "../../rehearsal/lib/ports.ts";
import { noSshd, type Sshd, startSshd } from "../helpers/sshd.ts";
import { until } from "../helpers/until.ts";

const folder = resolve(import.meta.dirname, "../../images/tunnel");
let sshd: Sshd;
let webui: Server;
let asked = 0;
let came = 0;
let tunnel: ChildProcess;
let environment: NodeJS.ProcessEnv;

/** Its files lie in the container's own places; here in the test's folder. */
const run = (name: string): string => join(sshd.dir, name);
const check = () =>
  new Promise<{ code: unknown; said: string }>((told) => {
    execFile("sh", [run("check")], { env: environment, timeout: 240_000, killSignal: "SIGKILL" }, (error, _, said) =>
      told({ code: error?.code ?? (error ? "killed" : 0), said }),
    );
  });

beforeAll(async () => {
  if (noSshd) return;
  sshd = await startSshd();
  webui = createServer((_, answer) => {
    asked++;
    answer.writeHead(401).end();
  });
  webui.on("connection", () => came++);
  await new Promise<void>((listens) => webui.listen(0, "127.0.0.1", listens));
  const files = run("files");
  mkdirSync(files);
  for (const name of ["tunnel", "check", "askpass"])
    writeFileSync(
      run(name),
      readFileSync(join(folder, name), "utf8")
        .replaceAll("/etc/atelier", files)
        .replaceAll("/tmp/atelier-tunnel", run("control")),
    );
  writeFileSync(join(files, "key"), sshd.privateKey, { mode: 0o600 });
  writeFileSync(join(files, "known_hosts"), `gpu ${sshd.hostKey}\n`);
  writeFileSync(
    join(files, "ssh_config"),
    `Host gpu\n  HostName 127.0.0.1\n  Port ${sshd.port}\n  User ${sshd.user}\n  HostKeyAlias gpu\n  UserKnownHostsFile ${files}/known_hosts\n  IdentityFile ${files}/key\n  IdentitiesOnly yes\n  ExitOnForwardFailure yes\n  ControlMaster no\n  ControlPath none\n`,
  );
  const { port } = webui.address() as AddressInfo;
  const entry = await freePort();
  environment = { PATH: process.env.PATH, ATELIER_FORWARD: `127.0.0.1:${entry}:127.0.0.1:${port}` };
  tunnel = spawn("sh", [run("tunnel")], { env: environment, stdio: "ignore" });
  // The last thing that ssh makes ready.
  await until("ssh is ready", () => existsSync(run("control")));
});
afterAll(async () => {
  tunnel?.kill();
  webui?.close();
  await sshd?.stop();
});

describe.skipIf(noSshd)(`the tunnel to a WebUI${noSshd ? ` (skipped: ${noSshd})` : ""}`, () => {
  it("is healthy while the WebUI's port is reached through it, which is asked nothing", async () => {
    const logins = sshd.logins();
    expect(await check()).toEqual({ code: 0, said: "" });
    expect(came).toBeGreaterThan(0);
    expect(asked).toBe(0);
    // By the connection that is there, not by another login.
    expect(sshd.logins()).toBe(logins);
  });

  it("is not where nobody listens at its other end", async () => {
    const { port } = webui.address() as AddressInfo;
    webui.closeAllConnections();
    await new Promise((closed) => webui.close(closed));
    expect(await check()).toEqual({ code: 255, said: expect.stringContaining("refused") });
    await new Promise<void>((listens) => webui.listen(port, "127.0.0.1", listens));
    expect((await check()).code).toBe(0);
  });

  it("is not when its connection broke, though a new one could be made", async () => {
    const ended = new Promise((ends) => tunnel.once("exit", ends));
    const logins = sshd.logins();
    sshd.dropConnections();
    await ended;
    expect((await check()).code).toBe(255);
    expect(sshd.logins()).toBe(logins);
  });
});
