import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { makeMarks } from "./marked.ts";
import { Net } from "./net.ts";

const none = !existsSync(`/proc/self/task/${process.pid}/children`)
  ? "no /proc here"
  : spawnSync("pulumi", ["version"], { timeout: 20_000 }).status === 0
    ? undefined
    : "no `pulumi` on PATH";

/** The search can fail: the same net, the same program, under the official CLI. */
describe.skipIf(none)(`the official CLI, in the same net${none ? ` (${none})` : ""}`, () => {
  let dir: string;
  const marks = makeMarks();
  const env = (): NodeJS.ProcessEnv => ({
    ...process.env,
    PULUMI_BACKEND_URL: `file://${join(dir, "state")}`,
    PULUMI_CONFIG_PASSPHRASE: "correct-horse",
    PULUMI_SKIP_UPDATE_CHECK: "true",
  });
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), "atelier-official-net-"));
    mkdirSync(join(dir, "state"));
    symlinkSync(join(import.meta.dirname, "../../../node_modules"), join(dir, "node_modules"));
    writeFileSync(
      join(dir, "Pulumi.yaml"),
      "name: tiny\nruntime:\n  name: nodejs\n  options:\n    typescript: false\nmain: index.ts\n",
    );
    writeFileSync(join(dir, "package.json"), JSON.stringify({ type: "module" }));
    writeFileSync(join(dir, "index.ts"), readFileSync(join(import.meta.dirname, "program.ts")));
    const halves = Object.fromEntries(
      Object.entries(marks).map(([name, text]) => [name, [text.slice(0, 8), text.slice(8)]]),
    );
    const pulumi = (...args: string[]) => {
      const { status, stderr } = spawnSync("pulumi", [...args, "--non-interactive"], {
        cwd: dir,
        env: env(),
        encoding: "utf8",
      });
      if (status !== 0) throw new Error(`pulumi ${args[0]} ${args[1]}: ${stderr}`);
    };
    pulumi("stack", "init", "dev");
    const plain = { halves: JSON.stringify(halves), mode: "fine", turn: "1" };
    const secret = { config: marks.config, object: JSON.stringify({ password: marks["config-object"] }) };
    const set = (values: Record<string, string>, kind: string) =>
      Object.entries(values).flatMap(([key, value]) => [kind, `marked:${key}=${value}`]);
    pulumi("config", "set-all", "--stack", "dev", ...set(plain, "--plaintext"), ...set(secret, "--secret"));
  });
  afterAll(() => rmSync(dir, { recursive: true, force: true }));

  test("is caught in its JSON, its debug log, its state and its children's environment", async () => {
    const net = new Net(marks);
    const child = spawn(
      "pulumi",
      ["up", "--stack", "dev", "--yes", "--skip-preview", "--json", "-v=9", "--logtostderr"],
      {
        cwd: dir,
        env: { ...env(), PULUMI_DEBUG_COMMANDS: "true" },
        stdio: ["ignore", "pipe", "pipe"],
      },
    );
    net.watchProcesses(child.pid ?? -1);
    child.stdout.on("data", (data: Buffer) => net.text("--json", data));
    child.stderr.on("data", (data: Buffer) => net.text("-v=9", data));
    expect(await new Promise((done) => child.once("close", done))).toBe(0);
    net.stop();
    net.folder(join(dir, "state"));
    const caught = (mark: string) => net.catches.filter((one) => one.mark === mark).map(({ where }) => where);
    expect(caught("local-create")).toContain("--json");
    expect(caught("local-stdin")).toEqual(expect.arrayContaining(["--json", "-v=9"]));
    expect(caught("local-create").join()).toContain(join(dir, "state", ".pulumi", "stacks"));
    expect(caught("local-create").join()).toMatch(/arguments of .*sh/);
    expect(caught("config").join()).toMatch(/environment of .*node/);
  });
});
