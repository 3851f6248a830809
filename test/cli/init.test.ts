import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { UserError } from "../../scripts/cli/errors.ts";
import { readSshCommand } from "../../scripts/cli/init/sshCommand.ts";
import { Clone } from "./clone.ts";

describe("an SSH command, as platforms show it", () => {
  const lines: [string, ReturnType<typeof readSshCommand>][] = [
    ["ssh -p 40722 root@i-1.gpushare.com", { address: "i-1.gpushare.com", port: 40722, user: "root", leftOut: [] }],
    [
      "ssh root@203.0.113.7 -p 12345 -i ~/.ssh/id_ed25519",
      { address: "203.0.113.7", port: 12345, user: "root", keyFile: "~/.ssh/id_ed25519", leftOut: [] },
    ],
    [
      "ssh -p12345 -L 8080:localhost:8080 -tt root@ssh5.vast.ai",
      { address: "ssh5.vast.ai", port: 12345, user: "root", leftOut: ["-L 8080:localhost:8080", "-tt"] },
    ],
    [
      'ssh -o Port=2222 -oStrictHostKeyChecking=no -i "a key" -l ubuntu box.example.com',
      {
        address: "box.example.com",
        port: 2222,
        user: "ubuntu",
        keyFile: "a key",
        leftOut: ["-o StrictHostKeyChecking=no"],
      },
    ],
    ["root@example.com:2200", { address: "example.com", port: 2200, user: "root", leftOut: [] }],
    ["ssh://root@[2001:db8::1]:2200/", { address: "2001:db8::1", port: 2200, user: "root", leftOut: [] }],
    ["ssh root@2001:db8::1", { address: "2001:db8::1", user: "root", leftOut: [] }],
  ];
  test.each(lines)("%s", (line, box) => {
    expect(readSshCommand([line])).toEqual(box);
    // The shell has taken the quotes from the words of one that was not quoted as a whole.
    const words = (line.match(/(?:"[^"]*"|\S)+/g) ?? []).map((word) => word.replaceAll('"', ""));
    expect(readSshCommand(words)).toEqual(box);
  });

  const box = { address: "203.0.113.7", port: 40722, user: "root", leftOut: [] };
  test.each([
    "$ ssh -p 40722 root@203.0.113.7",
    "me@laptop:~$ ssh -p 40722 root@203.0.113.7",
    "PS C:\\Users\\me> ssh -p 40722 root@203.0.113.7",
    "C:\\Users\\me>ssh.exe -p 40722 root@203.0.113.7",
    "登录指令：ssh -p 40722 root@203.0.113.7",
    "/usr/bin/ssh -p 40722 root@203.0.113.7  # my box",
    "ssh -p 40722 \\\n  root@203.0.113.7",
    "ssh –p 40722 root@203.0.113.7\r\n",
    "ssh\u00a0－p\u00a0４０７２２ root＠203.0.113.7\u200b",
    "`ssh -p 40722 root@203.0.113.7`",
    '"ssh -p 40722 -- root@203.0.113.7"',
    "ssh -o HostName=203.0.113.7 -p 40722 root@mybox",
    "ssh -p 40722 root@203.0.113.7 -p 22 -l ubuntu",
  ])("%j: as it was meant", (line) => expect(readSshCommand([line])).toEqual(box));

  test.each([
    ["ssh -CNgp 40722 root@203.0.113.7", { ...box, leftOut: ["-CNg"] }],
    ["ssh -i “~/my key” -p 40722 root@203.0.113.7", { ...box, keyFile: "~/my key" }],
    ["ssh -i ~/my\\ key -p 40722 root@203.0.113.7", { ...box, keyFile: "~/my key" }],
    ["ssh -i $HOME/.ssh/id -i other -p 40722 root@203.0.113.7", { ...box, keyFile: "~/.ssh/id" }],
    ["ssh -i %USERPROFILE%\\id -p 40722 root@203.0.113.7", { ...box, keyFile: "~\\id" }],
    ["ssh -i C:\\keys\\id -p 40722 root@203.0.113.7", { ...box, keyFile: "C:\\keys\\id" }],
  ])("%j", (line, read) => expect(readSshCommand([line])).toEqual(read));

  const wrong: [string, RegExp][] = [
    ["ssh", /names no box/],
    ["ssh -p 22", /names no box/],
    ["ssh -p", /-p wants a word/],
    ["ssh -p 70000 root@a", /`70000` is no port/],
    ["ssh -p root@a", /`root@a` is no port/],
    ["ssh -J jump root@a", /through another host \(-J\)/],
    ["ssh -o ProxyJump=jump root@a", /through another host/],
    ["ssh -o 'ProxyCommand=nc -x 127.0.0.1:1 %h %p' root@a", /through another host \(ProxyCommand\)/],
    ["ssh -F mine mybox", /the file of -F is not read/],
    ["ssh root@a --stack b", /options of `init` stand before/],
    ["ssh -z root@a", /`-z` is no option/],
    ["ssh root@a uname -a", /`uname` stands behind the address a/],
    ["ssh root@", /`root@` is no address/],
  ];
  test.each(wrong)("%s: refused", (line, says) => {
    expect(() => readSshCommand([line])).toThrow(UserError);
    expect(() => readSshCommand([line])).toThrow(says);
  });

  test.each(["sshpass -p hunter22 ssh root@a", "$ sshpass -p hunter22 ssh root@a", "ssh root:hunter22@a"])(
    "%s: a password beside it is not repeated",
    (line) => expect(() => readSshCommand([line])).toThrow(/^Leave out (?!.*hunter22)/),
  );
});

describe("init", () => {
  let clone: Clone;
  beforeAll(() => {
    clone = new Clone();
  });
  afterAll(() => clone?.remove());
  const file = (stack: string) => join(clone.dir, "stacks", `Pulumi.${stack}.yaml`);
  const written = (stack: string) => parse(readFileSync(file(stack), "utf8")).config;

  test("writes a stack that the other commands take, and says how to go on", async () => {
    const { code, stdout, stderr } = await clone.run(["init", "--stack", "box", "ssh -p 40722 root@box.invalid"]);
    expect(code, stderr).toBe(0);
    expect(written("box")).toEqual({
      "atelier:host": {
        kind: "ssh",
        address: "box.invalid",
        port: 40722,
        user: "root",
        passwordEnv: "ATELIER_SSH_PASSWORD",
      },
      "atelier:upstreams": { profile: "auto" },
      "atelier:webui": { port: 8080 },
    });
    expect(stdout).toContain(
      "npx atelier trust --stack box\n  export ATELIER_SSH_PASSWORD=…\n  npx atelier up --stack box",
    );
    const status = await clone.run(["status", "--stack", "box", "--json"]);
    expect(JSON.parse(status.stdout)).toMatchObject({ stack: "box", resources: 0 });
    // A file that was written by hand since is never written over.
    const before = readFileSync(file("box"), "utf8");
    const again = await clone.run(["init", "--stack", "box", "root@other.invalid"]);
    expect(again.code).toBe(2);
    expect(again.stderr).toContain("There is a stack `box` already: stacks/Pulumi.box.yaml");
    expect(readFileSync(file("box"), "utf8")).toBe(before);
  });

  test("with a key, a profile and a public address", async () => {
    const key = join(process.env.HOME ?? "", ".ssh", "id");
    const { code, stdout, stderr } = await clone.run([
      ...["init", "--stack", "keyed", "--json", "--profile", "china", "--public-url", "http://box.invalid:27411"],
      ...["--", "ssh", "box.invalid", "-i", key, "-L", "1:a:1"],
    ]);
    expect(code, stderr).toBe(0);
    expect(written("keyed")).toMatchObject({
      "atelier:host": { port: 22, user: "root", keyFile: "~/.ssh/id" },
      "atelier:upstreams": { profile: "china" },
      "atelier:webui": { publicUrl: "http://box.invalid:27411" },
    });
    expect(JSON.parse(stdout)).toEqual({ stack: "keyed", file: "stacks/Pulumi.keyed.yaml", leftOut: ["-L 1:a:1"] });
    const missing = await clone.run(["init", "--stack", "nokey", "ssh", "-i", "<your key>", "box.invalid"]);
    expect([missing.code, missing.stdout]).toEqual([0, expect.stringContaining("There is no file <your key>")]);
    await clone.run(["init", "--stack", "agent", "--login", "agent", "box.invalid"]);
    expect(written("agent")["atelier:host"]).toMatchObject({ agent: true });
  });

  test.skipIf(!existsSync("/usr/bin/ssh"))(
    "a name of the SSH configuration is what it stands for, and trust says so of one in the settings",
    async () => {
      // The real ssh, with a configuration of the test's own: HOME does not lead it to another.
      const bin = join(clone.dir, "bin");
      mkdirSync(bin);
      const config = join(clone.dir, "ssh_config");
      writeFileSync(join(bin, "ssh"), `#!/bin/sh\nexec /usr/bin/ssh -F '${config}' "$@"\n`, { mode: 0o755 });
      const env = { PATH: `${bin}:${process.env.PATH}` };
      const hosts = [
        "Host gpu-box\n  HostName 203.0.113.7\n  Port 40722\n  User ubuntu\n  IdentityFile ~/.ssh/box",
        "Host far-box\n  HostName 203.0.113.8\n  ProxyJump bastion",
        "Host *\n  User everybody",
      ];
      writeFileSync(config, hosts.join("\n"));
      const made = await clone.run(["init", "--stack", "alias", "ssh -p 22022 gpu-box"], { env });
      expect([made.code, made.stdout]).toEqual([0, expect.stringContaining("`gpu-box` is a name of your SSH config")]);
      const said = { address: "203.0.113.7", user: "ubuntu", keyFile: "~/.ssh/box" };
      expect(written("alias")["atelier:host"]).toMatchObject({ ...said, port: 22022 });
      await clone.run(["init", "--stack", "none", "box.invalid"], { env });
      expect(written("none")["atelier:host"]).toMatchObject({ address: "box.invalid", user: "root" });
      const far = await clone.run(["init", "--stack", "far", "far-box"], { env });
      expect([far.code, far.stderr]).toEqual([2, expect.stringContaining("leads to far-box through bastion")]);

      clone.settings("byhand", { host: { kind: "ssh", address: "gpu-box", agent: true } });
      const { code, stderr } = await clone.run(["trust", "--stack", "byhand"], { env });
      expect(code).toBe(1);
      expect(stderr).toContain(
        "as settings: host.address: 203.0.113.7, host.port: 40722, host.user: ubuntu, host.keyFile: ~/.ssh/box.",
      );
    },
  );

  test("writes nothing that the settings would refuse", async () => {
    const { code, stderr } = await clone.run(["init", "--stack", "bad", "--public-url", "box:1", "ro.ot@box!"]);
    expect(code).toBe(2);
    expect(stderr).toMatch(/host\.address[\s\S]*host\.user[\s\S]*publicUrl/);
    expect(existsSync(file("bad"))).toBe(false);
    const terminal = await clone.run(["init", "--stack", "bad", "ssh abc-def@ssh.runpod.io -i ~/.ssh/id"]);
    expect([terminal.code, terminal.stderr]).toEqual([2, expect.stringContaining("SSH over exposed TCP")]);
    expect(existsSync(file("bad"))).toBe(false);
    expect((await clone.run(["init", "root@box.invalid"])).stderr).toContain("A new stack wants a name of its own");
  });
});
