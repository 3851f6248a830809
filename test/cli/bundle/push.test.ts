import { execFile, execFileSync, spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { beforeEach, describe, expect, it } from "vitest";
import type { Manifest } from "../../../scripts/cli/bundle/manifest.ts";
import { overDrops } from "../../../scripts/cli/bundle/overDrops.ts";
import { pushBundle } from "../../../scripts/cli/bundle/push.ts";
import type { Session } from "../../../scripts/cli/ssh.ts";

/** A host whose words are Chinese; of the C locale with letters, as every machine has it. */
const chinese = { ...process.env, LC_ALL: "C.UTF-8", LANGUAGE: "zh_CN" };
const translated = execFileSync("sh", ["-c", "echo 0000 >x; sha256sum -c x 2>&1 || :; rm x"], {
  cwd: mkdtempSync(join(tmpdir(), "atelier-words-")),
  env: chinese,
  encoding: "utf8",
});
const noChinese = /[^\0-\x7f]/.test(translated) ? undefined : "coreutils speaks no Chinese here";

let top: string;
let manifest: Manifest;
const model = randomBytes(3_000_000);
const sha256 = createHash("sha256").update(model).digest("hex");

beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), "atelier-push-"));
  const path = "models/m/m.ckpt";
  mkdirSync(join(top, "bundle/models/m"), { recursive: true });
  writeFileSync(join(top, "bundle", path), model);
  const file = { path, bytes: model.length, sha256 };
  manifest = {
    form: 1,
    for: "t",
    git: [],
    wheels: [],
    models: [{ name: "m", file: "m.ckpt", ...file }],
    tokenizer: { repository: "o/r", revision: "x", files: [] },
    images: [],
    plugins: [],
    pluginWheels: [],
    files: [file],
  };
  return () => rmSync(top, { recursive: true, force: true });
});

/** The host's shell, without the line between. */
function here(env: NodeJS.ProcessEnv): Session {
  const unused = () => Promise.reject(new Error("not used"));
  return {
    where: "here",
    workspace: join(top, "ws"),
    cache: join(top, "cache"),
    run: (command, stdin = "") =>
      new Promise((resolve) => {
        const child = execFile("sh", ["-c", command], { env }, (error, stdout, stderr) =>
          resolve({ code: Number(error?.code ?? 0), stdout, stderr }),
        );
        // A command that ends without reading it closes the pipe.
        child.stdin?.on("error", () => {});
        child.stdin?.end(stdin);
      }),
    send: async (command: string, source: Readable) => {
      const child = spawn("sh", ["-c", command], { env, stdio: ["pipe", "ignore", "ignore"] });
      const ended = new Promise((done) => child.once("close", done));
      await pipeline(source, child.stdin);
      await ended;
    },
    follow: unused,
    forward: unused,
    reach: unused,
    onClose: () => {},
    close: () => {},
  };
}

describe("bundle push", () => {
  it.skipIf(noChinese)("throws away what is broken, in whichever language the host says so", async () => {
    mkdirSync(join(top, "cache/bundle/models/m"), { recursive: true });
    writeFileSync(join(top, "cache/bundle/models/m/m.ckpt"), Buffer.alloc(model.length));
    const push = () => pushBundle(join(top, "bundle"), manifest, here(chinese), { say: () => {} });
    await expect(push()).rejects.toThrow("here: not what was sent: models/m/m.ckpt. What is broken was thrown away");
    await push();
    expect(readFileSync(join(top, "cache/sha256", sha256)).equals(model)).toBe(true);
  });

  it("goes on over another line where one drops, from the byte that came", async () => {
    const told: string[] = [];
    const say = (line: string) => told.push(line);
    let lines = 0;
    const open = async (): Promise<Session> => {
      const session = here(process.env);
      let close = () => {};
      lines++;
      const send = async (command: string, source: Readable) => {
        let bytes = 0;
        const cut = async function* () {
          for await (const chunk of source as AsyncIterable<Buffer>) {
            bytes += chunk.length;
            yield chunk;
            if (bytes > 1_200_000) return;
          }
        };
        await session.send(command, Readable.from(cut()));
        if (bytes <= 1_200_000) return;
        close();
        throw new Error("gone");
      };
      return { ...session, send, onClose: (listener) => (close = listener) };
    };
    const work = (session: Session, left: (bytes: number) => void) =>
      pushBundle(join(top, "bundle"), manifest, session, { say, left });
    const { signal } = new AbortController();
    await overDrops({ open, say, signal }, work);
    expect(lines).toBe(3);
    const sending = told.filter((line) => line.includes("sending")).map((line) => line.replace(/.*sending /, ""));
    expect(sending).toEqual(["3.0 MB", "1.7 MB", "379 kB"]);
    expect(readFileSync(join(top, "cache/sha256", sha256)).equals(model)).toBe(true);
    // What a host says over a line that holds is no drop.
    const refuses = () => Promise.reject(new Error("no room"));
    await expect(overDrops({ open, say, signal }, refuses)).rejects.toThrow("no room");
    expect(lines).toBe(4);
  });

  it("twice at once leaves nothing that is not what it says", async () => {
    const push = () => pushBundle(join(top, "bundle"), manifest, here(process.env), { say: () => {} });
    await Promise.allSettled([push(), push(), push()]);
    await push();
    expect(readFileSync(join(top, "cache/sha256", sha256)).equals(model)).toBe(true);
  });
});
