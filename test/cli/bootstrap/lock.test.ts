import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { withLock } from "../../../scripts/bootstrap/lock.mjs";
import { until } from "../../helpers/until.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "atelier-lock-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const holder = (pid: number) => JSON.stringify({ pid, host: hostname(), since: "2026-01-01T00:00:00Z" });

test("five at once take turns", async () => {
  let inside = 0;
  let most = 0;
  const turns = Array.from({ length: 5 }, () =>
    withLock(join(dir, "lock"), async () => {
      most = Math.max(most, ++inside);
      await sleep(20);
      inside -= 1;
    }),
  );
  await Promise.all(turns);
  expect(most).toBe(1);
  expect(existsSync(join(dir, "lock"))).toBe(false);
});

test("a dead holder's lock is cleared", async () => {
  const dead = spawnSync(process.execPath, ["-e", ""]).pid;
  mkdirSync(join(dir, "lock"));
  writeFileSync(join(dir, "lock", "holder.json"), holder(dead));
  expect(await withLock(join(dir, "lock"), () => "done")).toBe("done");
});

test("one that died before it wrote its name is cleared after a moment", async () => {
  mkdirSync(join(dir, "lock"));
  const past = new Date(Date.now() - 60_000);
  utimesSync(join(dir, "lock"), past, past);
  expect(await withLock(join(dir, "lock"), () => "done")).toBe("done");
});

test("a living holder is waited for, until the deadline", async () => {
  mkdirSync(join(dir, "lock"));
  writeFileSync(join(dir, "lock", "holder.json"), holder(process.pid));
  await expect(withLock(join(dir, "lock"), () => "never", { deadlineMs: 300 })).rejects.toThrow(
    new RegExp(`Process ${process.pid} on .* has held`),
  );
  expect(existsSync(join(dir, "lock"))).toBe(true);
});

test("a holder that has not written its name yet is named once it has", async () => {
  const said = vi.spyOn(process.stderr, "write").mockReturnValue(true);
  mkdirSync(join(dir, "lock"));
  const waiting = withLock(join(dir, "lock"), () => "done");
  await sleep(30);
  expect(said).not.toHaveBeenCalled();
  writeFileSync(join(dir, "lock", "holder.json"), holder(process.pid));
  await until("it says for whom it waits", () => said.mock.calls.length > 0);
  expect(said.mock.calls.flat().join("")).toContain(`Waiting: process ${process.pid} works.`);
  said.mockRestore();
  rmSync(join(dir, "lock"), { recursive: true });
  expect(await waiting).toBe("done");
});

test("what fails inside releases it", async () => {
  const failing = withLock(join(dir, "lock"), () => {
    throw new Error("no");
  });
  await expect(failing).rejects.toThrow("no");
  expect(existsSync(join(dir, "lock"))).toBe(false);
});

test("where nothing can be written, that is said", async () => {
  const file = join(dir, "a file");
  writeFileSync(file, "");
  for (const folder of [join(file, "below", "lock"), join(file, "lock")])
    await expect(withLock(folder, () => {}, { deadlineMs: 0 })).rejects.toMatchObject({
      name: "BootstrapError",
      message: expect.stringMatching(/lock can't be made \(E.* on a disk that can be written to/),
    });
});
