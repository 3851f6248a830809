import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { until } from "../helpers/until.ts";
import { Fetcher } from "./lib/fetch.ts";
import { type FileAnswer, honest, safetensors, serving } from "./lib/server.ts";
import { scripts } from "./lib/workspace.ts";

// The sum is taken while aria2c writes. Whatever is written behind it afterwards must not get the file's name.
const content = safetensors(11_500_000);
const sha256 = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");
const wanted = { bytes: content.length, sha256: sha256(content) };

let fetcher: Fetcher;
let box: string;
const serve = serving();
/** The address of a file there. */
const fileOf = async (answer: FileAnswer) => `${(await serve(answer)).base}a`;
beforeEach(() => {
  fetcher = new Fetcher();
  box = mkdtempSync(join(tmpdir(), "atelier-aria2-"));
});
afterEach(() => {
  fetcher.remove();
  rmSync(box, { recursive: true, force: true });
});
const whole = () => {
  expect(fetcher.store()).toEqual([wanted.sha256]);
  expect(sha256(readFileSync(join(fetcher.cache, "sha256", wanted.sha256)))).toBe(wanted.sha256);
};

describe("an aria2c", () => {
  /** The environment with test/host/lib/aria2.py as aria2c. */
  const faulty = (FAKE: string) => {
    const bin = join(box, "bin");
    mkdirSync(bin, { recursive: true });
    copyFileSync(join(import.meta.dirname, "lib", "aria2.py"), join(bin, "aria2c"));
    writeFileSync(join(box, "good"), content);
    return { FAKE, FAKE_GOOD: join(box, "good"), PATH: `${bin}:${process.env.PATH}` };
  };

  for (const fault of ["rewrites", "begins anew", "is another file"])
    it(`whose file ${
      {
        rewrites: "is written again behind the sum",
        "begins anew": "begins anew behind the sum, by another process",
        "is another file": "takes the place of the one that was read",
      }[fault]
    } is found out: our own way brings it`, async () => {
      const url = await fileOf(honest(content));
      const { code, stderr } = await fetcher.run({ ...wanted, urls: [url] }, "aria2c", faulty(fault));
      expect(code, stderr).toBe(0);
      expect(stderr).toMatch(/aria2c: its sha256 is [0-9a-f]{64}; wanted: /);
      whole();
    });

  it("that outlives its parent is waited for, and what it spoils meanwhile is not believed", async () => {
    const url = await fileOf(honest(content));
    const env = faulty("outlives");
    const first = fetcher.start({ ...wanted, urls: [url] }, "aria2c", env);
    await until("its beginning is in the sum", () => existsSync(join(box, "good.read")));
    await new Promise((resolve) => {
      first.once("close", resolve);
      first.kill("SIGKILL");
    });
    const { code, stderr } = await fetcher.run({ ...wanted, urls: [url] }, "own");
    expect(code, stderr).toBe(0);
    await until("it has spoiled the file", () => existsSync(join(box, "good.spoiled")));
    whole();
  });

  it("is counted by the kernel: what it wrote is known once it has ended", () => {
    const code = `
import subprocess, fetch_aria2
child = subprocess.Popen(["head", "-c", "2000000", "/dev/zero"], stdout=subprocess.PIPE)
child.stdout.read()
print(fetch_aria2._wrote(child.pid), child.wait(), fetch_aria2._wrote(child.pid))`;
    const { stdout, stderr } = spawnSync("python3", ["-c", code], {
      env: { PATH: process.env.PATH, PYTHONPATH: scripts, PYTHONDONTWRITEBYTECODE: "1" },
      encoding: "utf8",
    });
    expect(stderr).toBe("");
    // A kernel under load was seen to count 64 bytes more.
    expect(stdout.trim()).toMatch(/^20000\d\d 0 None$/);
  });
});

const hasAria = (process.env.PATH ?? "").split(":").some((folder) => existsSync(join(folder, "aria2c")));
describe.skipIf(!hasAria)("aria2c changes over in the middle of a file (needs it on PATH)", () => {
  /** Brings no byte from half of the file on. */
  const half = content.length / 2;
  const dies = (): FileAnswer => (request, response) => {
    const from = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? "")?.[1] ?? 0);
    if (from >= half) return response.destroy();
    response.writeHead(request.headers.range ? 206 : 200, {
      "content-type": "application/octet-stream",
      "content-length": content.length - from,
      ...(request.headers.range ? { "content-range": `bytes ${from}-${content.length - 1}/${content.length}` } : {}),
    });
    response.write(content.subarray(from, half), () => response.destroy());
  };

  it("to an honest source: the file is whole", async () => {
    const urls = [await fileOf(dies()), await fileOf(honest(content))];
    const { code, stderr } = await fetcher.run({ ...wanted, urls }, "aria2c");
    expect(code, stderr).toBe(0);
    whole();
  });

  it("to one that lies: nothing gets the name but the bytes of the honest third", async () => {
    const urls = [
      await fileOf(dies()),
      await fileOf(honest(safetensors(11_500_000, 5))),
      await fileOf(honest(content)),
    ];
    const { code, stderr } = await fetcher.run({ ...wanted, urls }, "aria2c");
    expect(code, stderr).toBe(0);
    expect(stderr).toMatch(/aria2c: its sha256 is/);
    whole();
  });

  it("to one that lies, and there is no other: nothing gets the name", async () => {
    const urls = [await fileOf(dies()), await fileOf(honest(safetensors(11_500_000, 5)))];
    const { code, stderr } = await fetcher.run({ ...wanted, urls }, "aria2c");
    expect(code, stderr).toBe(1);
    expect(stderr).toContain("a.safetensors: could not be had. Tried:");
    expect(fetcher.store()).toEqual([]);
  });
});
