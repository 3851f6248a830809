import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PassphraseSecrets } from "@atelier/engine/secrets";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { withPlatform } from "../../stacks/platforms/saved.ts";
import { noSshd } from "../helpers/sshd.ts";
import { Box } from "../host/lib/box.ts";
import { planted, shapes } from "../host/lib/shapes.ts";
import { Clone } from "./clone.ts";

/** Says what it was told, and makes nothing. */
const program = `
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { readSettings } from "./settings.ts";
const { settings, host } = readSettings();
const told = [host.workspace, host.cache, settings.webui.port, settings.webui.publicUrl ?? settings.webui.exposure];
if (settings.webui.torch !== "cu121") told.push(settings.webui.torch);
writeFileSync(join(import.meta.dirname, "told.json"), JSON.stringify(told));
`;

describe.skipIf(noSshd)("the platform of a box, seen by preview", () => {
  const box = new Box();
  let clone: Clone;
  const settings = (host: object = {}, more: object = {}) =>
    clone.settings("box", {
      host: {
        kind: "ssh",
        address: "127.0.0.1",
        port: box.server.port,
        user: box.server.user,
        key: box.server.privateKey,
        ...host,
      },
      ...more,
    });
  const preview = async () => {
    const { code, stdout, stderr } = await clone.run(["preview", "--stack", "box", "--yes"]);
    expect(code, stderr + stdout).toBe(0);
    return `${stdout}${stderr}`;
  };
  const told = () => JSON.parse(readFileSync(join(clone.dir, "stacks", "told.json"), "utf8"));
  const tmp = (ws: string) => [ws, `${ws}/cache`];

  beforeAll(async () => {
    await box.start();
    clone = new Clone();
    clone.program(program);
    settings();
  });
  afterAll(async () => {
    await box.stop();
    clone?.remove();
  });

  test("is shown with what it proposes, and the program has it; nothing secret of the box is kept or shown", async () => {
    box.become(shapes.autodl);
    const said = await preview();
    expect(said).toMatch(/Platform: AutoDL \(by AutoDLContainerUUID\)/);
    expect(said).toMatch(/workspace \/root\/autodl-tmp\/atelier \(kept over a stop\)/);
    expect(said).toMatch(/port 6006, reached https:\/\/u1-2-3\.west\.example\.com:8443; .*\/etc\/network_turbo/);
    expect(said).toContain("released after 15 days");
    expect(told()).toEqual([...tmp("/root/autodl-tmp/atelier"), 6006, "https://u1-2-3.west.example.com:8443"]);
    const files = execFileSync("cat", [join(clone.home, "box", "platform.json")], { encoding: "utf8" });
    for (const secret of planted) expect(said + files).not.toContain(secret);
  });

  test("is overridden by every setting", async () => {
    settings({ workspace: "/root/mine" }, { webui: { port: 6008, exposure: "tunnel" } });
    await preview();
    expect(told()).toEqual([...tmp("/root/mine"), 6008, "tunnel"]);
    settings({ platform: "plain" });
    await preview();
    expect(told()).toEqual([...tmp("/root/atelier"), 8080, "direct"]);
    settings();
    await preview();
  });

  test("that proposes another workspace later is said, and the workspace stays where it is", async () => {
    box.become({ ...shapes.autodl, disks: {}, variables: { AutoDLRegion: "west" } });
    const said = await preview();
    expect(said).toMatch(/would now get the workspace \/root\/atelier; it stays at \/root\/autodl-tmp\/atelier/);
    expect(said).toMatch(/public address is now not known; it was https:\/\/u1-2-3/);
    expect(told()).toEqual([...tmp("/root/autodl-tmp/atelier"), 6006, "tunnel"]);
  });

  test("of another box behind the same address is taken anew, once its key is trusted, and that is said", async () => {
    await box.replace();
    box.become({ ...shapes.vast, gpus: ["12.0"] });
    settings();
    const refused = await clone.run(["preview", "--stack", "box", "--yes"]);
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining("trust --stack box --replace")]);
    await clone.run(["trust", "--stack", "box", "--replace"]);
    const said = await preview();
    expect(said).toContain(`Another box than last time stands at 127.0.0.1:${box.server.port}.`);
    expect(said).toMatch(/workspace is now \/workspace\/atelier; it was \/root\/autodl-tmp\/atelier/);
    const found = [...tmp("/workspace/atelier"), 8080, "http://203.0.113.9:31080"];
    expect(said).toContain("torch 2.8.0 for CUDA 12.8 (webui.torch cu128): the WebUI's own has no code for this GPU.");
    expect(told()).toEqual([...found, "cu128"]);
    // A driver that does not answer this once.
    box.become(shapes.vast);
    expect(await preview()).not.toContain("torch");
    expect(told()).toEqual([...found, "cu128"]);
    box.become({ ...shapes.vast, gpus: ["8.9"] });
    await preview();
    expect(told()).toEqual(found);
  });

  test("is seen through a login that stands encrypted in the settings", async () => {
    const passphrase = "correct horse";
    const secrets = await PassphraseSecrets.create(passphrase);
    settings({ key: { secure: secrets.encryptConfig(box.server.privateKey) } });
    const file = join(clone.dir, "stacks", "Pulumi.box.yaml");
    writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, "utf8")), encryptionsalt: secrets.salt }));
    const env = { PULUMI_CONFIG_PASSPHRASE: passphrase, ATELIER_HOME: join(clone.dir, "other") };
    const { code, stdout, stderr } = await clone.run(["preview", "--stack", "box", "--yes"], { env });
    expect(code, stderr + stdout).toBe(0);
    expect(stdout).toContain("Platform: vast.ai");
    const wrong = { ...env, PULUMI_CONFIG_PASSPHRASE: "wrong" };
    const refused = await clone.run(["preview", "--stack", "box", "--yes"], { env: wrong });
    expect([refused.code, refused.stderr]).toEqual([
      2,
      expect.stringMatching(/login of stack `box` could not be decrypted/),
    ]);
    settings();
  });

  test.each([
    ["starts another shell, which takes what was meant for the command", "exec bash"],
    ["ends", "echo bye\nexit 0"],
    ["lets nobody in", "echo This account is currently not available.\nexit 1"],
  ])("can't be seen where the login shell %s, which is said", async (_, text) => {
    const shell = join(clone.dir, "login-shell");
    writeFileSync(shell, `#!/bin/sh\n${text}\n`, { mode: 0o755 });
    box.become({ ...shapes.vast, runs: shell });
    const { code, stderr } = await clone.run(["preview", "--stack", "box", "--yes"]);
    expect([code, stderr]).toEqual([
      1,
      expect.stringMatching(/nothing was changed: .*The login works, but its shell did not run the command/s),
    ]);
    expect(stderr).not.toContain("Is the box running");
    box.become(shapes.vast);
  });

  test("that is plain says nothing of a workspace that stays where it is, there or gone", async () => {
    const { port, user, privateKey: key } = box.server;
    clone.settings("plainbox", { host: { kind: "ssh", address: "127.0.0.1", port, user, key } });
    const there = { files: { "/root/atelier/run/owner": "atelier/plainbox\n" } };
    for (const shape of [{}, there, {}]) {
      box.become(shape);
      const { code, stdout, stderr } = await clone.run(["preview", "--stack", "plainbox", "--yes"]);
      expect(code, stderr).toBe(0);
      expect(stdout).not.toContain("workspace");
    }
    box.become(shapes.vast);
  });

  test("is kept where plain pulumi finds it: `env` looks only where nobody did", async () => {
    const file = join(clone.home, "box", "platform.json");
    const before = readFileSync(file, "utf8");
    await box.server.stop();
    const { code, stderr } = await clone.run(["env", "--stack", "box"]);
    expect(code, stderr).toBe(0);
    expect(existsSync(file) && readFileSync(file, "utf8")).toBe(before);
  });
});

test("settings of a box that nobody looked at want a look; a plain one, a rented one and a host of this machine want none", () => {
  const missing = (host: object) => withPlatform({ host }, undefined, "atelier/t").missing;
  expect(missing({ kind: "ssh", address: "a" })).toBe(true);
  expect(missing({ kind: "ssh", address: "a", platform: "runpod" })).toBe(true);
  expect(missing({ kind: "ssh", address: "a", platform: "plain" })).toBe(false);
  expect(missing({ kind: "ssh", rent: { create: "x", destroy: "y" } })).toBe(false);
  expect(missing({ kind: "local" })).toBe(false);
});

test("a box that `up` rents gets what the table alone can tell", () => {
  const { raw } = withPlatform({ host: { kind: "ssh", rent: {}, platform: "runpod" } }, undefined, "atelier/t");
  expect(raw).toMatchObject({ host: { workspace: "/workspace/atelier" }, webui: { exposure: "tunnel" } });
});

test.each(["runpot", "constructor", 7])("a platform of a rented box that is none, %j, proposes nothing", (platform) => {
  const written = { host: { kind: "ssh", rent: {}, platform } };
  expect(withPlatform(written, undefined, "atelier/t")).toEqual({ raw: written, missing: false });
});
