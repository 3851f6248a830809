import { spawn } from "node:child_process";
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";

const ready = resolve(import.meta.dirname, "..", "..", "scripts", "host", "ready.py");
let folder: string;
let logs = 0;
interface Answer {
  code: number | null;
  stdout: string;
  stderr: string;
}
let server: Server;
let hangs: boolean;

/** A WebUI that draws at once. */
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "atelier-ready-"));
  hangs = false;
  server = createServer((_request, response) => {
    if (hangs) return;
    response.end(
      JSON.stringify({ images: ["…"], info: JSON.stringify({ sd_model_name: "model", sd_model_hash: "0123456789" }) }),
    );
  }).listen(0, "127.0.0.1");
  await new Promise((done) => server.once("listening", done));
});
afterEach(() => {
  server.close();
  rmSync(folder, { recursive: true, force: true });
});

const mark = "=== atelier start 2026-11-24T00:00:00Z";

/** Waits for a WebUI whose log says `lines` of its last start. */
const wait = (lines: string[]) => ask("wait", [mark, ...lines]);

/** @param older the log's file before, where it was rotated */
function ask(verb: "wait" | "check", lines: string[], older?: string[], more = {}): Promise<Answer> {
  const log = join(folder, `webui-${++logs}.log`);
  writeFileSync(log, [...lines, ""].join("\n"));
  if (older) writeFileSync(`${log}.1`, [...older, ""].join("\n"));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const child = spawn("python3", [ready, verb], { stdio: "pipe", timeout: 240_000 });
  const webui = { url, log, timeout: "200", model: "model.safetensors", starter: "none", user: "u", password: "p" };
  const asked = { ...webui, ...more };
  child.stdin.end(
    Object.entries(asked)
      .map(([key, value]) => `${key}\t${value}\n`)
      .join(""),
  );
  const text = { stdout: "", stderr: "" };
  child.stdout.on("data", (chunk) => (text.stdout += chunk));
  child.stderr.on("data", (chunk) => (text.stderr += chunk));
  return new Promise((done) => child.on("close", (code) => done({ code, ...text })));
}

const noDriver = "Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU";

test("a picture that fails for want of a driver is final", async () => {
  const { code, stderr } = await wait([`RuntimeError: ${noDriver}`, "Startup time: 9.0s"]);
  expect(code).toBe(1);
  expect(stderr).toContain("error: ready: torch finds no NVIDIA driver (host.gpu none for a CPU)");
});

test("on a CPU, the real WebUI's word that its memory monitor is off is no failure", async () => {
  const { code, stdout, stderr } = await wait([
    `Warning: caught exception '${noDriver}', memory monitor disabled`,
    "Startup time: 9.0s",
  ]);
  expect(stderr).toBe("");
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ model: "model", hash: "0123456789" });
});

test("a checkpoint that the WebUI refuses for its form is told so; an embedding that it refuses is none", async () => {
  const refused = (file: string, name: string) => [
    `*** Error verifying pickled file from /w/data/${file}`,
    "*** The file may be malicious, so the program is not going to read it.",
    `    Exception: bad file inside /w/data/${file}: own/${name}`,
  ];
  const lost = "Stable diffusion model failed to load";
  const corrupt = [
    "*** Error verifying pickled file from /w/data/models/Stable-diffusion/own.ckpt",
    "*** -----> !!!! The file is most likely corrupted !!!! <-----",
  ];
  const [newer, code, other, broken] = await Promise.all([
    wait([...refused("models/Stable-diffusion/own.ckpt", ".format_version"), lost]),
    wait([...refused("models/Stable-diffusion/own.ckpt", "evil.py"), lost]),
    wait([...refused("embeddings/own.pt", ".format_version"), lost]),
    wait([...corrupt, lost]),
  ]);
  expect([newer.code, code.code, other.code, broken.code]).toEqual([1, 1, 1, 1]);
  expect(newer.stderr).toContain("error: ready: the checkpoint was saved by torch 2.6 or newer, in a form");
  expect(code.stderr).toContain("error: ready: the WebUI reads no code from a checkpoint, and found some in this one");
  for (const { stderr } of [other, broken])
    expect(stderr).toContain("error: ready: the model could not be loaded; is the file whole");
});

test("a WebUI that has drawn so much since that its start is in no log any more has started", async () => {
  const drawn = ["100%|##########| 20/20 [00:01<00:00, 12.00it/s]"];
  const [check, waited, young] = await Promise.all([
    ask("check", drawn, drawn),
    ask("wait", drawn, drawn),
    ask("check", drawn, [mark, ...drawn]),
  ]);
  expect([check, waited].map(({ code, stderr }) => [code, stderr])).toEqual([
    [0, ""],
    [0, ""],
  ]);
  expect([young.code, young.stderr]).toEqual([1, "the WebUI has not finished its start\n"]);
});

test("a WebUI that has started and answers no more is ended, for its manager to start another", async () => {
  const starter = join(folder, "webui_start.py");
  writeFileSync(starter, "while :; do sleep 1; done\n");
  hangs = true;
  const log = join(folder, `webui-${logs + 1}.log`);
  const webui = spawn("sh", [starter], { stdio: "ignore" });
  webui.on("exit", () => {
    hangs = false;
    appendFileSync(log, `${mark}\nStartup time: 9.0s\n`);
  });
  try {
    const { code, stderr } = await ask("wait", [mark, "Startup time: 9.0s"], undefined, { starter, timeout: "12" });
    expect([code, stderr]).toEqual([
      0,
      expect.stringMatching(/^ready: the WebUI has started, and did not answer within 3 s.*starting it again/),
    ]);
  } finally {
    webui.kill("SIGKILL");
  }
});

test("somebody's picture that was too large for the GPU is past; in a start it is final", async () => {
  const tooLarge = "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 GiB";
  const [past, start] = await Promise.all([wait(["Startup time: 9.0s", tooLarge]), wait([tooLarge])]);
  expect([past.code, past.stderr]).toEqual([0, ""]);
  expect([start.code, start.stderr]).toEqual([1, expect.stringContaining("error: ready: the GPU's memory is full")]);
});
