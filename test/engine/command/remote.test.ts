import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { CommandFailed } from "../../../engine/src/providers/command/index.ts";
import { Secret, Unknown } from "../../../engine/src/values.ts";
import { noSshd, type Sshd, startSshd } from "../../helpers/sshd.ts";
import { until } from "../../helpers/until.ts";
import { begun, connectionTo, failure, type Harness, startHarness } from "./harness.ts";

const REMOTE = "command:remote:Command";

describe.skipIf(noSshd)(`remote.Command${noSshd ? ` (${noSshd})` : ""}`, () => {
  let server: Sshd;
  let harness: Harness;
  beforeAll(async () => {
    server = await startSshd({ config: ["AcceptEnv GREETING PULUMI_COMMAND_STDOUT"] });
  });
  afterAll(() => server.stop());
  beforeEach(async () => {
    harness = await startHarness(server.dir);
  });
  afterEach(() => harness.provider.close());

  const create = (inputs: Parameters<Harness["create"]>[1], options?: Parameters<Harness["create"]>[2]) =>
    harness.create(REMOTE, { connection: connectionTo(server), ...inputs }, options);

  it("fails with status, command and both streams in their order", async () => {
    const error = await failure(create({ create: "echo out; sleep 0.1; echo err >&2; exit 3" }));
    expect(error).toBeInstanceOf(CommandFailed);
    expect(error.message).toBe(
      'Process exited with status 3: running "echo out; sleep 0.1; echo err >&2; exit 3":\nout\nerr\n',
    );
    expect((error as CommandFailed).exitCode).toBe(3);
  });

  it("names the signal that ended the command", async () => {
    const error = await failure(create({ create: "kill -TERM $$" }));
    expect(error.message).toMatch(/^Process exited with status 143 from signal TERM: running "kill -TERM \$\$":\n/);
  });

  it("keeps secret inputs out of the error, also where the command prints them", async () => {
    const error = await failure(
      create({
        create: new Secret("cat; echo $GREETING; false"),
        stdin: new Secret("hunter2-of-stdin\nsecond-line"),
        environment: { GREETING: new Secret("hunter2-of-env") },
      }),
    );
    expect(error.message).toMatch(/status 1/);
    expect(error.message).not.toMatch(/hunter2|second-line/);
  });

  it("gives inputs and streams, one newline cut, and an id of name and 8 hex digits", async () => {
    const { id, outputs } = await create({ create: "printf 'a\\n\\n'; printf 'b\\n' >&2" });
    expect(id).toMatch(/^step[0-9a-f]{8}$/);
    expect(Object.keys(outputs).sort()).toEqual(["connection", "create", "stderr", "stdout"]);
    expect(outputs).toMatchObject({ stdout: "a\n", stderr: "b", create: "printf 'a\\n\\n'; printf 'b\\n' >&2" });
  });

  it("runs nothing in a preview, and says that the streams are not known", async () => {
    const mark = join(server.dir, "preview");
    const { id, outputs } = await create({ create: `touch ${mark}` }, { preview: true });
    expect(id).toBe("");
    expect(outputs.stdout).toBe(Unknown.value);
    expect(existsSync(mark)).toBe(false);
  });

  it("shares one login among commands that run side by side", async () => {
    const before = server.logins();
    const runs = Array.from({ length: 8 }, (_, n) => create({ create: `sleep 0.1; echo ${n}` }));
    const said = (await Promise.all(runs)).map(({ outputs }) => outputs.stdout);
    expect(said).toEqual(["0", "1", "2", "3", "4", "5", "6", "7"]);
    expect(server.logins() - before).toBe(1);
  });

  it("passes two megabytes through stdin and back", async () => {
    const stdin = "0123456789abcdef\n".repeat(125_000);
    const { outputs } = await create({ create: "cat", stdin, logging: "none" });
    expect(outputs.stdout).toBe(stdin.slice(0, -1));
  });

  it("does not mind a command that leaves its stdin unread", async () => {
    const { outputs } = await create({ create: "exec <&-; echo done", stdin: "x".repeat(1_500_000) });
    expect(outputs.stdout).toBe("done");
  });

  it("tells the exit status of a command that leaves in the middle of its stdin", async () => {
    const stdin = "0123456789abcdef\n".repeat(62_500);
    const error = await failure(create({ create: "head -c 10 | wc -c; exit 7", stdin }));
    expect(error.message).toMatch(/^Process exited with status 7: .*:\n10\n$/);
    const { outputs } = await create({ create: "head -c 17; echo done", stdin });
    expect(outputs.stdout).toBe("0123456789abcdef\ndone");
  });

  it("repeats of a long output of a failed command its beginning and its end", async () => {
    const error = await failure(
      // All on one stream: the server sends what it has read of each, in an order of its own.
      create({ create: "echo first; seq 1 1000000; echo last; exit 1", logging: "none" }),
    );
    expect(error.message).toMatch(
      /running ".*":\nfirst\n1\n2\n[\s\S]*… \(\d+ characters left out\)\n[\s\S]*\n1000000\nlast\n$/,
    );
    expect(error.message.length).toBeLessThan(1_000_000);
  });

  it("holds 320 MB of output once, whatever is logged of it", async () => {
    const child = spawn(process.execPath, [join(import.meta.dirname, "peak.ts")], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    const connection = connectionTo(server, { privateKey: server.privateKey });
    const line = "0123456789".repeat(6);
    child.stdin.end(JSON.stringify({ connection, create: `yes ${line} | head -c ${320 * 1024 * 1024}` }));
    let said = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      said += text;
    });
    await new Promise((done) => child.once("close", done));
    const { characters, megabytes } = JSON.parse(said) as { characters: number; megabytes: number };
    expect(characters).toBe(320 * 1024 * 1024);
    // What the garbage collector lets lie is in it too, some 160 MB whatever the size.
    expect(megabytes / 320).toBeLessThan(2);
  });

  it("gives a command without stdin an end of file", async () => {
    const { outputs } = await create({ create: "cat; echo end" });
    expect(outputs.stdout).toBe("end");
  });

  it("sets variables that the server accepts", async () => {
    const { outputs } = await create({ create: "echo $GREETING", environment: { GREETING: "good day" } });
    expect(outputs.stdout).toBe("good day");
  });

  it("fails before the command where a variable is refused, and says what to do", async () => {
    const mark = join(server.dir, "refused");
    const error = await failure(create({ create: `touch ${mark}`, environment: { TOKEN: "value-of-it" } }));
    expect(error.message).toContain('could not set environment variable "TOKEN"');
    expect(error.message).toContain("AcceptEnv TOKEN");
    expect(error.message).toContain("stdin");
    expect(error.message).not.toContain("value-of-it");
    expect(existsSync(mark)).toBe(false);
  });

  it("tells update and delete what the last run said, and warns where the server does not take it", async () => {
    const { outputs } = await create({ create: "echo first; echo complaint >&2" });
    const log = join(server.dir, "deleted");
    const updated = await harness.update(REMOTE, outputs, {
      connection: connectionTo(server),
      create: "echo never",
      update: 'echo "had $PULUMI_COMMAND_STDOUT"',
      delete: `echo "$PULUMI_COMMAND_STDOUT" > ${log}`,
    });
    expect(updated.outputs).toMatchObject({ stdout: "had first", stderr: "" });
    const warnings = harness.lines.filter((line) => line.stream === "warning");
    expect(warnings.map((line) => line.text)).toEqual([expect.stringContaining("AcceptEnv PULUMI_COMMAND_STDERR")]);
    await harness.delete(REMOTE, updated.outputs);
    expect(readFileSync(log, "utf8")).toBe("had first\n");
  });

  it("leaves the last run's output out when told to", async () => {
    const { outputs } = await create({ create: "echo first" });
    const inputs = { connection: connectionTo(server), create: 'echo "[$PULUMI_COMMAND_STDOUT]"' };
    const updated = await harness.update(REMOTE, outputs, { ...inputs, addPreviousOutputInEnv: false });
    expect(updated.outputs.stdout).toBe("[]");
  });

  it("runs create again for an update that has no command of its own, and keeps the streams without any", async () => {
    const connection = connectionTo(server);
    const { outputs } = await create({ create: "echo one" });
    expect((await harness.update(REMOTE, outputs, { connection, create: "echo two" })).outputs.stdout).toBe("two");
    expect((await harness.update(REMOTE, outputs, { connection })).outputs.stdout).toBe("one");
    expect((await create({})).outputs).toMatchObject({ stdout: "", stderr: "" });
  });

  it.each([
    [undefined, ["stdout:a", "stderr:b"]],
    ["stdout", ["stdout:a"]],
    ["stderr", ["stderr:b"]],
    ["stdoutAndStderr", ["stdout:a", "stderr:b"]],
    ["none", []],
  ])("shows lines as logging %s asks, as they come", async (logging, expected) => {
    await create({ create: "echo a; sleep 0.1; echo b >&2", ...(logging ? { logging } : {}) });
    expect(harness.lines.map((line) => `${line.stream}:${line.text}`)).toEqual(expected);
    expect(harness.lines.every((line) => line.ephemeral)).toBe(true);
  });

  it("lets go of a command whose time is over, with what it has said so far", async () => {
    const over = new AbortController();
    const limits = vi.spyOn(AbortSignal, "timeout").mockReturnValue(over.signal);
    const running = failure(create({ create: "echo begun; echo $$; exec sleep 600" }, { timeout: 0.5 }));
    await until("it tells its number", () => /^\d+$/.test(harness.lines.at(-1)?.text ?? ""));
    expect(limits.mock.calls).toEqual([[500]]);
    limits.mockRestore();
    over.abort();
    const error = await running;
    const pid = Number(harness.lines.at(-1)?.text);
    expect(error.message).toBe(
      `stopped, as the update was interrupted or the resource's time is over (it may still run on the host): running "echo begun; echo $$; exec sleep 600":\nbegun\n${pid}\n`,
    );
    attemptKill(pid);
  });

  it("is stopped by the signal while it runs, and does not start after it", async () => {
    const controller = new AbortController();
    const running = failure(create({ create: "echo begun; sleep 60" }, { signal: controller.signal }));
    await begun(harness);
    controller.abort();
    expect((await running).message).toMatch(/^stopped/);
    const mark = join(server.dir, "after");
    expect(await failure(create({ create: `touch ${mark}` }, { signal: controller.signal }))).toBeInstanceOf(Error);
    expect(existsSync(mark)).toBe(false);
  });

  it("refuses a command that no server takes whole", async () => {
    const error = await failure(create({ create: `: ${"x".repeat(300_000)}` }));
    expect(error.message).toContain("pass the data on stdin");
  });
});

describe.skipIf(noSshd)("remote.Command on a server that gives one session at a time", () => {
  let server: Sshd;
  beforeAll(async () => {
    server = await startSshd({ config: ["MaxSessions 1"] });
  });
  afterAll(() => server.stop());

  it("waits in line", async () => {
    const harness = await startHarness(server.dir);
    const connection = connectionTo(server);
    const runs = Array.from({ length: 6 }, (_, n) =>
      harness.create(REMOTE, { connection, create: `sleep 0.1; echo ${n}` }),
    );
    const said = (await Promise.all(runs)).map(({ outputs }) => outputs.stdout);
    await harness.provider.close();
    expect(said).toEqual(["0", "1", "2", "3", "4", "5"]);
    expect(server.logins()).toBe(1);
  });
});

describe.skipIf(noSshd)("remote.Command, 64 at once", () => {
  it("on a server that gives two sessions: in line over one login", async () => {
    const server = await startSshd({ config: ["MaxSessions 2"] });
    const harness = await startHarness(server.dir);
    try {
      const connection = connectionTo(server);
      const runs = Array.from({ length: 64 }, (_, n) => harness.create(REMOTE, { connection, create: `echo ${n}` }));
      const said = (await Promise.all(runs)).map(({ outputs }) => Number(outputs.stdout));
      expect(said).toEqual(Array.from({ length: 64 }, (_, n) => n));
      expect(server.logins()).toBe(1);
    } finally {
      await harness.provider.close();
      await server.stop();
    }
  });

  it("by 16 logins on a server that takes two at a time: those that it sends away come again", async () => {
    const server = await startSshd({ config: ["MaxStartups 2:100:2"] });
    const harness = await startHarness(server.dir);
    try {
      // Another time limit, another connection.
      const login = (n: number) => connectionTo(server, { perDialTimeout: 120 + (n % 16), dialErrorLimit: 100 });
      const runs = Array.from({ length: 64 }, (_, n) =>
        harness.create(REMOTE, { connection: login(n), create: `echo ${n}` }),
      );
      const said = (await Promise.all(runs)).map(({ outputs }) => Number(outputs.stdout));
      expect(said).toEqual(Array.from({ length: 64 }, (_, n) => n));
      expect(server.logins()).toBe(16);
    } finally {
      await harness.provider.close();
      await server.stop();
    }
  });
});

describe.skipIf(noSshd)("remote.Command on a server that gives no session", () => {
  it("says so instead of waiting for ever", async () => {
    const server = await startSshd({ config: ["MaxSessions 0"] });
    const harness = await startHarness(server.dir);
    const error = await failure(harness.create(REMOTE, { connection: connectionTo(server), create: "true" }));
    await harness.provider.close();
    await server.stop();
    expect(error.message).toContain("MaxSessions");
  });
});

/** A user who is not root has lost it by then: its server passes the signal on. */
function attemptKill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // Gone already.
  }
}
