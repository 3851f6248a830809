import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { Clone, nowhere } from "../clone.ts";
import { noPty, Screen, type Size } from "./screen.ts";

const show = [process.execPath, join(import.meta.dirname, "show.ts")];
const spinner = /[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏]/;

let screen: Screen | undefined;
afterEach(() => screen?.stop());
const open = (...args: ConstructorParameters<typeof Screen>): Screen => {
  screen = new Screen(...args);
  return screen;
};

describe.skipIf(noPty)(`on a real terminal${noPty ? ` (${noPty})` : ""}`, () => {
  test.each<Size>([
    { columns: 40, rows: 24 },
    { columns: 40, rows: 6 },
    { columns: 20, rows: 3 },
  ])("200 resources in $columns columns and $rows rows: one line each, nothing left behind", async (size) => {
    const shown = open(show, size);
    expect(await shown.exitCode).toBe(0);
    const lines = await shown.lines();
    const ended = lines.filter(({ text }) => /^[✓✗] \d+-/.test(text));
    expect(ended).toHaveLength(200);
    expect(new Set(ended.map(({ text }) => Number.parseInt(text.slice(2), 10))).size).toBe(200);
    // What is redrawn is gone; only the warning, which must be whole, may take more than one line.
    expect(lines.filter(({ text }) => spinner.test(text) || text.includes("more"))).toEqual([]);
    const others = lines.filter(({ text }) => !/^[✓✗] \d+-/.test(text)).map(({ text }) => text);
    const warning =
      "warning: 100-resource-of-some-length: a warning that is a good deal longer than forty columns are wide";
    expect(others.join("")).toBe(`${warning}a notethe end`);
    expect(ended.filter(({ wrapped }) => wrapped)).toEqual([]);
    expect(shown.raw.trimEnd().endsWith("the end")).toBe(true);
    expect(shown.raw.lastIndexOf("\x1b[?25h")).toBeGreaterThan(shown.raw.lastIndexOf("\x1b[?25l"));
  });

  // On any terminal, a frame that was half written when the size changed is drawn wrong: seldom, and never three times.
  test("a terminal that is made narrower and wider meanwhile", { retry: 2 }, async () => {
    const stop = join(mkdtempSync(join(tmpdir(), "atelier-show-")), "stop");
    writeFileSync(stop, "");
    const shown = open([...show, stop], { columns: 60, rows: 30 });
    await shown.until((lines) => lines.some((line) => spinner.test(line)));
    shown.resize({ columns: 40, rows: 30 });
    await shown.until((lines) => lines.filter((line) => line.startsWith("✓")).length > 60);
    shown.resize({ columns: 80, rows: 24 });
    rmSync(dirname(stop), { recursive: true });
    expect(await shown.exitCode).toBe(0);
    const lines = (await shown.lines()).map(({ text }) => text);
    expect(lines.at(-1)).toBe("the end");
    expect(lines.filter((line) => spinner.test(line))).toEqual([]);
    const ended = new Set(
      lines.filter((line) => /^[✓✗] \d+-/.test(line)).map((line) => Number.parseInt(line.slice(2), 10)),
    );
    expect(ended.size).toBe(200);
  });

  test.each([
    ["a dumb terminal", { TERM: "dumb" }],
    ["CI on a terminal, without colours", { CI: "1", NO_COLOR: "1" }],
  ])("%s gets plain lines", async (_name, env) => {
    const shown = open(show, { columns: 40, rows: 24 }, { env });
    expect(await shown.exitCode).toBe(0);
    expect(shown.raw).not.toContain("\x1b");
    expect(shown.raw.match(/^\+ \d+-.* created \(/gm)).toHaveLength(199);
    expect(shown.raw).toContain("x 130-é̂ñ failed");
  });

  test("what is no terminal gets them too", () => {
    const env: NodeJS.ProcessEnv = {
      ...process.env,
      TERM: "xterm-256color",
      FORCE_COLOR: undefined,
      NO_COLOR: undefined,
    };
    const { stdout, status } = spawnSync(show[0] as string, show.slice(1), { env, encoding: "utf8" });
    expect(status).toBe(0);
    expect(stdout).not.toContain("\x1b");
    expect(stdout.match(/^\+ \d+-.* created \(/gm)).toHaveLength(199);
  });

  test("an update of 200 resources by the engine itself", async () => {
    const clone = new Clone();
    try {
      clone.settings("many", { host: nowhere });
      clone.program(`
import * as command from "@pulumi/command";
for (let n = 0; n < 200; n++) new command.local.Command("a-resource-of-some-length-" + n, { create: "echo 正在下载 " + n + "; sleep 0.0" + (n % 10) });
`);
      const args = ["up", "--stack", "many", "--yes"];
      const node = [process.execPath, join(clone.dir, "scripts", "atelier.mjs"), ...args];
      const shown = open(
        node,
        { columns: 40, rows: 24 },
        { cwd: clone.dir, env: { ATELIER_PACKAGES: clone.dir, ATELIER_HOME: clone.home } },
      );
      // The program has no WebUI: the update is done, and its proof says what it lacks.
      expect(await shown.exitCode).toBe(1);
      const lines = await shown.lines();
      const ended = lines.filter(({ text }) => text.startsWith("✓"));
      expect(ended).toHaveLength(200);
      expect(ended.filter(({ wrapped }) => wrapped)).toEqual([]);
      const planned = lines.filter(({ text }) => /^ {2}\+ a-res/.test(text));
      expect(planned).toHaveLength(200);
      expect(planned.filter(({ wrapped }) => wrapped)).toEqual([]);
      expect(lines.map(({ text }) => text)).toContain("Plan: 200 to create.");
      expect(lines.filter(({ text }) => spinner.test(text))).toEqual([]);
    } finally {
      clone.remove();
    }
  });
});
