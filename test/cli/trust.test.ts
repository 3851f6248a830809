import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseKey } from "../../scripts/cli/hostkey.ts";
import { noSshd, type Sshd, startSshd } from "../helpers/sshd.ts";
import { Clone } from "./clone.ts";

describe.skipIf(noSshd)("trust, against a real OpenSSH server", () => {
  let clone: Clone;
  let server: Sshd;
  const host = (more: Record<string, unknown> = {}) => ({
    kind: "ssh",
    platform: "plain",
    address: "127.0.0.1",
    port: server.port,
    password: "unused-password",
    ...more,
  });
  const pinned = () => readFileSync(join(clone.home, "box", "hostkey"), "utf8");

  beforeAll(async () => {
    clone = new Clone();
    server = await startSshd();
    clone.settings("box", { host: host() });
    clone.program("export const nothing = 1;\n");
  });
  afterAll(async () => {
    await server?.stop();
    clone?.remove();
  });

  test("without a pinned key and without a terminal, an update wants --yes", async () => {
    const { code, stdout, stderr } = await clone.run(["preview", "--stack", "box"]);
    expect(code).toBe(2);
    expect(stdout).toContain(parseKey(server.hostKey).fingerprint);
    expect(stderr).toMatch(/No key is pinned.*add --yes/);
  });

  test("with --yes it is shown and pinned", async () => {
    const { code, stdout } = await clone.run(["preview", "--stack", "box", "--yes"]);
    expect(stdout).toMatch(/First contact: .* SHA256:[\s\S]*Pinned/);
    expect(pinned()).toBe(`${server.hostKey}\n`);
    expect(code).toBe(0);
  });

  test("a known key is said to be known", async () => {
    const { code, stdout } = await clone.run(["trust", "--stack", "box"]);
    expect(code).toBe(0);
    expect(stdout).toContain("pinned already");
  });

  test("a changed key stops, with both fingerprints; --replace pins the new one", async () => {
    const before = parseKey(server.hostKey).fingerprint;
    const { port } = server;
    await server.stop();
    server = await startSshd({ port });
    const after = parseKey(server.hostKey).fingerprint;

    const refused = await clone.run(["trust", "--stack", "box"]);
    expect(refused.code).toBe(1);
    expect(refused.stdout).toContain(after);
    expect(refused.stderr).toContain(before);
    expect(refused.stderr).toContain("--replace");
    expect(pinned()).not.toContain(server.hostKey);

    const replaced = await clone.run(["trust", "--stack", "box", "--replace"]);
    expect(replaced.code).toBe(0);
    expect(replaced.stdout).toContain(before);
    expect(pinned()).toBe(`${server.hostKey}\n`);
  });

  test("a key that the settings name is never replaced from here", async () => {
    const other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBfRFMuVK2fp2pjK5NA8TpFjkU5F9oGBNcrkYrBVJnkl";
    clone.settings("named", { host: host({ hostKey: other }) });
    const { code, stderr } = await clone.run(["trust", "--stack", "named", "--replace"]);
    expect(code).toBe(1);
    expect(stderr).toContain(parseKey(other).fingerprint);
  });
});
