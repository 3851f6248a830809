import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { userInfo } from "node:os";
import { join, resolve } from "node:path";
import { Client } from "ssh2";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type HostFacts, hostStatus, startHost, stopHost } from "../../rehearsal/host.ts";
import { isFree } from "../../rehearsal/lib/ports.ts";
import { commandLine } from "../../rehearsal/lib/processes.ts";
import { requireSshd, sshdFiles } from "../../rehearsal/sshd.ts";
import { until } from "../helpers/until.ts";
import { folder, removeFolders } from "./folders.ts";

const noSshd = (() => {
  try {
    requireSshd();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
})();

test.each(["$HOME", "100%", "a#b", "it's"])(
  "a folder called %s is refused before anything is made in it",
  async (name) => {
    const dir = join(folder(), name);
    await expect(startHost({ dir, cacheDir: folder() })).rejects.toThrow(/can't be a host: .*ATELIER_HOME/);
    expect(existsSync(dir)).toBe(false);
  },
);

test.skipIf(noSshd)("a host lives in a folder of any language's letters", async () => {
  const dir = join(folder(), "Ünï 模型");
  const { pid } = await startHost({ dir, cacheDir: join(folder(), "模") });
  expect(hostStatus({ dir }).running).toBe(true);
  await stopHost({ dir });
  expect([hostStatus({ dir }).running, commandLine(pid)]).toEqual([false, ""]);
});

/** One command over SSH by ssh2: what it wrote and its exit code. */
function command(host: HostFacts, text: string, login: object = { privateKey: host.privateKey }) {
  return new Promise<{ out: string; code: number; hostKey: string }>((answer, refuse) => {
    const client = new Client();
    let hostKey = "";
    client.on("error", refuse).on("ready", () =>
      client.exec(text, (error, channel) => {
        if (error) return refuse(error);
        let out = "";
        channel.on("data", (chunk: Buffer) => {
          out += chunk;
        });
        channel.on("close", (code: number) => {
          client.end();
          answer({ out, code, hostKey });
        });
      }),
    );
    client.connect({
      host: host.address,
      port: host.port,
      username: host.user,
      hostVerifier: (key: Buffer) => {
        hostKey = `ssh-ed25519 ${key.toString("base64")}`;
        return true;
      },
      ...login,
    });
  });
}

test("without sshd, the error names the package", () => {
  expect(() => requireSshd(() => undefined)).toThrow(/No sshd on this machine.*package openssh-server/s);
});

describe.skipIf(noSshd)(`a host of this machine ${noSshd ? `(skipped: ${noSshd})` : ""}`, () => {
  const dir = join(folder(), "host");
  const cacheDir = join(dir, "..", "cache");
  let host: HostFacts;

  beforeAll(async () => {
    host = await startHost({ dir, cacheDir });
  });
  afterAll(async () => {
    await stopHost({ dir });
    removeFolders();
  });
  const others: string[] = [];
  afterEach(async () => {
    for (const other of others.splice(0)) await stopHost({ dir: other });
  });

  test("host.json tells how to reach it, to its owner alone", () => {
    expect(JSON.parse(readFileSync(join(dir, "host.json"), "utf8"))).toEqual(host);
    expect(statSync(join(dir, "host.json")).mode & 0o777).toBe(0o600);
    expect(host).toMatchObject({
      address: "127.0.0.1",
      user: userInfo().username,
      hostKey: expect.stringMatching(/^ssh-ed25519 AAAA[\w+/=]+$/),
      privateKey: expect.stringContaining("PRIVATE KEY"),
      workspace: join(dir, "workspace"),
      cache: resolve(cacheDir),
    });
  });

  test("another key and a password are refused, the given key logs in, and the host's key is the one told", async () => {
    const keys = join(folder(), "key");
    execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", keys]);
    await expect(command(host, "true", { privateKey: readFileSync(keys) })).rejects.toThrow(
      /authentication methods failed/,
    );
    await expect(command(host, "true", { password: "x" })).rejects.toThrow(/authentication methods failed/);
    const answer = await command(host, "exit 7");
    expect(answer).toEqual({ out: "", code: 7, hostKey: host.hostKey });
  });

  test("sessions have the host's own home, start in it, and find its bin first, also in a login shell", async () => {
    const { out } = await command(host, `pwd; echo "$HOME"; echo "$PATH"; bash -lc 'echo "$PATH"'; env`);
    const [cwd, home, path, loginPath] = out.split("\n");
    expect([cwd, home]).toEqual([join(dir, "home"), join(dir, "home")]);
    expect(path?.split(":")[0]).toBe(join(dir, "bin"));
    expect(loginPath?.split(":")[0]).toBe(join(dir, "bin"));
    expect(out).not.toContain("SSH_ORIGINAL_COMMAND");
    expect(path).not.toContain("node_modules");
  });

  test("variables are accepted only as a host does by default", async () => {
    const { out } = await new Promise<{ out: string }>((answer, refuse) => {
      const client = new Client();
      client.on("error", refuse).on("ready", () =>
        client.exec("env", { env: { LC_ATELIER: "taken", PULUMI_COMMAND_STDOUT: "left" } }, (error, channel) => {
          if (error) return refuse(error);
          let out = "";
          channel.on("data", (chunk: Buffer) => {
            out += chunk;
          });
          channel.on("close", () => {
            client.end();
            answer({ out });
          });
        }),
      );
      client.connect({ host: host.address, port: host.port, username: host.user, privateKey: host.privateKey });
    });
    expect(out).toContain("LC_ATELIER=taken");
    expect(out).not.toContain("PULUMI_COMMAND_STDOUT");
  });

  test("sftp lays files into the host's home", async () => {
    await new Promise<void>((done, refuse) => {
      const client = new Client();
      client.on("error", refuse).on("ready", () =>
        client.sftp((error, sftp) => {
          if (error) return refuse(error);
          sftp.writeFile("laid.txt", "by sftp", (failed) => {
            client.end();
            if (failed) refuse(failed);
            else done();
          });
        }),
      );
      client.connect({ host: host.address, port: host.port, username: host.user, privateKey: host.privateKey });
    });
    expect(readFileSync(join(dir, "home", "laid.txt"), "utf8")).toBe("by sftp");
  });

  test("starting again changes nothing", async () => {
    const before = statSync(join(dir, "host.json")).mtimeMs;
    expect(await startHost({ dir, cacheDir })).toEqual(host);
    expect(statSync(join(dir, "host.json")).mtimeMs).toBe(before);
  });

  test("a dead one comes back at the same port with the same keys", async () => {
    process.kill(host.pid, "SIGKILL");
    await until("it has ended", () => commandLine(host.pid) === "");
    expect(hostStatus({ dir }).running).toBe(false);
    const again = await startHost({ dir, cacheDir });
    expect(again).toEqual({ ...host, pid: again.pid });
    expect(again.pid).not.toBe(host.pid);
    host = again;
    expect((await command(host, "echo back")).out).toBe("back\n");
  });

  test("two cards, by every form in which scripts ask", async () => {
    const gpus = [
      { name: "NVIDIA GeForce RTX 4090", memoryMb: 24564, computeCapability: "8.9" },
      { name: "NVIDIA B200", memoryMb: 183359, computeCapability: "10.0" },
    ];
    await startHost({ dir, cacheDir, gpu: { driver: "535.183.01", gpus } });
    const query = "--query-gpu=driver_version,name,memory.total,compute_cap --format=csv,noheader";
    expect((await command(host, `nvidia-smi ${query},nounits`)).out).toBe(
      "535.183.01, NVIDIA GeForce RTX 4090, 24564, 8.9\n535.183.01, NVIDIA B200, 183359, 10.0\n",
    );
    expect((await command(host, `nvidia-smi ${query}`)).out).toContain("24564 MiB");
    expect((await command(host, "nvidia-smi -L")).out).toMatch(/^GPU 0: .* 4090 \(UUID: GPU-.*\nGPU 1: NVIDIA B200/);
    expect((await command(host, "nvidia-smi")).out).toMatch(/Driver Version: 535\.183\.01.*REHEARSAL.*183359MiB/s);
    expect((await command(host, "nvidia-smi --query-gpu=nope --format=csv,noheader")).code).toBe(2);
  });

  test("no card, a driver that does not answer, and no nvidia-smi at all", async () => {
    await startHost({ dir, cacheDir, gpu: { driver: "535", gpus: [] } });
    expect(await command(host, "nvidia-smi -L")).toMatchObject({ out: "No devices were found\n", code: 6 });
    await startHost({ dir, cacheDir, gpu: { driver: "none", gpus: [] } });
    expect(await command(host, "nvidia-smi")).toMatchObject({ code: 9, out: expect.stringContaining("has failed") });
    await startHost({ dir, cacheDir, gpu: null });
    expect(existsSync(join(dir, "bin", "nvidia-smi"))).toBe(false);
  });

  test("turning it off ends all that was started through it, frees the port, and keeps the folder", async () => {
    const other = join(folder(), "host");
    others.push(other);
    const second = await startHost({ dir: other, cacheDir });
    const { out } = await command(second, "setsid sleep 600 >/dev/null 2>&1 </dev/null & echo $!");
    const sleeper = Number(out);
    expect(commandLine(sleeper)).toContain("sleep 600");
    await stopHost({ dir: other });
    expect(commandLine(sleeper)).toBe("");
    expect(await isFree(second.port)).toBe(true);
    expect(hostStatus({ dir: other })).toEqual({ running: false, facts: second });
    await stopHost({ dir: other });
    // The first one's processes are none of its business.
    expect((await command(host, "echo here")).out).toBe("here\n");
  });

  test("a number in the pid file that belongs to another program is left alone", async () => {
    const other = join(folder(), "host");
    mkdirSync(sshdFiles(other).dir, { recursive: true });
    const stranger = spawn("sleep", ["600"]);
    writeFileSync(sshdFiles(other).pid, String(stranger.pid));
    await stopHost({ dir: other });
    expect(commandLine(stranger.pid ?? 0)).toBe("sleep 600");
    stranger.kill();
  });

  test("a port that another program took meanwhile is one clear error", async () => {
    const other = join(folder(), "host");
    others.push(other);
    const { port } = await startHost({ dir: other, cacheDir });
    await stopHost({ dir: other });
    const server = createServer().listen(port, "127.0.0.1");
    await once(server, "listening");
    await expect(startHost({ dir: other, cacheDir })).rejects.toThrow(
      new RegExp(`Port ${port} .*another program listens`),
    );
    server.close();
  });

  const ordinary = ordinaryUser();
  test.skipIf(ordinary.missing)(
    `an ordinary user runs one too${ordinary.missing ? ` (skipped: ${ordinary.missing})` : ""}`,
    async () => {
      const top = folder();
      chmodSync(top, 0o755);
      const other = join(top, "mine");
      mkdirSync(other);
      const { uid, gid, name } = ordinary;
      chownSync(other, uid, gid);
      const main = resolve(import.meta.dirname, "../../rehearsal/main.ts");
      const node = (...args: string[]) =>
        spawnSync(process.execPath, [main, ...args, "--dir", other, "--only", "host"], {
          uid,
          gid,
          cwd: "/",
          encoding: "utf8",
          env: { PATH: process.env.PATH },
        });
      expect(node("start")).toMatchObject({ status: 0, stderr: "" });
      const started = JSON.parse(readFileSync(join(other, "host/host.json"), "utf8")) as HostFacts;
      expect(started.user).toBe(name);
      expect((await command(started, "id -un; pwd")).out).toBe(`${name}\n${join(other, "host", "home")}\n`);
      expect(node("stop").status).toBe(0);
      expect(await isFree(started.port)).toBe(true);
    },
  );
});

/** An account of this machine that is not root, has a shell, and can run this Node. */
function ordinaryUser(): { name: string; uid: number; gid: number; missing?: string } {
  const none = { name: "", uid: 0, gid: 0 };
  if (userInfo().uid !== 0) return { ...none, missing: "this is not root, every other test shows it" };
  for (const line of readFileSync("/etc/passwd", "utf8").split("\n")) {
    const [name = "", , uid, gid, , , shell = ""] = line.split(":");
    const account = { name, uid: Number(uid), gid: Number(gid) };
    if (account.uid < 1000 || !/\/(ba|da|z)?sh$/.test(shell)) continue;
    const tried = spawnSync(process.execPath, ["-e", ""], { uid: account.uid, gid: account.gid, cwd: "/" });
    if (tried.status === 0) return account;
  }
  return { ...none, missing: "no ordinary account with a shell that can run this Node" };
}
