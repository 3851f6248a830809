import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { collect, scripts, Workspace } from "./lib/workspace.ts";

const all = readdirSync(scripts).filter((file) => file.endsWith(".sh"));
const steps = all.filter((file) => /^\d\d-/.test(file));
const shells = [["dash"], ["bash", "--posix"], ["bash"], ["busybox", "sh"]];
const has = (command: string) => spawnSync("sh", ["-c", `command -v ${command}`]).status === 0;

/** A folder with the locale zh_CN.GBK, and why there is none. */
const gbk = mkdtempSync(join(tmpdir(), "atelier-locales-"));
spawnSync("localedef", ["-f", "GBK", "-i", "zh_CN", join(gbk, "zh_CN.GBK")]);
const noGbk = existsSync(join(gbk, "zh_CN.GBK")) ? undefined : "localedef makes no zh_CN.GBK here";
afterAll(() => rmSync(gbk, { recursive: true }));

describe("the scripts", () => {
  for (const shell of shells) {
    it.skipIf(!has(shell[0] as string))(`are understood by ${shell.join(" ")} (needs it on PATH)`, () => {
      for (const file of all) {
        const { status, stderr } = spawnSync(shell[0] as string, [...shell.slice(1), "-n", join(scripts, file)]);
        expect(`${file} ${status} ${stderr}`).toBe(`${file} 0 `);
      }
    });
  }

  it.skipIf(!has("shellcheck"))("have nothing for shellcheck to say (needs it on PATH)", () => {
    // One by one: of several it follows who sources whom, and reads lib.sh anew for each.
    for (const file of all) {
      const { status, stdout } = spawnSync("shellcheck", [file], { cwd: scripts, encoding: "utf8" });
      expect([file, stdout, status]).toEqual([file, "", 0]);
    }
  });

  it("have Unix line ends and no local tricks of one shell", () => {
    for (const file of readdirSync(scripts)) {
      expect(readFileSync(join(scripts, file), "utf8").includes("\r"), file).toBe(false);
    }
    for (const file of all) {
      expect(readFileSync(join(scripts, file), "utf8"), file).not.toMatch(/(^|\s)\[\[ |^\s*local |^\s*function |<<</m);
    }
  });

  it("name in `# uses:` all that they run of ours", () => {
    for (const file of steps) {
      const uses = /^# uses: (.*)$/m.exec(readFileSync(join(scripts, file), "utf8"))?.[1]?.split(" ") ?? [];
      expect(uses, file).toContain("lib.sh");
      for (const used of uses) expect(readdirSync(scripts), `${file} uses ${used}`).toContain(used);
      const named = [...readFileSync(join(scripts, file), "utf8").matchAll(/\$BIN\/([\w.-]+\.(?:py|sh))/g)].map(
        (match) => match[1] as string,
      );
      for (const name of named) if (name !== "webui_start.py") expect(uses, file).toContain(name);
    }
  });

  it("refuse to run without inputs, with another form of them, and on a dangerous folder", async () => {
    const workspace = new Workspace();
    try {
      for (const file of steps) {
        const empty = await workspace.run(file, "apply", "");
        expect([file, empty.code, empty.stderr]).toEqual([file, 2, expect.stringContaining("no inputs")]);
      }
      const other = await workspace.run("70-config.sh", "apply", { atelier: 2 });
      expect([other.code, other.stderr]).toEqual([2, expect.stringContaining("form 2")]);
      for (const folder of ["/", "/root", "relative/path", "/a/../b", "/tmp/it's"]) {
        const bad = await workspace.run("00-workspace.sh", "remove", { workspace: folder });
        expect([folder, bad.code]).toEqual([folder, 2]);
      }
      const verb = await workspace.run("70-config.sh", "destroy", {});
      expect([verb.code, verb.stderr]).toEqual([2, expect.stringContaining("apply|check|remove")]);
    } finally {
      workspace.destroy();
    }
  });
});

describe("inputs", () => {
  for (const shell of shells) {
    it.skipIf(!has(shell[0] as string))(
      `come through ${shell.join(" ")} as they were written (needs it on PATH)`,
      async () => {
        const workspace = new Workspace();
        try {
          workspace.script(
            "71-echo.sh",
            '#!/bin/sh\n. "$(dirname "$0")/lib.sh"\nstep_apply() { input text >"$RUN/text"; fact text "$(input text)"; }\nstep_check() { :; }\nrun_step "$@"\n',
          );
          const text = '  a \\ b \\n c "quoted" $HOME `id` %s\nline 2\tü 漢字\n\nlast ';
          const answer = await workspace.run("71-echo.sh", "apply", { text }, { shell });
          expect(answer.code, answer.stderr).toBe(0);
          expect(workspace.file("run/echo/text")).toBe(text);
          expect(answer.facts).toMatchObject({ step: "echo", text: text.replace("\t", " ") });
        } finally {
          workspace.destroy();
        }
      },
    );
  }

  /** Locales in which some bytes are no letters: those of Latin-1 in UTF-8, those of UTF-8 in GBK. */
  const locales: [string, Record<string, string>, Buffer, string | undefined][] = [
    ["UTF-8", { LC_ALL: "C.UTF-8" }, Buffer.from("\xff; touch @; \xff", "latin1"), undefined],
    ["GBK", { LC_ALL: "zh_CN.GBK", LOCPATH: gbk }, Buffer.from("模; touch @; 中"), noGbk],
  ];
  for (const [name, env, text, why] of locales) {
    for (const shell of shells) {
      it.skipIf(why || !has(shell[0] as string))(
        `are no commands in a locale of ${name}, under ${shell.join(" ")} (needs it on PATH${name === "GBK" ? ", and localedef" : ""})`,
        async () => {
          const workspace = new Workspace();
          try {
            workspace.script(
              "71-note.sh",
              '#!/bin/sh\n. "$(dirname "$0")/lib.sh"\nstep_apply() { input note >"$RUN/note"; }\nrun_job "$@"\n',
            );
            const pwned = join(workspace.top, "pwned");
            const note = Buffer.from(text.toString("latin1").replace("@", pwned), "latin1");
            const child = spawn(shell[0] as string, [...shell.slice(1), join(workspace.bin, "71-note.sh"), "apply"], {
              env: { PATH: process.env.PATH, HOME: workspace.top, ...env },
            });
            child.stdin.end(
              Buffer.concat([Buffer.from(workspace.stdin({})), Buffer.from("note="), note, Buffer.from("\n")]),
            );
            const { code, stderr } = await collect(child);
            expect(code, stderr).toBe(0);
            expect(existsSync(pwned)).toBe(false);
            expect(readFileSync(join(workspace.path, "run/note/note")).equals(note)).toBe(true);
          } finally {
            workspace.destroy();
          }
        },
      );
    }
  }

  it("that are secret show nowhere: not on the streams, not in a file, not in a process list", async () => {
    const workspace = new Workspace();
    try {
      const secret = "s3cr3t-Pass_word";
      workspace.script(
        "71-leak.sh",
        '#!/bin/sh\n. "$(dirname "$0")/lib.sh"\nstep_apply() { say "got $(input x_secret)!"; fact x "$(input x_secret)"; cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr "\\0" "\\n" >"$RUN/seen"; }\nrun_job "$@"\n',
      );
      const answer = await workspace.run("71-leak.sh", "apply", { x_secret: secret });
      expect(answer.code, answer.stderr).toBe(0);
      expect(answer.stderr).toContain("leak: got [secret]!");
      expect(answer.facts.x).toBe("[secret]");
      expect(workspace.file("run/leak/seen").length).toBeGreaterThan(100);
      const { stdout } = spawnSync("grep", ["-rl", secret, workspace.top], { encoding: "utf8" });
      expect(stdout).toBe("");
    } finally {
      workspace.destroy();
    }
  });
});
