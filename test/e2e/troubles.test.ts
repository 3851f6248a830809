import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { asBox, noSshd, type Sshd, startSshd } from "../helpers/sshd.ts";
import { until } from "../helpers/until.ts";
import { Project, plain } from "./project.ts";

/** A box of the `ssh` kind: an SSH server with a workspace of its own, the rehearsal's upstreams behind it. */
let project: Project;
let box: Sshd;
let disk: string;

// A whole `up` takes long: the tests of one part follow each other on one box, as the troubles of one evening would.
const begin = async () => {
  project = new Project();
  box = await startSshd();
  disk = mkdtempSync(join(tmpdir(), "atelier-box-"));
  writeFileSync(keyFile(), box.privateKey, { mode: 0o600 });
  await settings();
};
const end = async () => {
  await project.remove();
  await box.stop();
  rmSync(disk, { recursive: true, force: true });
};
const keyFile = () => join(project.dir, "key");
const settings = (host: Record<string, unknown> = {}) =>
  project.settings({
    host: {
      ...asBox(box, keyFile()),
      ...plain,
      workspace: join(disk, "ws"),
      cache: join(project.home, "cache", "host"),
      ...host,
    },
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

describe.skipIf(noSshd)("a rented box that can't be used", () => {
  beforeAll(begin);
  afterAll(end);

  it("refuses a key, and is named with it", async () => {
    const { privateKey } = await otherKey();
    writeFileSync(keyFile(), privateKey, { mode: 0o600 });
    const said = await fails(["up"]);
    expect(said).toContain(`${box.user}@127.0.0.1:${box.port}`);
    expect(said).toMatch(/authenticat|refused/i);
    expect(said).not.toContain("PRIVATE KEY");
    writeFileSync(keyFile(), box.privateKey, { mode: 0o600 });
  });

  it("has a port that another program holds, which is said before anything is spent", async () => {
    const other = createServer().listen(project.port, "127.0.0.1");
    await new Promise((done) => other.once("listening", done));
    try {
      const said = await fails(["up"]);
      expect(said).toContain("preflight");
      expect(said).toContain(String(project.port));
      expect(existsSync(join(disk, "ws", "bin"))).toBe(true);
      expect(existsSync(join(disk, "ws", "venv"))).toBe(false);
    } finally {
      other.close();
    }
  });

  it("is gone at down: it is said what to do, and forgotten when told", async () => {
    await box.stop();
    const said = await fails(["down"]);
    expect(said).toContain("--host-gone");
    const gone = await succeeds(["down", "--host-gone"]);
    expect(gone).toMatch(/forgot/i);
    expect(await succeeds(["status"])).toMatch(/nothing|0 resources|not up/i);
  });
});

describe.skipIf(noSshd)("a rented box in trouble", () => {
  beforeAll(begin);
  afterAll(end);
  /** All that was shown while it was made. */
  let shown = "";

  it("goes on with the job of a control machine that was killed: the next attaches to it", async () => {
    slow(project);
    const controller = new AbortController();
    const killed = project.atelier(["up", "--verbose", "--skip-preview"], {
      signal: controller.signal,
      killSignal: "SIGKILL",
    });
    await stepRuns(disk);
    controller.abort();
    shown += (await killed).all;
    const second = succeeds(["up", "--verbose", "--skip-preview"]);
    // It may come before or after the orphan's end.
    await sleep(3000);
    letGo(disk);
    shown += await second;
    expect(shown).toMatch(/lock/i);
    oneByOne(disk);
    expect(project.report().images.map(({ kind }) => kind)).toEqual(["txt2img", "img2img", "inpaint", "upscale"]);
  });

  it("keeps the password out of every file, line and event but the host's own credentials", async () => {
    shown += (await succeeds(["up", "--json"])) + (await succeeds(["outputs"]));
    const secrets = await project.atelier(["outputs", "--show-secrets", "--json"]);
    const { password } = JSON.parse(secrets.stdout) as { password: string };
    expect(password).toMatch(/^[\w-]{24}$/);
    const needles = [password, Buffer.from(`atelier:${password}`).toString("base64")];
    for (const needle of needles) expect(shown).not.toContain(needle);
    const holders = [project.home, disk].flatMap(filesBelow).filter((file) => {
      const text = readFileSync(file, "latin1");
      return needles.some((needle) => text.includes(needle));
    });
    expect(holders.map((file) => file.replace(disk, ""))).toEqual(["/ws/data/credentials"]);
    expect(statSync(join(disk, "ws/data/credentials")).mode & 0o777).toBe(0o600);
    expect(execFileSync("ps", ["axeww", "-o", "args"]).toString()).not.toContain(password);
  });

  it("refuses a second up of the same stack while the first runs, naming its holder; a cut line stops neither step nor up", async () => {
    anew(project, disk);
    const first = project.atelier(["up", "--skip-preview"]);
    await stepRuns(disk);
    const said = await fails(["up"]);
    expect(said).toMatch(/lock/i);
    expect(said).toMatch(/pid|process/i);
    expect(lines(disk)).toEqual(["start"]);
    box.dropConnections();
    await sleep(3000);
    letGo(disk);
    const answer = await first;
    expect(answer.exitCode, answer.all).toBe(0);
    expect(answer.all).toMatch(/line dropped|connection lost|attach/i);
    oneByOne(disk);
  });

  it("lets the running steps end at Ctrl-C, saves the state and gives the locks back", async () => {
    anew(project, disk);
    const controller = new AbortController();
    const up = project.atelier(["up", "--skip-preview"], { signal: controller.signal, killSignal: "SIGINT" });
    await stepRuns(disk);
    controller.abort();
    await sleep(1000);
    expect(lines(disk)).toEqual(["start"]);
    letGo(disk);
    const answer = await up;
    expect(answer.exitCode, answer.all).toBe(130);
    const locks = readdirSync(join(project.home, "state", ".pulumi", "locks"), { recursive: true });
    expect(locks.filter((name) => String(name).endsWith(".json"))).toEqual([]);
    expect(lines(disk)).toEqual(["start", "slept"]);
    await succeeds(["up", "--skip-preview"]);
    expect(lines(disk)).toEqual(["start", "slept"]);
  });

  it("shows another host key: that stops, and goes on once it is trusted", async () => {
    await settings({ hostKey: undefined });
    await succeeds(["trust"]);
    const { port } = box;
    await box.stop();
    box = await startSshd({ port, authorizedKeys: [publicKeyOf(keyFile())] });
    const said = await fails(["up"]);
    expect(said).toMatch(/host key/i);
    expect(said).toContain("trust --stack t --replace");
    await succeeds(["trust", "--replace"]);
    await succeeds(["up", "--skip-preview"]);
  });

  it("has another port at down, which is taken into the state before it removes", async () => {
    expect(running(disk)).not.toBe("");
    const key = publicKeyOf(keyFile());
    await box.stop();
    box = await startSshd({ authorizedKeys: [key] });
    await settings();
    await succeeds(["down"]);
    expect(existsSync(join(disk, "ws", "venv"))).toBe(false);
    await until("nothing of it runs any more", () => running(disk) === "");
  });

  it("has a workspace that was emptied, whose service down ends all the same", async () => {
    await succeeds(["up", "--skip-preview"]);
    expect(running(disk)).not.toBe("");
    for (const name of readdirSync(join(disk, "ws"))) rmSync(join(disk, "ws", name), { recursive: true });
    await succeeds(["down"]);
    await until("nothing of it runs any more", () => running(disk) === "");
  });
});

/** Makes the wheels step wait until it is let go, ten minutes at most, and count how often it really started. */
function slow(project: Project): void {
  const wait =
    'for _ in $(seq 6000); do [ ! -e "$WORKSPACE/../go" ] || break; sleep 0.1; done; echo slept >>"$WORKSPACE/../starts"';
  project.edit("scripts/host/50-wheels.sh", (text) =>
    text.replace("step_apply() {", `step_apply() {\n  echo start >>"$WORKSPACE/../starts"\n  ${wait}`),
  );
}
const letGo = (disk: string) => writeFileSync(join(disk, "go"), "");
const lines = (disk: string) => readFileSync(join(disk, "starts"), "utf8").trim().split("\n");

/** The orphan went on to its end; were it over before the next came, that one asked once more, and never beside it. */
function oneByOne(disk: string): void {
  expect(lines(disk).join(" ")).toMatch(/^start slept( start slept)?$/);
}

/** Another text of the slow step: the next update runs it again. */
function anew(project: Project, disk: string): void {
  project.edit("scripts/host/50-wheels.sh", (text) => `${text}# again\n`);
  for (const name of ["starts", "go"]) rmSync(join(disk, name));
}

async function stepRuns(disk: string): Promise<void> {
  await until("the slow step runs", () => existsSync(join(disk, "starts")));
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
