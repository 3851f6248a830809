import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { CommandFailed } from "../../../engine/src/providers/command/index.ts";
import { Archive, Asset, Secret, Unknown } from "../../../engine/src/values.ts";
import { until } from "../../helpers/until.ts";
import { failure, type Harness, startHarness } from "./harness.ts";

const LOCAL = "command:local:Command";

describe("local.Command", () => {
  let dir: string;
  let harness: Harness;
  beforeAll(() => {
    dir = realpathSync(mkdtempSync(join(tmpdir(), "atelier-local-")));
    mkdirSync(join(dir, "sub/deep"), { recursive: true });
    for (const file of ["sub/a.txt", "sub/b.md", "sub/deep/c.txt", "sub/deep/secret.txt"])
      writeFileSync(join(dir, file), file);
  });
  afterAll(() => rmSync(dir, { recursive: true, force: true }));
  beforeEach(async () => {
    harness = await startHarness(dir);
  });
  afterEach(() => harness.provider.close());

  it("fails with the words of the official provider", async () => {
    const error = await failure(harness.create(LOCAL, { create: "echo out; echo err >&2; exit 3" }));
    expect(error).toBeInstanceOf(CommandFailed);
    expect(error.message).toBe('exit status 3: running "echo out; echo err >&2; exit 3":\nout\nerr\n');
  });

  it("names the signal that ended it", async () => {
    expect((await failure(harness.create(LOCAL, { create: "kill -9 $$" }))).message).toMatch(
      /^signal: killed: running/,
    );
  });

  it.skipIf(process.platform !== "linux")(
    "keeps a secret command out of every argument, and runs it as any other",
    async () => {
      // Processes of others may end between their listing and their reading. The shell looks at its own descriptors itself: for a
      // pipeline it has a third one open for a moment.
      const script = `# hunter2-of-command\nfor n in a b; do echo "$0 $n"; done\ncat\ncat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n' | grep -c 'hunter2-of-c[o]mmand' || :\nif [ -e /proc/$$/fd/3 ]; then echo open; else echo closed; fi; exit 5`;
      const error = await failure(harness.create(LOCAL, { create: new Secret(script), stdin: "from stdin\n" }));
      expect(error.message).toBe('exit status 5: running "[secret]":\n/bin/sh a\n/bin/sh b\nfrom stdin\n0\nclosed\n');
      expect(
        (await harness.create(LOCAL, { create: new Secret(`: ${"x".repeat(300_000)}; echo long`) })).outputs.stdout,
      ).toBe("long");
    },
  );

  it("keeps the state's passphrase to itself", async () => {
    process.env.PULUMI_CONFIG_PASSPHRASE = "of the state";
    try {
      const { outputs } = await harness.create(LOCAL, { create: "env | grep -c PULUMI_CONFIG_PASSPHRASE= || :" });
      expect(outputs.stdout).toBe("0");
    } finally {
      delete process.env.PULUMI_CONFIG_PASSPHRASE;
    }
  });

  it("says what is missing when it can't start", async () => {
    const noFolder = await failure(harness.create(LOCAL, { create: "true", dir: "nowhere" }));
    expect(noFolder.message).toContain(`chdir ${dir}/nowhere: no such file or directory: running "true"`);
    const noProgram = await failure(harness.create(LOCAL, { create: "true", interpreter: ["no-such-shell"] }));
    expect(noProgram.message).toContain('exec: "no-such-shell": executable file not found in $PATH');
  });

  it("keeps secret inputs out of the error", async () => {
    const inputs = {
      create: "cat; echo $TOKEN; false",
      stdin: new Secret("hunter2-in"),
      environment: { TOKEN: new Secret("hunter2-env") },
    };
    const error = await failure(harness.create(LOCAL, inputs));
    expect(error.message).toMatch(/^exit status 1: running "cat; echo \$TOKEN; false":/);
    expect(error.message).not.toContain("hunter2");
  });

  it("runs in the program's folder, or in dir below it, and gives inputs and streams", async () => {
    const { id, outputs } = await harness.create(LOCAL, { create: "pwd", delete: "true", triggers: [1] });
    expect(id).toMatch(/^step[0-9a-f]{8}$/);
    expect(outputs).toEqual({ create: "pwd", delete: "true", triggers: [1], stdout: dir, stderr: "" });
    expect((await harness.create(LOCAL, { create: "pwd", dir: "sub" })).outputs.stdout).toBe(join(dir, "sub"));
  });

  it("takes an interpreter, environment and stdin, and gives no stdin an end", async () => {
    const interpreter = [process.execPath, "-e"];
    const inputs = { create: "process.stdin.pipe(process.stdout); console.log(process.env.WHO)", interpreter };
    const said = await harness.create(LOCAL, { ...inputs, environment: { WHO: "ann" }, stdin: "in" });
    expect(said.outputs.stdout).toBe("ann\nin");
    expect((await harness.create(LOCAL, { create: "cat" })).outputs.stdout).toBe("");
  });

  it("tells update and delete what the last run said", async () => {
    const { outputs } = await harness.create(LOCAL, { create: "echo first; echo complaint >&2" });
    const log = join(dir, "deleted");
    const news = {
      create: "echo first; echo complaint >&2",
      update: 'echo "$PULUMI_COMMAND_STDOUT+$PULUMI_COMMAND_STDERR"',
      delete: `echo "$PULUMI_COMMAND_STDOUT" > ${log}`,
    };
    const updated = await harness.update(LOCAL, outputs, news);
    expect(updated.outputs.stdout).toBe("first+complaint");
    await harness.delete(LOCAL, updated.outputs);
    expect(readFileSync(log, "utf8")).toBe("first+complaint\n");
    const silent = await harness.update(LOCAL, outputs, { ...news, addPreviousOutputInEnv: false });
    expect(silent.outputs.stdout).toBe("+");
  });

  it("runs nothing in a preview", async () => {
    const { outputs } = await harness.create(LOCAL, { create: `touch ${join(dir, "previewed")}` }, { preview: true });
    expect(outputs.stdout).toBe(Unknown.value);
    expect(() => readFileSync(join(dir, "previewed"))).toThrow();
  });

  it("ends what it has started when it is stopped", async () => {
    const pids = join(dir, "pids");
    const create = `(trap '' TERM; echo; while true; do sleep 1; done) >> ${pids} & echo $! >> ${pids}; wait`;
    const over = new AbortController();
    const limits = vi.spyOn(AbortSignal, "timeout").mockReturnValue(over.signal);
    const running = failure(harness.create(LOCAL, { create }, { timeout: 0.5 }));
    // Its number, and the empty line of the child that takes no TERM by then.
    const said = () => (existsSync(pids) ? readFileSync(pids, "utf8") : "");
    await until("both have begun", () => said().split("\n").length === 3);
    expect(limits.mock.calls).toEqual([[500]]);
    limits.mockRestore();
    over.abort();
    expect((await running).message).toMatch(/^stopped/);
    await until("the child has ended", () => !isRunning(Number(said())));
  });

  it("collects files by assetPaths and archivePaths, and keeps them in the state", async () => {
    const paths = { assetPaths: ["**.txt", "!**secret*"], archivePaths: ["*.md"] };
    const { outputs } = await harness.create(LOCAL, { create: "true", dir: "sub", ...paths });
    const assets = outputs.assets as Record<string, Asset>;
    expect(Object.keys(assets)).toEqual(["a.txt", "deep/c.txt"]);
    const sha256 = createHash("sha256").update("sub/deep/c.txt").digest("hex");
    expect(assets["deep/c.txt"]).toEqual(new Asset({ path: "sub/deep/c.txt" }, sha256));
    expect(outputs.archive).toBeInstanceOf(Archive);
    const later = await harness.update(LOCAL, outputs, { create: "true" });
    expect(later.outputs.assets).toBe(assets);
  });
});

describe("command:local:run", () => {
  it("runs at once and gives arguments and streams", async () => {
    const harness = await startHarness(tmpdir());
    const answer = await harness.provider.invoke?.("command:local:run", { command: "echo ran" });
    expect(answer).toEqual({ result: { command: "echo ran", stdout: "ran", stderr: "" }, failures: [] });
    const refused = await harness.provider.invoke?.("command:local:run", { comand: "echo" });
    expect(refused?.failures.map((failure) => failure.property).sort()).toEqual(["comand", "command"]);
    await harness.provider.close();
  });
});

function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}
