import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Project } from "../e2e/project.ts";
import { asBox, noSshd, type Sshd, startSshd } from "../helpers/sshd.ts";

/** A server that gives `bytes` to any question, 64 KiB every `ms`. */
function upstream(bytes: number, ms: number): Promise<Server> {
  const server = createServer((_, response) => {
    let left = bytes;
    const timer = setInterval(() => {
      response.write(Buffer.alloc(Math.min(left, 65_536)));
      left -= 65_536;
      if (left > 0) return;
      clearInterval(timer);
      response.end();
    }, ms);
    response.once("close", () => clearInterval(timer));
  });
  return new Promise((done) => server.listen(0, "127.0.0.1", () => done(server)));
}
const urlOf = (server: Server) => `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;

describe.skipIf(noSshd)("atelier upstreams", () => {
  let project: Project;
  let box: Sshd;
  let disk: string;
  let servers: Server[];
  const dead = "http://127.0.0.1:1/";

  beforeAll(async () => {
    project = new Project();
    box = await startSshd();
    disk = mkdtempSync(join(tmpdir(), "atelier-box-"));
    servers = await Promise.all([upstream(400_000, 500), upstream(400_000, 1)]);
    await project.settings({
      host: {
        ...asBox(box),
        platform: "plain",
        workspace: join(disk, "ws"),
        gpu: "none",
      },
      upstreams: {
        profile: "auto",
        git: [dead, ...servers.map(urlOf)],
        pypi: servers.map((server) => `${urlOf(server)}simple`),
        huggingface: servers.map(urlOf),
        modelscope: [dead],
        apt: dead,
        uvPythonMirror: dead,
      },
    });
  });
  afterAll(async () => {
    await project.remove();
    await box.stop();
    for (const server of servers) server.close();
    rmSync(disk, { recursive: true, force: true });
  });

  it("shows the table, and says that nothing was measured yet", async () => {
    const { exitCode, all } = await project.atelier(["upstreams"]);
    expect(exitCode, all).toBe(0);
    expect(all).toContain("Profile auto: the fastest first");
    expect(all).toMatch(/The host has not measured them yet: .*--measure/);
  });

  it("--measure asks on the host, a bare one too, and leaves nothing there; the fastest comes first, the dead last", async () => {
    const { exitCode, stdout, all } = await project.atelier(["upstreams", "--measure", "--json"]);
    expect(exitCode, all).toBe(0);
    type Row = { kind: string; base: string; state: string; bytesPerSecond?: number };
    const { upstreams } = JSON.parse(stdout) as { upstreams: Row[] };
    const git = upstreams.filter(({ kind }) => kind === "git");
    const [slow, quick] = servers.map(urlOf);
    expect(git.map(({ base, state }) => [base, state])).toEqual([
      [quick, "answers"],
      [slow, "answers"],
      [dead, "dead"],
    ]);
    expect(git[0]?.bytesPerSecond).toBeGreaterThan(2 * (git[1]?.bytesPerSecond ?? 0));
    expect(existsSync(join(disk, "ws"))).toBe(false);
    expect(readdirSync("/tmp").filter((name) => /^atelier-[0-9a-f]{8}-/.test(name))).toEqual([]);
  });
});
