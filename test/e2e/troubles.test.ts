import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { noSshd, type Sshd, startSshd } from "../helpers/sshd.ts";
import { Project } from "./project.ts";

/** A box of the `ssh` kind: an SSH server with a workspace of its own, the rehearsal's upstreams behind it. */
describe.skipIf(noSshd)("a rented box in trouble", { timeout: 240_000 }, () => {
  let project: Project;
  let box: Sshd;
  let disk: string;

  beforeEach(async () => {
    project = new Project();
    box = await startSshd();
    disk = mkdtempSync(join(tmpdir(), "atelier-box-"));
    writeFileSync(join(project.dir, "key"), box.privateKey, { mode: 0o600 });
    await settings();
  });
  afterEach(async () => {
    await project.remove();
    await box.stop();
    rmSync(disk, { recursive: true, force: true });
  }, 240_000);

  const settings = (host: Record<string, unknown> = {}, more: Record<string, object> = {}) =>
    project.settings({
      host: {
        kind: "ssh",
        address: "127.0.0.1",
        port: box.port,
        user: box.user,
        keyFile: join(project.dir, "key"),
        hostKey: box.hostKey,
        workspace: join(disk, "ws"),
        cache: join(project.home, "cache", "host"),
        gpu: "none",
        python: ["any"],
        packages: "refuse",
        ...host,
      },
      ...more,
    });
  const succeeds = async (args: string[]) => {
    const answer = await project.atelier(args);
    expect(answer.exitCode, answer.all).toBe(0);
    return answer.all;
  };
  const fails = async (args: string[], code = 1) => {
    const answer = await project.atelier(args);
    expect(answer.exitCode, answer.all).toBe(code);
    expect(answer.all).not.toMatch(/^\s+at .*\.(ts|js|mjs):\d+/m);
    return answer.all;
  };

  it("refuses a port that another program holds, before anything is spent", async () => {
    const other = createServer().listen(project.port, "127.0.0.1");
    await new Promise((done) => other.once("listening", done));
    try {
      const said = await fails(["up"]);
      expect(said).toContain("preflight");
      expect(said).toContain(String(project.port));
      expect(existsSync(join(disk, "ws", "venv"))).toBe(false);
    } finally {
      other.close();
    }
  });

  it("says which key was refused, and by whom", async () => {
    const { privateKey } = await otherKey();
    writeFileSync(join(project.dir, "key"), privateKey, { mode: 0o600 });
    const said = await fails(["up"]);
    expect(said).toContain(`${box.user}@127.0.0.1:${box.port}`);
    expect(said).toMatch(/authenticat|refused/i);
    expect(said).not.toContain("PRIVATE KEY");
  });

  it("stops at a changed host key, and goes on once it is trusted", async () => {
    await settings({ hostKey: undefined });
    await succeeds(["trust"]);
    await succeeds(["up"]);
    const { port } = box;
    await box.stop();
    box = await startSshd({ port, authorizedKeys: [publicKeyOf(join(project.dir, "key"))] });
    const said = await fails(["up"]);
    expect(said).toMatch(/host key/i);
    expect(said).toContain("trust --stack t --replace");
    await succeeds(["trust", "--replace"]);
    await succeeds(["up"]);
  });

  it("says what to do when the host is gone at down, and forgets it when told", async () => {
    await succeeds(["up"]);
    await box.stop();
    const said = await fails(["down"]);
    expect(said).toContain("--host-gone");
    const gone = await succeeds(["down", "--host-gone"]);
    expect(gone).toMatch(/forgot/i);
    expect(await succeeds(["status"])).toMatch(/nothing|0 resources|not up/i);
    endStrays(disk);
  });

  it("ends the service of a workspace that was emptied, at down", async () => {
    await succeeds(["up"]);
    for (const name of readdirSync(join(disk, "ws"))) rmSync(join(disk, "ws", name), { recursive: true });
    await succeeds(["down"]);
    await expect.poll(() => running(disk), { timeout: 10_000 }).toBe("");
  });

  it("takes a changed port into the state before it removes", async () => {
    await succeeds(["up"]);
    const key = publicKeyOf(join(project.dir, "key"));
    await box.stop();
    box = await startSshd({ authorizedKeys: [key] });
    await settings();
    await succeeds(["down"]);
    expect(existsSync(join(disk, "ws", "venv"))).toBe(false);
  });

  it("goes on by itself when the line is cut in the middle of a long step", async () => {
    slow(project);
    const up = project.atelier(["up"]);
    await stepRuns(disk, "wheels");
    box.dropConnections();
    const answer = await up;
    expect(answer.exitCode, answer.all).toBe(0);
    expect(answer.all).toMatch(/line dropped|connection lost|attach/i);
    expect(starts(disk)).toBe(1);
  });

  it("refuses a second up of the same stack while the first runs, naming its holder", async () => {
    slow(project);
    const first = project.atelier(["up"]);
    await stepRuns(disk, "wheels");
    const said = await fails(["up"]);
    expect(said).toMatch(/lock/i);
    expect(said).toMatch(/pid|process/i);
    const answer = await first;
    expect(answer.exitCode, answer.all).toBe(0);
  });

  it("attaches to the job of a control machine that was killed", async () => {
    slow(project);
    const controller = new AbortController();
    const killed = project.atelier(["up"], { signal: controller.signal, killSignal: "SIGKILL" });
    await stepRuns(disk, "wheels");
    controller.abort();
    await killed;
    const said = await succeeds(["up"]);
    expect(said).toMatch(/lock/i);
    // The orphan went on to its end; were it over before the second up came, that one asked once more, and never beside it.
    expect(lines(disk).slice(0, 2)).toEqual(["start", "slept"]);
    expect(project.report().images.map(({ kind }) => kind)).toEqual(["txt2img", "img2img", "inpaint", "upscale"]);
  });

  it("lets the running steps end at Ctrl-C, saves the state and gives the locks back", async () => {
    slow(project);
    const controller = new AbortController();
    const up = project.atelier(["up"], { signal: controller.signal, killSignal: "SIGINT" });
    await stepRuns(disk, "wheels");
    controller.abort();
    const answer = await up;
    expect(answer.exitCode, answer.all).toBe(130);
    expect(
      readdirSync(join(project.home, "state", ".pulumi", "locks"), { recursive: true }).filter((name) =>
        String(name).endsWith(".json"),
      ),
    ).toEqual([]);
    await succeeds(["up"]);
    expect(starts(disk)).toBe(1);
  });

  it("keeps the password out of every file, line and event but the host's own credentials", async () => {
    const said =
      (await succeeds(["up", "--verbose"])) + (await succeeds(["up", "--json"])) + (await succeeds(["outputs"]));
    const shown = await project.atelier(["outputs", "--show-secrets", "--json"]);
    const { password } = JSON.parse(shown.stdout) as { password: string };
    expect(password).toMatch(/^[\w-]{24}$/);
    const needles = [password, Buffer.from(`atelier:${password}`).toString("base64")];
    for (const needle of needles) expect(said).not.toContain(needle);
    const holders = [project.home, disk].flatMap(filesBelow).filter((file) => {
      const text = readFileSync(file, "latin1");
      return needles.some((needle) => text.includes(needle));
    });
    expect(holders.map((file) => file.replace(disk, ""))).toEqual(["/ws/data/credentials"]);
    expect(statSync(join(disk, "ws/data/credentials")).mode & 0o777).toBe(0o600);
    expect(execFileSync("ps", ["axeww", "-o", "args"]).toString()).not.toContain(password);
  });
});

/** Makes the wheels step wait 5 s, and count how often it really started. */
function slow(project: Project): void {
  project.edit("scripts/host/50-wheels.sh", (text) =>
    text.replace(
      "step_apply() {",
      'step_apply() {\n  echo start >>"$WORKSPACE/../starts"\n  sleep 5\n  echo slept >>"$WORKSPACE/../starts"',
    ),
  );
}
const lines = (disk: string) => readFileSync(join(disk, "starts"), "utf8").trim().split("\n");
const starts = (disk: string) => lines(disk).filter((line) => line === "start").length;

async function stepRuns(disk: string, step: string): Promise<void> {
  for (let tries = 0; tries < 1200; tries++) {
    if (existsSync(join(disk, "starts"))) return;
    await sleep(100);
  }
  throw new Error(`the step ${step} did not start within 120 s`);
}

async function otherKey(): Promise<{ privateKey: string }> {
  const other = await startSshd();
  await other.stop();
  return other;
}

const publicKeyOf = (file: string) => execFileSync("ssh-keygen", ["-y", "-f", file]).toString().trim();

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

/** What still runs out of a box. */
const running = (disk: string) =>
  execFileSync("sh", ["-c", 'ps axww -o args | grep -F "$0/ws/" | grep -v grep || true', disk]).toString();

/** The box is gone for the stack, but its processes are of this machine. */
function endStrays(disk: string): void {
  const pid = join(disk, "ws", "run", "supervisord.pid");
  if (existsSync(pid)) process.kill(Number(readFileSync(pid, "utf8")), "SIGTERM");
}
