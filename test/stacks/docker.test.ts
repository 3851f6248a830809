import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { assemble } from "../../stacks/assembly.ts";
import { look } from "../../stacks/docker/look.ts";
import { enginePlace, publishedPorts, servedAt, sshListen } from "../../stacks/docker/place.ts";
import type { DockerHostSettings } from "../../stacks/schema/host.ts";
import { parseSettings, SettingsError } from "../../stacks/schema.ts";

function mistakes(host: object, webui: object = {}): string[] {
  try {
    parseSettings({ host: { kind: "docker", ...host }, webui }, "t");
  } catch (error) {
    if (error instanceof SettingsError) return error.mistakes;
    throw error;
  }
  return [];
}
const read = (host: object = {}, webui: object = {}) => {
  const settings = parseSettings({ host: { kind: "docker", ...host }, webui }, "t");
  return { host: settings.host as DockerHostSettings, webui: settings.webui };
};
const ssh = { docker: { host: "ssh://root@gpu.example.com:2022" }, keyFile: "~/.ssh/id_ed25519" };
const tcp = { docker: { host: "tcp://gpu.example.com:2376", certPath: "/etc/docker" } };

describe("settings of a container as the host", () => {
  it("are good as they come, and name every mistake at once", () => {
    expect(mistakes({})).toEqual([]);
    expect(mistakes(ssh)).toEqual([]);
    expect(mistakes(tcp)).toEqual([]);
    expect(
      mistakes({ docker: { host: "npipe:////./pipe/x" }, image: "Bad Image", gpus: [], network: "none", sshPort: 0 }),
    ).toEqual([
      'atelier:host.docker.host: got "npipe:////./pipe/x"; accepted: unix:///path, ssh://user@host:port or tcp://host:port',
      'atelier:host.image: got "Bad Image"; accepted: an image such as nvidia/cuda:12.1.1-runtime-ubuntu22.04',
      "atelier:host.gpus: got []; accepted: at least 1 of them",
      'atelier:host.network: got "none"; accepted: "bridge", "host"',
      "atelier:host.sshPort: got 0; accepted: 1 or more",
    ]);
  });

  it("want a login for ssh://, certificates for tcp://, and neither where it is of no use", () => {
    expect(mistakes({ docker: ssh.docker })).toEqual([
      "atelier:host: accepted: with docker.host ssh://, exactly one of key, keyFile, agent",
    ]);
    expect(mistakes({ ...ssh, agent: true })).toHaveLength(1);
    expect(mistakes({ ...ssh, docker: { host: "ssh://gpu.example.com" } })).toEqual([
      "atelier:host.docker.host: accepted: an address with its user, such as ssh://root@gpu.example.com",
    ]);
    expect(mistakes({ keyFile: "x" })).toEqual([expect.stringContaining("for docker.host ssh:// alone")]);
    expect(mistakes({ docker: { host: "tcp://gpu.example.com:2375" } })).toEqual([
      expect.stringContaining("without TLS gives root to anyone"),
    ]);
    expect(mistakes({ docker: { host: "tcp://127.0.0.1:2375" } })).toEqual([]);
    expect(mistakes({ docker: { certPath: "/etc/docker" } })).toEqual([
      expect.stringContaining("certPath is for docker.host tcp:// alone"),
    ]);
    expect(mistakes({ image: "a", base: "b" })).toEqual([expect.stringContaining("at most one of image, base")]);
  });

  it("never show a secret in a mistake", () => {
    expect(mistakes({ ...ssh, keyFile: undefined, key: "hunter2" }).join()).not.toContain("hunter2");
  });
});

describe("ports of the container", () => {
  it("are published on the Docker host: SSH on its loopback, the WebUI as the settings say", () => {
    const { host, webui } = read({}, { port: 8188, listen: "192.0.2.7" });
    expect(publishedPorts(host, webui)).toEqual([
      { internal: 22, external: 2222, ip: "127.0.0.1" },
      { internal: 8188, external: 8188, ip: "192.0.2.7" },
    ]);
    expect(sshListen(host)).toBe("0.0.0.0:22");
    expect(servedAt(host, webui)).toBe("192.0.2.7");
  });

  it("of a tunnel are on loopback alone; behind tcp:// only an open port leads to SSH", () => {
    const { host, webui } = read(ssh, { exposure: "tunnel" });
    expect(publishedPorts(host, webui).map(({ ip }) => ip)).toEqual(["127.0.0.1", "127.0.0.1"]);
    expect(publishedPorts(read(tcp).host, webui)[0]?.ip).toBe("0.0.0.0");
  });

  it("are its own in the Docker host's network: nothing is published, and SSH stays on loopback", () => {
    const { host, webui } = read({ network: "host", sshPort: 4022 });
    expect(publishedPorts(host, webui)).toEqual([]);
    expect(sshListen(host)).toBe("127.0.0.1:4022");
  });

  it("are reached at the Docker host", () => {
    const { webui } = read();
    expect(servedAt(read().host, webui)).toBe("127.0.0.1");
    expect(servedAt(read(ssh).host, webui)).toBe("gpu.example.com");
    expect(servedAt(read(tcp).host, webui)).toBe("gpu.example.com");
    expect(enginePlace(read(ssh).host)).toEqual({ kind: "ssh", address: "gpu.example.com", port: 2022, user: "root" });
  });
});

describe("what became of the container", () => {
  let dir: string;
  let server: Server;
  let answers: Record<string, [number, object]>;
  const engine = () => ({ host: `unix://${join(dir, "docker.sock")}` });
  const asked = (container: string, image = "") => ({ container, image, volume: "", fingerprint: "", stack: "gpu" });
  const seen = (container: string, image?: string) => look(engine(), asked(container, image));

  beforeEach(async () => {
    dir = mkdtempSync(join(tmpdir(), "atelier-look-"));
    answers = {
      "/images/atelier/cuda:1/json": [200, {}],
      "/containers/box/json": [200, { State: { Running: true, Status: "running" } }],
    };
    server = createServer((request, response) => {
      const [code, body] = answers[request.url ?? ""] ?? [404, { message: "No such object" }];
      response.writeHead(code).end(JSON.stringify(body));
    });
    await new Promise<void>((resolve) => server.listen(join(dir, "docker.sock"), resolve));
  });
  afterEach(() => {
    server.close();
    rmSync(dir, { recursive: true, force: true });
  });

  it("is nothing to tell where all is as it was left", async () => {
    expect(await seen("box", "atelier/cuda:1")).toEqual({});
  });

  it("is told where it, or its image, is gone, and where it does not run", async () => {
    expect(await seen("other", "atelier/cuda:2")).toEqual({
      image: "there is no image atelier/cuda:2",
      container: "there is no container other",
    });
    answers["/containers/box/json"] = [200, { State: { Running: false, Status: "exited" } }];
    expect((await seen("box")).container).toMatch(/^the container box does not run \(exited; /);
    answers["/containers/box/json"] = [200, { State: { Running: true, Restarting: true, Status: "restarting" } }];
    expect((await seen("box")).container).toMatch(/does not run \(restarting; /);
    answers["/containers/box/json"] = [200, { State: { Running: true, Paused: true, Status: "paused" } }];
    expect((await seen("box")).container).toMatch(/does not run \(paused; /);
  });

  it("can't be told of an engine that does not answer, or answers with an error", async () => {
    await expect(look({ host: `unix://${dir}/none` }, asked("box"))).rejects.toThrow(
      /can't be asked.*ENOENT.*npx atelier down --host-gone --stack gpu$/,
    );
    answers["/containers/box/json"] = [500, { message: "out of order" }];
    await expect(seen("box")).rejects.toThrow(/HTTP 500.*out of order/);
  });

  it("is asked of an engine behind ssh:// by the user's own ssh", async () => {
    const ssh = join(dir, "ssh");
    const run = (script: string) =>
      writeFileSync(ssh, `#!/bin/sh\necho "$@" >>'${dir}/asked'\n${script}\n`, { mode: 0o755 });
    const path = process.env.PATH;
    process.env.PATH = `${dir}:${path}`;
    try {
      run(`case $* in *image*) echo '{}' ;; *) echo 'Error: No such container: box' >&2; exit 1 ;; esac`);
      const engine = { host: "ssh://root@gpu.example.com:2022/run/d.sock" };
      expect(await look(engine, asked("box", "atelier/cuda:1"))).toEqual({ container: "there is no container box" });
      expect(execFileSync("cat", [join(dir, "asked")], { encoding: "utf8" })).toContain(
        "-l root -p 2022 -- gpu.example.com docker --host unix:///run/d.sock container inspect --format '{{json .}}' box",
      );
      run("echo 'Permission denied' >&2; exit 255");
      await expect(look(engine, asked("box"))).rejects.toThrow(/can't be asked.*Permission denied/);
    } finally {
      process.env.PATH = path;
    }
  });
});

describe("the WebUI of a container", () => {
  const listens = (host: object, webui: object) => {
    const { listen } = assemble("t", parseSettings({ host: { kind: "docker", ...host }, webui }, "t"), undefined);
    return listen;
  };

  it("listens where the publishing reaches it, whatever address it is published at", () => {
    expect(listens({}, { listen: "127.0.0.1" })).toBe("0.0.0.0");
    expect(listens({}, { exposure: "tunnel" })).toBe("0.0.0.0");
    expect(listens({ network: "host" }, { listen: "127.0.0.1" })).toBe("127.0.0.1");
    expect(listens({ network: "host" }, { exposure: "tunnel" })).toBe("127.0.0.1");
  });
});
