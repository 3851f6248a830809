import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterAll, expect, test } from "vitest";
import { rehearsalStatus, startRehearsal, stopRehearsal } from "../../rehearsal/index.ts";
import { isFree } from "../../rehearsal/lib/ports.ts";
import { findProgram } from "../../rehearsal/sshd.ts";
import { folder, removeFolders } from "./folders.ts";

const main = resolve(import.meta.dirname, "../../rehearsal/main.ts");
const node = (...args: string[]) =>
  spawnSync(process.execPath, [main, ...args], { encoding: "utf8", timeout: 240_000 });
const missing = findProgram("sshd") ? "" : " (skipped: no sshd, package openssh-server)";
afterAll(removeFolders);

test.each([[[]], [["start"]], [["fly", "--dir", "/tmp/x"]], [["start", "--dir", "/tmp/x", "--only", "both"]]])(
  "wrong usage %j ends with 2 and the right one",
  (args) => {
    const { status, stderr } = node(...args);
    expect(status).toBe(2);
    expect(stderr).toMatch(/^Usage: node rehearsal\/main\.ts start\|stop\|status/);
  },
);

test.skipIf(missing)(
  `started, told of, started again, stopped and removed from the command line${missing}`,
  async () => {
    const dir = folder();
    expect(node("status", "--dir", dir).status).toBe(1);
    const first = node("start", "--dir", dir);
    expect(first).toMatchObject({ status: 0, stderr: "" });
    expect(first.stdout).toMatch(
      /^host +ssh .*@127\.0\.0\.1 -p \d+ -i .*\nupstreams +http:\/\/127\.0\.0\.1:\d+\/git\//,
    );
    expect(node("start", "--dir", dir).stdout).toBe(first.stdout);
    const { status, stdout } = node("status", "--dir", dir);
    expect([status, JSON.parse(stdout)]).toMatchObject([0, { host: { running: true }, upstreams: { running: true } }]);
    expect(stdout).not.toContain("PRIVATE KEY");
    expect(node("stop", "--dir", dir, "--remove").status).toBe(0);
    expect(existsSync(join(dir, "host"))).toBe(false);
    expect(existsSync(join(dir, "cache", "upstreams"))).toBe(true);
  },
);

test.skipIf(missing)(`warm, both start again; apart, only what is wanted${missing}`, async () => {
  const stackDir = join(folder(), "stack");
  const cacheDir = join(stackDir, "..", "cache");
  const both = { stackDir, cacheDir, host: true, upstreams: true };
  const { host, upstreams } = await startRehearsal(both);
  await stopRehearsal({ stackDir });
  expect(rehearsalStatus({ stackDir })).toMatchObject({ host: { running: false }, upstreams: { running: false } });
  const again = await startRehearsal(both);
  expect(again.host).toMatchObject({ port: host?.port, hostKey: host?.hostKey });
  expect(again.upstreams).toMatchObject({ git: upstreams?.git, sources: upstreams?.sources });
  await stopRehearsal({ stackDir, remove: true });
  for (const port of [host?.port, Number(new URL(upstreams?.git[0] ?? "").port)])
    expect(await isFree(port ?? 0)).toBe(true);

  const alone = await startRehearsal({ ...both, host: false });
  expect(alone.host).toBeUndefined();
  expect(existsSync(join(stackDir, "host"))).toBe(false);
  await stopRehearsal({ stackDir, remove: true });
});
