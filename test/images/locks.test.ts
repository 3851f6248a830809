import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { joinLocks, lockNames, parseLock, readLock } from "../../images/locks.ts";
import { torchBuilds } from "../../images/torch.ts";

const wheels = resolve(import.meta.dirname, "..", "..", "images", "wheels");
const hash = `--hash=sha256:${"a".repeat(64)}`;

test.each([
  ["a package without a hash", "six==1.17.0\n", "not proved by sha256: six==1.17.0"],
  ["a weaker hash", `six==1.17.0 --hash=md5:${"a".repeat(32)}\n`, "not proved by sha256"],
  ["a range", `six>=1.17.0 ${hash}\n`, "not a package with its exact version: six>=1.17.0"],
  ["an address", `six @ https://example.com/six.whl ${hash}\n`, "not a package with its exact version"],
  ["an index of its own", `--index-url https://example.com/simple\nsix==1.17.0 ${hash}\n`, "not a package"],
  ["the same package twice", `six==1.17.0 ${hash}\nsix==1.16.0 ${hash}\n`, "there twice: six==1.16.0"],
  ["nothing", "# only words\n", "empty"],
])("a lock with %s is refused", (_what, text, message) => {
  expect(() => parseLock("bad", text)).toThrow(message);
});

test("an unknown lock is refused, and the known ones are named", () => {
  expect(() => readLock("a1111-cu999")).toThrow(/no wheel lock `a1111-cu999`; images\/wheels has .*a1111-cu121/);
});

test.each(lockNames())("%s: every package is proved, and no address stands in it", (name) => {
  const lock = readLock(name);
  expect(lock.packages.length).toBeGreaterThan(0);
  expect(lock.text).not.toMatch(/:\/\/|index-url|find-links/);
  expect(lock.bytes).toBeGreaterThan(0);
});

test.each(["a1111-cu121", "a1111-cu128", "xformers-cu121", "xformers-cu128", "uv"])(
  "%s has every pin of its .in file",
  (name) => {
    const pins = readFileSync(join(wheels, `${name}.in`), "utf8")
      .split("\n")
      .map((line) => /^([\w-]+)==([\w.]+)$/.exec(line))
      .filter((match) => match !== null);
    expect(pins.length).toBeGreaterThan(0);
    const versions = new Map(readLock(name).packages.map((locked) => [locked.name, locked.version]));
    for (const [, pin = "", version = ""] of pins) {
      const locked = versions.get(pin.toLowerCase().replaceAll("_", "-"));
      expect(locked === version || locked === `${version}.0`, `${pin}: asked ${version}, locked ${locked}`).toBe(true);
    }
  },
);

test("the WebUI's lock holds what is known to work together", () => {
  const versions = Object.fromEntries(readLock("a1111-cu121").packages.map(({ name, version }) => [name, version]));
  expect(versions).toMatchObject({
    torch: "2.1.2",
    torchvision: "0.16.2",
    numpy: "1.26.2",
    setuptools: "69.5.1",
    "open-clip-torch": "2.20.0",
    transformers: "4.30.2",
    tokenizers: "0.13.3",
    pydantic: expect.stringMatching(/^1\.10\./),
    starlette: "0.26.1",
    "nvidia-cuda-runtime-cu12": expect.stringMatching(/^12\.1\./),
    // CLIP is built with these, without the network.
    wheel: expect.any(String),
    ftfy: expect.any(String),
  });
  expect(readLock("xformers-cu121").packages).toMatchObject([{ name: "xformers", version: "0.0.23.post1" }]);
});

test("the WebUI's locks differ in torch and its kin alone, so that what is locked beside one fits the other", () => {
  const others = (name: string) =>
    readLock(name)
      .packages.filter((locked) => !/^(torch|torchvision|triton|nvidia-.*)$/.test(locked.name))
      .map(({ name, version, sha256 }) => `${name}==${version} ${[...sha256].sort()}`);
  expect(others("a1111-cu128")).toEqual(others("a1111-cu121"));
  expect(others("a1111-cu121").length).toBeGreaterThan(100);
  for (const { version, cuda, wheels, xformers } of Object.values(torchBuilds)) {
    const versions = Object.fromEntries(readLock(wheels).packages.map(({ name, version }) => [name, version]));
    expect(versions.torch).toBe(version);
    expect(versions["nvidia-cuda-runtime-cu12"]).toMatch(new RegExp(`^${cuda.replace(".", "\\.")}\\.`));
    expect(readLock(xformers).packages).toHaveLength(1);
  }
});

test("locks can be installed in one go", () => {
  const both = joinLocks([readLock("a1111-cu121"), readLock("xformers-cu121")]);
  expect(both.name).toBe("a1111-cu121+xformers-cu121");
  expect(both.packages).toHaveLength(readLock("a1111-cu121").packages.length + 1);
  expect(both.bytes).toBe(readLock("a1111-cu121").bytes + readLock("xformers-cu121").bytes);
});
