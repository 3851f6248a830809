import { type ChildProcess, spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { readFailed } from "../../healthchecks/failed.ts";
import { parseProof } from "../../healthchecks/result.ts";
import { until } from "../helpers/until.ts";
import { password } from "./fake-webui.ts";
import { fake, folder, inputFor, patient } from "./prove.ts";

const main = fileURLToPath(new URL("../../healthchecks/main.ts", import.meta.url));

function start(args: string[], stdin: string, env: Record<string, string> = {}) {
  const child = spawn(process.execPath, [main, ...args], { stdio: "pipe", env: { PATH: process.env.PATH, ...env } });
  onTestFinished(() => void child.kill("SIGKILL"));
  child.stdin.end(stdin);
  return child;
}

async function end(child: ChildProcess) {
  const read = async (stream: AsyncIterable<Buffer>) => {
    let text = "";
    for await (const chunk of stream) text += chunk;
    return text;
  };
  const code = new Promise<number | null>((resolve) => child.once("close", resolve));
  const [stdout, stderr] = await Promise.all([read(child.stdout!), read(child.stderr!)]);
  return { code: await code, stdout, stderr };
}

const run = (args: string[], stdin: string) => end(start(args, stdin));

test("smoke prints the proof, writes the pictures and exits 0", async () => {
  const webui = await fake();
  const input = inputFor(webui.url);
  const { code, stdout, stderr } = await run(["smoke"], JSON.stringify(input));
  expect(stderr).toContain("ok   inpaint");
  expect(code).toBe(0);
  const proof = parseProof(stdout);
  expect(proof.ok).toBe(true);
  expect(readdirSync(String(input.reportDir)).sort()).toEqual(proof.images.map(({ path }) => path).sort());
  expect(stdout + stderr).not.toContain(password);
});

test("live writes nothing and is quick", async () => {
  const webui = await fake();
  const input = inputFor(webui.url);
  const { code, stdout } = await run(["live"], JSON.stringify(input));
  const proof = parseProof(stdout);
  expect(proof.checks.map(({ name, ok }) => [name, ok])).toEqual([
    ["live-ready", true],
    ["live-auth", true],
    ["live-picture", true],
  ]);
  expect(code).toBe(0);
  expect(readdirSync(String(input.reportDir))).toEqual([]);
  expect(webui.seen.filter(({ name }) => name === "POST /sdapi/v1/txt2img")).toHaveLength(1);
});

test("a failed check exits 1; live prints the result all the same, of the others it is kept for the report", async () => {
  const webui = await fake();
  webui.open.add("GET /config");
  const input = inputFor(webui.url);
  const reportDir = String(input.reportDir);
  for (const mode of ["live", "smoke"]) {
    expect(readFailed(reportDir, "smoke")).toBeUndefined();
    const { code, stdout, stderr } = await run([mode], JSON.stringify(input));
    expect(code).toBe(1);
    // An update that fails with it tells all that was printed; the report of it has the rest.
    const kept = readFailed(reportDir, "smoke");
    if (mode === "smoke") expect(stdout).toBe("");
    expect((mode === "live" ? parseProof(stdout) : kept)?.ok).toBe(false);
    expect(stderr).toMatch(/FAIL (auth-ui|auth) .*\/config answer/);
    expect(stderr).toMatch(/The proof failed, 1 of \d+ checks:\n {2}(live-)?auth.*\/config answer.*\n$/);
  }
  webui.open.clear();
  expect((await run(["smoke"], JSON.stringify(input))).code).toBe(0);
  expect(readFailed(reportDir, "smoke")).toBeUndefined();
});

test("every mistake of the input at once, without its values", async () => {
  const bad = { url: "ftp://x", user: "a:b", password: "se:cret-value", model: "", steps: 0, width: 65, typo: 1 };
  const { code, stderr, stdout } = await run(["smoke"], JSON.stringify(bad));
  expect(code).toBe(2);
  expect(stdout).toBe("");
  const keys = ["url", "user", "password", "model", "steps", "width", "reportDir", "(input)"];
  for (const key of keys) expect(stderr).toContain(`  ${key}: `);
  expect(stderr).toMatch(/input has 8 mistake\(s\)/);
  expect(stderr).toContain("typo");
  expect(stderr).not.toContain("se:cret-value");
});

test.each([
  [["smoke"], `{"password": "se-cret`, /not JSON/],
  [["smoke"], JSON.stringify({ url: "http://u:se-cret@host" }), /a URL without a login/],
  [[], "{}", /usage: /],
  [["smoke", "se-cret"], "{}", /usage: /],
])("wrong usage or input (%#)", async (args, stdin, message) => {
  const { code, stderr } = await run(args, stdin);
  expect(code).toBe(2);
  expect(stderr).toMatch(message);
  expect(stderr).not.toContain("se-cret");
  expect(stderr).not.toMatch(/\n\s+at /);
});

test("an interrupt ends it at once, with what was found", async () => {
  const webui = await fake({ "POST /sdapi/v1/img2img": () => "hang" });
  const child = start(["smoke"], JSON.stringify(inputFor(webui.url, { deadlines: patient })));
  let said = "";
  child.stderr.on("data", (text) => {
    said += text;
  });
  const done = end(child);
  // The next picture hangs.
  await until("txt2img is proved", () => /ok +txt2img/.test(said));
  child.kill("SIGINT");
  const { code, stdout } = await done;
  expect(code).toBe(130);
  expect(parseProof(stdout).checks.find(({ name }) => name === "txt2img")?.ok).toBe(true);
});

test("the whole proof has a deadline", async () => {
  const webui = await fake({ "POST /sdapi/v1/img2img": () => "hang" });
  const input = inputFor(webui.url, { deadlines: { ...patient, total: 20 } });
  const { code } = await run(["smoke"], JSON.stringify(input));
  expect(code).toBe(1);
  const details = readFailed(String(input.reportDir), "smoke")?.checks.map(({ detail }) => detail);
  expect(details).toContain("The proof was not done after 20 s. Give it a longer deadlines.total if the host is slow.");
  expect(details).toContainEqual(expect.stringMatching(/^Not run: the proof ended early \(see [\w-]+\)\.$/));
});

test("the picture's folder may be missing", async () => {
  const webui = await fake();
  const reportDir = `${folder()}/deep/report`;
  const { code } = await run(["smoke"], JSON.stringify(inputFor(webui.url, { reportDir })));
  expect(code).toBe(0);
  expect(readdirSync(reportDir)).toHaveLength(4);
});

test("a relative folder lies in ATELIER_HOME", async () => {
  const webui = await fake();
  const home = folder();
  const input = inputFor(webui.url, { reportDir: "gpu/report", proves: "a token" });
  const { code } = await end(start(["smoke"], JSON.stringify(input), { ATELIER_HOME: home }));
  expect(code).toBe(0);
  expect(readdirSync(`${home}/gpu/report`)).toHaveLength(4);
});
