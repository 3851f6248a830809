import { spawnSync } from "node:child_process";
import { join, resolve } from "node:path";
import ssh2 from "ssh2";
import { pack } from "tar-stream";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { freePort } from "../../rehearsal/lib/ports.ts";
import { startDocker, type TestDocker } from "../helpers/docker.ts";
import { keyPair } from "../helpers/keyPair.ts";
import { importRootFs, noRootFs } from "../helpers/rootfs.ts";

const folder = resolve(import.meta.dirname, "../../images/cuda");
const { test: made, missing } = await startDocker();
const skip = missing ?? noRootFs();
if (skip !== undefined) await made?.stop();

describe.skipIf(skip)(skip ?? "the image of a container that is the host", () => {
  const engine = made as TestDocker;
  const image = "local/cuda:1";
  const [host, login, stranger] = [keyPair(), keyPair(), keyPair()];

  beforeAll(async () => {
    await importRootFs(engine.docker, "local/base:1");
    const build: unknown = await engine.docker.buildImage(
      { context: folder, src: ["Dockerfile", "packages.sh", "entrypoint.sh"] },
      { t: image, buildargs: { BASE: "local/base:1" } },
    );
    let said = "";
    for await (const part of build as NodeJS.ReadableStream) said += part.toString();
    expect(said).toContain("Successfully tagged");
  });
  afterAll(async () => engine.stop());

  async function start(files: Record<string, string>, publish?: number) {
    const box = await engine.docker.createContainer({
      Image: image,
      HostConfig: publish ? { PortBindings: { "22/tcp": [{ HostIp: "127.0.0.1", HostPort: String(publish) }] } } : {},
    });
    const archive = pack();
    for (const [name, text] of Object.entries(files)) archive.entry({ name, mode: 0o644 }, text);
    archive.finalize();
    await box.putArchive(archive as unknown as NodeJS.ReadableStream, { path: "/" });
    await box.start();
    return box;
  }

  /** What a command says, once the server answers. */
  async function run(port: number, privateKey: string, command: string): Promise<{ said: string; key: string }> {
    for (let tries = 0; ; tries++) {
      try {
        return await once(port, privateKey, command);
      } catch (error) {
        if (tries > 900 || /authentication/i.test((error as Error).message)) throw error;
        await new Promise((resolve) => setTimeout(resolve, 250));
      }
    }
  }

  const once = (port: number, privateKey: string, command: string) =>
    new Promise<{ said: string; key: string }>((resolve, reject) => {
      const client = new ssh2.Client();
      let key = "";
      client.on("error", reject).on("ready", () => {
        client.exec(command, (error, channel) => {
          if (error) return reject(error);
          let said = "";
          channel.on("data", (data: Buffer) => {
            said += data;
          });
          channel.on("close", () => {
            client.end();
            resolve({ said, key });
          });
        });
      });
      const hostVerifier = (blob: Buffer) => {
        key = `ssh-ed25519 ${blob.toString("base64")}`;
        return true;
      };
      client.connect({ host: "127.0.0.1", port, username: "root", privateKey, hostVerifier });
    });

  it("ends with a word where it was given no keys, and holds none of its own", async () => {
    const box = await start({});
    expect((await box.wait()).StatusCode).toBe(64);
    expect((await box.logs({ stderr: true })).toString()).toContain("/etc/atelier/host_key is not there");
    const listed = await engine.docker.createContainer({
      Image: image,
      Entrypoint: ["sh", "-c", "exit $(ls /etc/ssh | grep -c host_)"],
    });
    await listed.start();
    expect((await listed.wait()).StatusCode).toBe(0);
  });

  it("lets the one key in that it was given, shows the one that it was given, and starts the service after a restart", async () => {
    const port = await freePort();
    const box = await start(
      {
        "etc/atelier/host_key": host.private,
        "etc/atelier/authorized_keys": `${login.public}\n`,
      },
      port,
    );
    const { said, key } = await run(
      port,
      login.private,
      "echo $LC_X; id -un; git --version; python3 --version; echo $PATH",
    );
    expect(said).toMatch(/root\ngit version .*\nPython 3\.\d+/);
    expect(said).toContain("/usr/sbin");
    expect(host.public.startsWith(key)).toBe(true);
    await expect(run(port, stranger.private, "id")).rejects.toThrow(/authentication/i);

    const script =
      "mkdir -p /atelier/workspace/run && echo 'echo back >>/tmp/started' >/atelier/workspace/run/start-service.sh";
    await run(port, login.private, script);
    await box.restart({ t: 1 });
    expect((await run(port, login.private, "cat /tmp/started")).said).toBe("back\n");
  });
});

describe("the scripts of the images", () => {
  const noShellcheck = spawnSync("shellcheck", ["--version"]).error && "no shellcheck on this machine";
  it.skipIf(noShellcheck)(`are clean to shellcheck${noShellcheck ? ` (skipped: ${noShellcheck})` : ""}`, () => {
    const scripts = ["packages.sh", "entrypoint.sh", "../webui/lay.sh"].map((name) => join(folder, name));
    const { status, stdout } = spawnSync("shellcheck", scripts, { encoding: "utf8" });
    expect([status, stdout]).toEqual([0, ""]);
  });
});
