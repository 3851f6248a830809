import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { until } from "../helpers/until.ts";
import { Fetcher } from "./lib/fetch.ts";
import { type FileAnswer, honest, safetensors, serving } from "./lib/server.ts";
import { scripts } from "./lib/workspace.ts";

const content = safetensors(11_500_000);
const wanted = { bytes: content.length, sha256: createHash("sha256").update(content).digest("hex") };

let fetcher: Fetcher;
let box: string;
const serve = serving();
const urlsOf = async (answer: FileAnswer) => [`${(await serve(answer)).base}a`];
beforeEach(() => {
  fetcher = new Fetcher();
  box = join(fetcher.cache, "box");
  mkdirSync(box);
});
afterEach(() => {
  fetcher.remove();
});
const partial = (kind: string) => join(fetcher.cache, "fetch", `${wanted.sha256}.${kind}`);
const ended = (child: ReturnType<Fetcher["start"]>) => new Promise((resolve) => child.once("close", resolve));

describe("a file that another process fetches", () => {
  it("and that hangs is left, with the pid to look at; once that is gone, the file comes", async () => {
    const begun = await urlsOf((_, response) => {
      response.writeHead(200, { "content-length": content.length });
      response.write(content.subarray(0, 2_000_000));
    });
    const first = fetcher.start({ ...wanted, urls: begun }, "own", { ATELIER_FETCH_STALL_S: "60" });
    await until("it has begun", () => existsSync(partial("part")) && statSync(partial("part")).blocks > 0);
    first.kill("SIGSTOP");
    try {
      const second = await fetcher.run({ ...wanted, urls: begun }, "own", { ATELIER_FETCH_HUNG_S: "1" });
      expect(second.code).toBe(1);
      expect(second.stderr).toContain(`models: a.safetensors: process ${first.pid} is fetching it; waiting for that`);
      expect(second.stderr).toMatch(
        new RegExp(
          `error: models: a\\.safetensors: process ${first.pid} holds it \\(\\S+\\.lock\\) and has brought nothing for 1 s: .*kill -9 ${first.pid}`,
        ),
      );
      expect(fetcher.store()).toEqual([]);
    } finally {
      first.kill("SIGKILL");
      await ended(first);
    }
    const { code, stderr } = await fetcher.run({ ...wanted, urls: await urlsOf(honest(content)) }, "own");
    expect(code, stderr).toBe(0);
    expect(fetcher.store()).toEqual([wanted.sha256]);
  });

  it("by an aria2c that has outlived its own parent: its pid is told", async () => {
    const bin = join(box, "bin");
    mkdirSync(bin);
    copyFileSync(join(import.meta.dirname, "lib", "aria2.py"), join(bin, "aria2c"));
    writeFileSync(join(box, "good"), content);
    const env = { FAKE: "hangs", FAKE_GOOD: join(box, "good"), PATH: `${bin}:${process.env.PATH}` };
    const urls = await urlsOf(honest(content));
    const first = fetcher.start({ ...wanted, urls }, "aria2c", env);
    await until("it hangs", () => existsSync(join(box, "good.pid")));
    first.kill("SIGKILL");
    await ended(first);
    const pid = readFileSync(join(box, "good.pid"), "utf8");
    try {
      const second = await fetcher.run({ ...wanted, urls }, "own", { ATELIER_FETCH_HUNG_S: "1" });
      expect(second.code).toBe(1);
      expect(second.stderr).toContain(`process ${pid} holds it`);
    } finally {
      process.kill(Number(pid), "SIGKILL");
    }
  });

  it("slowly, is waited for as long as anything of it is written", () => {
    const code = `
import fcntl, sys, fetch_files
store = fetch_files.Store(sys.argv[1])
file = {"name": "a", "sha256": "f" * 64, "bytes": 9, "urls": []}
holder = open(store.partial(file, "lock"), "a+")
fcntl.flock(holder, fcntl.LOCK_EX)
class Clock:
    now, turns = 0.0, 0
    def monotonic(self):
        return self.now
    def sleep(self, seconds):
        # A byte in nearly as long as is waited for, nine times.
        self.now += fetch_files.HUNG_S * 0.9
        self.turns += 1
        if self.turns < 10:
            with open(store.partial(file), "ab") as part:
                part.write(b"x")
        else:
            holder.close()
fetch_files.time = clock = Clock()
with store.alone(file):
    print(clock.turns)
`;
    const { stdout, stderr } = spawnSync("python3", ["-c", code, fetcher.cache], {
      cwd: scripts,
      encoding: "utf8",
      timeout: 240_000,
      env: { PATH: process.env.PATH, PYTHONDONTWRITEBYTECODE: "1" },
    });
    expect(stdout, stderr).toBe("10\n");
  });
});
