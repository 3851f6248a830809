import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { noSshd, type Sshd, startSshd } from "../helpers/sshd.ts";
import { Clone } from "./clone.ts";

/** One command on the host, as the stacks' own steps are; removed, it leaves a file. */
const program = `
import * as command from "@pulumi/command";
import { readSettings } from "./settings.ts";
const { host } = readSettings();
new command.remote.Command("step", {
  connection: { host: host.address, port: host.port, user: host.user, privateKey: host.privateKey, hostKey: host.hostKey, dialErrorLimit: 1, perDialTimeout: 60 },
  create: "echo made",
  delete: \`touch '\${host.workspace}/removed'\`,
});
`;

describe.skipIf(noSshd)("down, against a real OpenSSH server", () => {
  let clone: Clone;
  let server: Sshd;
  const servers: Sshd[] = [];
  const workspace = () => join(clone.dir, "workspace");

  async function serve(): Promise<Sshd> {
    server = await startSshd();
    servers.push(server);
    clone.settings("box", {
      host: {
        kind: "ssh",
        platform: "plain",
        address: "127.0.0.1",
        port: server.port,
        user: server.user,
        key: server.privateKey,
        hostKey: server.hostKey,
        workspace: workspace(),
      },
    });
    return server;
  }

  beforeEach(async () => {
    clone = new Clone();
    clone.program(program);
    await serve();
    // The program has no WebUI, so that the update's proof fails once the step is made.
    const { stdout } = await clone.run(["up", "--stack", "box", "--yes"]);
    expect(stdout).toContain("+ step created");
  });
  afterEach(async () => {
    for (const one of servers.splice(0)) await one.stop();
    clone.remove();
  });

  const resources = async () => JSON.parse((await clone.run(["status", "--stack", "box", "--json"])).stdout).resources;

  test("a host that is gone is one clear error that names --host-gone, and that forgets it without dialling", async () => {
    await server.stop();
    const read = await clone.run(["refresh", "--stack", "box", "--yes", "--json"]);
    expect([read.code, JSON.parse(read.stdout)]).toEqual([1, expect.objectContaining({ result: "failed" })]);
    expect(read.stderr).toMatch(/can't be reached: .*ECONNREFUSED[\s\S]*nobody looked.* down --stack box --host-gone/);
    const failed = await clone.run(["down", "--stack", "box", "--yes"]);
    expect(failed.code).toBe(1);
    expect(failed.stdout).toContain("npx atelier down --stack box --host-gone");
    expect(await resources()).toBe(1);

    const gone = await clone.run(["down", "--stack", "box", "--yes", "--host-gone"]);
    expect(gone.stdout).toContain("Forgot 1 resource of the host, without dialling it.");
    expect(gone.code).toBe(0);
    expect(await resources()).toBe(0);
  });

  test("a host behind a new address is dialled there", async () => {
    await server.stop();
    const moved = await serve();
    mkdirSync(workspace());
    const { code, stdout } = await clone.run(["down", "--stack", "box", "--yes"]);
    expect(stdout).toContain("Removed 1 resource");
    expect(stdout).toContain("the rental goes on");
    expect(code).toBe(0);
    expect(moved.logins()).toBeGreaterThan(0);
    expect(existsSync(join(workspace(), "removed"))).toBe(true);
  });

  test("--purge leaves its order on the host before anything is removed", async () => {
    mkdirSync(join(workspace(), "run"), { recursive: true });
    writeFileSync(join(workspace(), "run", "id"), "1\n");
    const { code } = await clone.run(["down", "--stack", "box", "--yes", "--purge"]);
    expect(code).toBe(0);
    expect(existsSync(join(workspace(), "run", "purge"))).toBe(true);
  });

  test("--purge after a down without it removes the cache that stayed, but what lay there before and what another uses", async () => {
    mkdirSync(workspace());
    expect((await clone.run(["down", "--stack", "box", "--yes"])).code).toBe(0);
    const put = (path: string, text: string) => {
      mkdirSync(dirname(join(workspace(), path)), { recursive: true });
      writeFileSync(join(workspace(), path), text);
    };
    put("cache/sha256/abc", "a model");
    put("cache/wheels/a.whl", "a wheel");
    put("cache/uses/1", `${workspace()}/../other\n`);
    const purge = () => clone.run(["down", "--stack", "box", "--yes", "--purge"]);
    // Nothing tells whose it is.
    expect((await purge()).stdout).toContain("There was nothing to remove.");
    put("cache/.atelier", "wheels\n");
    put("../other/run/id", "1\n");
    expect((await purge()).stdout).toMatch(/The cache \S+ on \S+ stays: the workspace \S+other there uses it too/);
    rmSync(join(workspace(), "../other"), { recursive: true });
    const { code, stdout } = await purge();
    expect([code, stdout]).toEqual([0, expect.stringMatching(/Removed the cache \S+workspace\/cache on \S+@127/)]);
    expect(readdirSync(join(workspace(), "cache"))).toEqual([".atelier", "wheels"]);
    expect((await purge()).code).toBe(0);

    await server.stop();
    const off = await purge();
    expect([off.code, off.stderr]).toEqual([1, expect.stringMatching(/Nothing of the stack is left but, maybe, its/)]);
    expect((await clone.run(["down", "--stack", "box", "--yes", "--purge", "--host-gone"])).code).toBe(0);
  });

  test("--purge leaves no order where there is no workspace", async () => {
    mkdirSync(workspace());
    expect((await clone.run(["down", "--stack", "box", "--yes", "--purge"])).code).toBe(0);
    expect(readdirSync(workspace())).toEqual(["removed"]);
  });
});
