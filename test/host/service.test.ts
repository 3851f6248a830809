import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { dirname, join, resolve } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { freePort } from "../../rehearsal/lib/ports.ts";
import { until } from "../helpers/until.ts";
import { hasSshd, Sshd } from "./lib/sshd.ts";
import { WebuiHost } from "./lib/webui.ts";
import { collect, type Inputs, Workspace } from "./lib/workspace.ts";

const lock = readFileSync(resolve(import.meta.dirname, "..", "..", "images", "wheels", "supervisor.txt"), "utf8");
// No other run of the tests may have it: what all processes show is searched for it.
const password = `Pass_word-${process.pid}-${Date.now()}`;
const host = new WebuiHost();
const { workspace } = host;
let port: number;

const config = (more: Inputs = {}): Inputs => ({
  listen: "127.0.0.1",
  port,
  options: JSON.stringify({ sd_model_checkpoint: "v1-5.safetensors" }),
  flags: ["--no-half"],
  user: "atelier",
  password_secret: password,
  ...more,
});
const service = (more: Inputs = {}): Inputs => ({
  manager: "supervisor",
  supervisor_lock: lock,
  port,
  listen: "127.0.0.1",
  config: "1",
  ...more,
});
const ready = (more: Inputs = {}): Inputs => ({
  port,
  listen: "127.0.0.1",
  timeout: 240,
  model: "v1-5.safetensors",
  user: "atelier",
  password_secret: password,
  ...more,
});
const applyConfig = (more?: Inputs) => workspace.run("70-config.sh", "apply", config(more));
const applyService = (more?: Inputs, env?: Record<string, string>) =>
  workspace.run("80-service.sh", "apply", service(more), { env });
const applyReady = (more?: Inputs) => workspace.run("90-ready.sh", "apply", ready(more));
const removeService = () => workspace.run("80-service.sh", "remove", service());
const webuis = () => host.processes(`${workspace.bin}/webui_start.py`);
const supervisors = () => host.processes(`${workspace.path}/run/supervisord.conf`);

beforeAll(async () => {
  port = await freePort();
  await host.prepare();
});
afterAll(() => workspace.destroy());

describe("config", () => {
  it("refuses what would kill the WebUI at its start, or show the password", async () => {
    const refused: Inputs[] = [{ password_secret: "a:b" }, { password_secret: "" }, { user: "a,b" }, { port: "http" }];
    for (const bad of refused) {
      expect([bad, (await applyConfig(bad)).code]).toEqual([bad, 2]);
    }
    const flag = await applyConfig({ flags: ["--api-auth", "a:b"] });
    expect([flag.code, flag.stderr]).toEqual([2, expect.stringContaining("would show the password")]);
  });

  it("merges config.json: ours win, the user's stay; credentials are for their owner only", async () => {
    execFileSync("mkdir", ["-p", join(workspace.path, "data")]);
    const file = join(workspace.path, "data/config.json");
    writeFileSync(
      file,
      JSON.stringify({ sd_model_checkpoint: "old", sd_checkpoint_hash: "old", CLIP_stop_at_last_layers: 2 }),
    );
    const { code, stderr } = await applyConfig();
    expect(code, stderr).toBe(0);
    expect(JSON.parse(readFileSync(file, "utf8"))).toEqual({
      sd_model_checkpoint: "v1-5.safetensors",
      CLIP_stop_at_last_layers: 2,
    });
    expect(workspace.file("data/credentials")).toBe(`atelier:${password}\n`);
    expect(statSync(join(workspace.path, "data/credentials")).mode & 0o777).toBe(0o600);
    expect(workspace.file("run/flags").split("\n")).toEqual([
      ...["--data-dir", `${workspace.path}/data`, "--port", String(port), "--server-name", "127.0.0.1", "--api"],
      ...["--no-download-sd-model", "--no-half", ""],
    ]);
    expect((await workspace.run("70-config.sh", "check", config())).code).toBe(0);
    // Without inputs, from what was applied: that holds no password.
    const text = workspace.file("run/config/applied");
    expect(text).not.toContain(password);
    expect((await workspace.run("70-config.sh", "check", text)).code).toBe(0);
    writeFileSync(join(workspace.path, "data/credentials"), "atelier:other\n");
    expect((await workspace.run("70-config.sh", "check", text)).stderr).toContain("credentials were changed");
  });

  it("sees a config.json that has lost what was written, or can't be read; puts that beside, with a word", async () => {
    const check = () => workspace.run("70-config.sh", "check", config());
    // Another value is the user's; an entry that is gone is ours.
    writeFileSync(join(workspace.path, "data/config.json"), '{"sd_model_checkpoint": "theirs"}');
    expect((await check()).stderr).not.toContain("config.json");
    writeFileSync(join(workspace.path, "data/config.json"), "{}");
    expect((await check()).stderr).toBe("data/config.json has lost sd_model_checkpoint\n");
    writeFileSync(join(workspace.path, "data/config.json"), "{ torn");
    expect((await check()).stderr).toMatch(/^data\/config\.json can't be read/);
    const { code, stderr } = await applyConfig();
    expect(code, stderr).toBe(0);
    expect(stderr).toMatch(/config\.json could not be read .* moved to .*\.aside-/);
  });
});

describe("service", () => {
  beforeEach(async () => {
    host.behave({});
    await applyConfig();
  });

  it("refuses a port that another holds, and names it", async () => {
    const other = createServer().listen(port, "127.0.0.1");
    await until("it listens", () => other.listening);
    const { code, stderr } = await applyService();
    other.close();
    expect(code).toBe(1);
    expect(stderr).toContain(`port ${port} is taken by process ${process.pid} `);
  });

  it("runs under supervisor with an environment of its own: no proxy, no rental's token, nothing from COMMANDLINE_ARGS", async () => {
    const env = {
      http_proxy: "http://127.0.0.1:1",
      ALL_PROXY: "socks5://127.0.0.1:1",
      COMMANDLINE_ARGS: "--share",
      RUNPOD_API_KEY: "secret",
    };
    const huggingface = ["https://hf-mirror.com/", "https://huggingface.co/"];
    const { code, stderr, facts } = await applyService({ huggingface }, env);
    expect(code, stderr).toBe(0);
    expect(facts).toMatchObject({ manager: "supervisor", restarted: true });
    await until("it wrote what it sees", () => existsSync(join(workspace.path, "src/webui/seen.json")));
    const seen = JSON.parse(workspace.file("src/webui/seen.json"));
    for (const name of Object.keys(env)) expect(seen.environ).not.toHaveProperty(name);
    expect(seen.environ).toMatchObject({
      HF_HUB_OFFLINE: "1",
      HF_ENDPOINT: "https://hf-mirror.com",
      no_proxy: "localhost,127.0.0.1",
      CUDA_DEVICE_ORDER: "PCI_BUS_ID",
      // What the C library would need to give a checkpoint's memory back.
      MALLOC_MMAP_THRESHOLD_: "1048576",
      TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD: "1",
    });
    expect([seen.cwd, seen.argv]).toEqual([host.source, workspace.file("run/flags").trim().split("\n")]);
    expect(readFileSync(`/proc/${supervisors()[0]}/environ`, "utf8")).not.toContain("RUNPOD_API_KEY");
    expect((await workspace.run("80-service.sh", "check", service())).code).toBe(0);
  });

  it("is left alone by an apply that changes nothing; a new flag restarts it", async () => {
    await applyService();
    const before = webuis();
    const same = await applyService();
    expect([same.facts.restarted, webuis()]).toEqual([false, before]);
    await applyConfig({ flags: ["--medvram"] });
    // What was compiled of packages that no stack has by now.
    const [old, young] = ["0ad", "0bee"].map((name) => join(workspace.cache, "pyc", name.padEnd(16, "0"))) as [
      string,
      string,
    ];
    for (const folder of [old, young]) mkdirSync(folder, { recursive: true });
    utimesSync(old, 1, 1);
    expect((await workspace.run("80-service.sh", "check", service())).stderr).toContain("older configuration");
    const other = await applyService();
    expect(other.facts.restarted).toBe(true);
    expect([existsSync(old), existsSync(young)]).toEqual([false, true]);
    rmSync(young, { recursive: true });
    expect(webuis()).not.toEqual(before);
    await until("it was started with it", () =>
      JSON.parse(workspace.file("src/webui/seen.json")).argv.includes("--medvram"),
    );
  });

  it("starts anew when another content lies under a model's name, and forgets what it knew of the old one", async () => {
    const links = join(workspace.path, "run/models/links");
    const known = join(workspace.path, "data/cache/hashes/cache.db");
    const link = (...lines: string[]) => {
      mkdirSync(dirname(links), { recursive: true });
      writeFileSync(links, lines.map((line) => `${line}\n`).join(""));
    };
    link("models/VAE/b\tbb\t2", "models/Stable-diffusion/a\taa\t1");
    await applyService();
    const before = webuis();
    mkdirSync(dirname(known), { recursive: true });
    writeFileSync(known, "");
    // In another order it is the same.
    link("models/Stable-diffusion/a\taa\t1", "models/VAE/b\tbb\t2");
    expect((await applyService({ models: ["another list"] })).facts.restarted).toBe(false);
    expect([webuis(), existsSync(known)]).toEqual([before, true]);
    link("models/Stable-diffusion/a\tcc\t1", "models/VAE/b\tbb\t2");
    expect((await workspace.run("80-service.sh", "check", service())).stderr).toContain("older configuration");
    expect((await applyService()).facts.restarted).toBe(true);
    expect(webuis()).not.toEqual(before);
    expect(existsSync(known)).toBe(false);
    // One that was gone, and is there again.
    writeFileSync(join(dirname(links), "changed"), "1");
    expect((await workspace.run("80-service.sh", "check", service())).stderr).toContain("older configuration");
    rmSync(dirname(links), { recursive: true });
  });

  it("comes back when the WebUI is killed; and when its manager is, the next apply ends the orphan and starts anew", async () => {
    await applyService();
    const [webui] = webuis();
    process.kill(webui as number, "SIGKILL");
    await until("supervisor starts another", () => webuis().some((pid) => pid !== webui));
    const log = () => workspace.file("logs/webui.log").split("=== atelier start").pop();
    await until("that one has started", () => log()?.includes("Startup time:") === true);
    process.kill(supervisors()[0] as number, "SIGKILL");
    await until("the manager is gone", () => supervisors().length === 0);
    const drift = await workspace.run("80-service.sh", "check", service());
    expect([drift.code, drift.stderr]).toEqual([
      10,
      expect.stringContaining("the service manager (supervisor) does not run"),
    ]);
    const { code, stderr } = await applyService();
    expect(code, stderr).toBe(0);
    expect(stderr).toContain("ending a WebUI that no manager looks after any more");
    expect([webuis().length, supervisors().length]).toEqual([1, 1]);
  });

  it("has a manager that somebody stopped: seen, ended and started anew", async () => {
    const [stopped] = supervisors();
    process.kill(stopped as number, "SIGSTOP");
    const { code, stderr } = await workspace.run("80-service.sh", "check", service());
    expect([code, stderr]).toEqual([10, expect.stringContaining("(supervisor) does not run, or is stopped")]);
    const applied = await applyService();
    expect([applied.code, applied.facts], applied.stderr).toEqual([0, expect.objectContaining({ restarted: true })]);
    expect(supervisors()).not.toContain(stopped);
    expect(supervisors()).toHaveLength(1);
  });

  it("that ends at once is not waited for: it has told its log why, which is for the next step to read", async () => {
    const start = join(workspace.bin, "webui_start.py");
    const whole = readFileSync(start, "utf8");
    writeFileSync(start, "raise SystemExit('launch.py: error: unrecognized arguments: --no-such-flag')\n");
    const { code, stderr } = await applyService({ config: "ends" });
    expect(code, stderr).toBe(0);
    await until("it has told why", () => workspace.file("logs/webui.log").includes("arguments: --no-such-flag"));
    writeFileSync(start, whole);
    await applyService();
    await until("it runs again", () => webuis().length > 0);
  });

  it("that runs on in an emptied workspace is found, ended and started anew, and its manager with it", async () => {
    await applyService();
    const before = [...webuis(), ...supervisors()];
    rmSync(join(workspace.path, "run"), { recursive: true });
    rmSync(join(workspace.path, "tools/supervisor"), { recursive: true });
    await applyConfig();
    const { code, stderr } = await applyService();
    expect(code, stderr).toBe(0);
    expect([webuis().length, supervisors().length]).toEqual([1, 1]);
    for (const pid of before) expect([...webuis(), ...supervisors()]).not.toContain(pid);
  });

  it("is gone after remove, and its port is free", async () => {
    await applyService();
    const { code, stderr } = await removeService();
    expect(code, stderr).toBe(0);
    expect([webuis(), supervisors()]).toEqual([[], []]);
    expect(existsSync(join(workspace.path, "tools/supervisor"))).toBe(false);
  });

  it("comes back with the box by the platform's own start script, whose other lines stay as they were", async () => {
    const hook = join(workspace.top, "onstart.sh");
    const before = `#!/bin/sh\ntouch '${workspace.top}/platform'\nexec sleep 30\n`;
    writeFileSync(hook, before, { mode: 0o755 });
    const inputs = { start_hook: hook };
    expect((await applyService(inputs)).code).toBe(0);
    expect((await applyService(inputs)).code).toBe(0);
    expect(readFileSync(hook, "utf8").match(/start-service\.sh/g)).toHaveLength(2);
    expect(statSync(hook).mode & 0o777).toBe(0o755);
    // The box is switched off and on again: all that ran is gone, the disk is as it was.
    for (const pid of [...supervisors(), ...webuis()]) process.kill(pid, "SIGKILL");
    await until("all of it is gone", () => supervisors().length + webuis().length === 0);
    const booted = spawn("sh", [hook], { env: { PATH: process.env.PATH } });
    await until("the WebUI runs again", () => webuis().length === 1);
    await until("the platform's own lines ran too", () => existsSync(join(workspace.top, "platform")));
    booted.kill();
    const back = await workspace.run("80-service.sh", "check", service(inputs));
    expect(back.code, back.stderr).toBe(0);
    writeFileSync(hook, before);
    const lost = await workspace.run("80-service.sh", "check", service(inputs));
    expect([lost.code, lost.stderr]).toEqual([10, expect.stringContaining("does not start the WebUI with the box")]);
    expect((await applyService(inputs)).code).toBe(0);
    expect((await removeService()).code).toBe(0);
    expect(readFileSync(hook, "utf8")).toBe(before);
  });

  it("waits for no service manager that takes no call any more", async () => {
    const other = new Workspace();
    const socket = join(other.path, "run/supervisor.sock");
    const full = `import socket, sys, time
listener = socket.socket(socket.AF_UNIX); listener.bind(sys.argv[1]); listener.listen(0); held = []
while True:
    call = socket.socket(socket.AF_UNIX); call.setblocking(False); held.append(call)
    try: call.connect(sys.argv[1])
    except BlockingIOError: break
print("full", flush=True); time.sleep(600)
`;
    try {
      for (const folder of ["run", "tools/supervisor/bin"]) mkdirSync(join(other.path, folder), { recursive: true });
      symlinkSync("/usr/bin/python3", join(other.path, "tools/supervisor/bin/python"));
      other.script(
        "72-wake.sh",
        '#!/bin/sh\n. "$(dirname "$0")/lib.sh"\n. "$BIN/lib-service.sh"\nstep_apply() { wake_supervisor; }\nrun_step "$@"\n',
      );
      // Ended with its workspace.
      const hung = spawn("python3", ["-c", full, socket], { stdio: ["ignore", "pipe", "inherit"] });
      await new Promise((told) => hung.stdout.once("data", told));
      const { code, stderr } = await other.run("72-wake.sh", "apply", {});
      expect(code, stderr).toBe(0);
    } finally {
      other.destroy();
    }
  });

  it("under systemd has a unit of its own that starts the same thing, and starts with the box", async () => {
    const units = workspace.commands({});
    const calls = join(workspace.top, "calls");
    const disabled = join(workspace.top, "disabled");
    const path = workspace.commands({
      systemctl: `#!/bin/sh
echo "$@" >>'${calls}'
case "$1" in
  restart) setsid sh '${workspace.path}/run/webui.sh' >/dev/null 2>&1 </dev/null & ;;
  is-enabled) [ ! -e '${disabled}' ] ;;
  enable) rm -f '${disabled}' ;;
esac
`,
    });
    const inputs = service({ manager: "systemd", unit_dir: units });
    const { code, stderr } = await workspace.run("80-service.sh", "apply", inputs, { path: [path] });
    expect(code, stderr).toBe(0);
    const unit = readFileSync(workspace.file("run/service/unit").trim(), "utf8");
    expect(unit).toContain(`ExecStart=/bin/sh '${workspace.path}/run/webui.sh'`);
    expect(unit).toContain("Restart=always");
    expect(readFileSync(calls, "utf8")).toMatch(/daemon-reload\nenable -q (\S+)\nrestart \1\n/);
    // By somebody's hand, while it runs.
    const [pid] = webuis();
    writeFileSync(disabled, "");
    const off = await workspace.run("80-service.sh", "check", inputs, { path: [path] });
    expect([off.code, off.stderr]).toEqual([10, expect.stringMatching(/^the unit \S+ was disabled/)]);
    expect((await workspace.run("80-service.sh", "apply", inputs, { path: [path] })).facts.restarted).toBe(false);
    expect((await workspace.run("80-service.sh", "check", inputs, { path: [path] })).code).toBe(0);
    expect(webuis()).toEqual([pid]);
    const file = workspace.file("run/service/unit").trim();
    expect((await workspace.run("80-service.sh", "remove", inputs, { path: [path] })).code).toBe(0);
    expect([existsSync(file), webuis()]).toEqual([false, []]);
  });

  it.skipIf(!hasSshd)("outlives the SSH session that started it (needs /usr/sbin/sshd)", async () => {
    const sshd = new Sshd();
    try {
      await sshd.start();
      const { code, stderr } = await collect(
        sshd.run(`sh '${workspace.bin}/80-service.sh' apply`, workspace.stdin(service())),
      );
      expect(code, stderr).toBe(0);
    } finally {
      sshd.stop();
    }
    // What the session's end takes along is gone at once; what supervisor starts anew needs a moment on a busy machine.
    await new Promise((done) => setTimeout(done, 500));
    expect(supervisors().length).toBe(1);
    await until("the WebUI runs", () => webuis().length === 1);
  });
});

describe("ready", () => {
  /** Starts the service anew, behaving like this. */
  async function started(behaviour: Parameters<WebuiHost["behave"]>[0]): Promise<void> {
    await removeServiceQuickly();
    for (const name of ["starts", "asked"]) rmSync(join(host.source, name), { force: true });
    rmSync(join(workspace.path, "logs/webui.log"), { force: true });
    host.behave(behaviour);
    await applyConfig();
    const { code, stderr } = await applyService();
    expect(code, stderr).toBe(0);
  }
  // Keeps supervisor's own environment, so that it is not installed for each test.
  async function removeServiceQuickly(): Promise<void> {
    for (const pid of [...supervisors(), ...webuis()]) process.kill(pid, "SIGKILL");
    await until("all is ended", () => webuis().length + supervisors().length === 0);
  }

  it("fails when the model can't be loaded, with the log's words, long before the deadline", async () => {
    await started({ lines: ["Stable diffusion model failed to load"], picture: 30 });
    const { code, stderr } = await applyReady();
    expect(code).toBe(1);
    expect(stderr).toContain("the model could not be loaded; is the file whole");
    expect(stderr).toContain("The log says: Stable diffusion model failed to load");
  });

  it("fails when the WebUI dies again and again", async () => {
    await started({ dies: true });
    const { code, stderr } = await applyReady();
    expect(code).toBe(1);
    expect(stderr).toMatch(/started again \d times|nobody starts it/);
    expect(stderr).toContain("RuntimeError: it dies at once");
  });

  it("fails when the picture fails, when the password is refused, and when there is no time left", async () => {
    await started({ status: 500 });
    expect((await applyReady()).stderr).toContain("HTTP 500: ");
    const refused = await applyReady({ password_secret: "another-password" });
    expect(refused.stderr).toContain("the WebUI refuses the user atelier");
    host.behave({ picture: 600 });
    const late = await applyReady({ timeout: 8 });
    expect([late.code, late.stderr]).toEqual([1, expect.stringContaining("no picture in time")]);
  });

  it("fails when it draws with another model than asked, also after it was asked to change", async () => {
    await started({ model: "other" });
    const { code, stderr } = await applyReady();
    expect(code).toBe(1);
    expect(stderr).toContain(
      "the model v1-5.safetensors can't be loaded: asked for it, the WebUI still draws with other",
    );
    host.behave({ model: "other", accepts: "v1-5.safetensors" });
    const changed = await applyReady();
    expect(changed.code, changed.stderr).toBe(0);
    expect(changed.facts.picture).toMatchObject({ model: "v1-5" });
  });

  it("does not touch the port before the log says that the start is over; then a picture is the proof", async () => {
    await started({ start: 6 });
    const early = await workspace.run("90-ready.sh", "check", workspace.stdin(ready()));
    expect(early.code).toBe(10);
    const { code, stderr, facts } = await applyReady();
    expect(code, stderr).toBe(0);
    expect(facts.picture).toMatchObject({ model: "v1-5", hash: "0123456789" });
    const asked = workspace.file("src/webui/asked").trim().split("\n");
    expect(asked[0]).toContain("/sdapi/v1/txt2img");
    expect((await workspace.run("90-ready.sh", "check", ready())).code).toBe(0);
    expect((await workspace.run("90-ready.sh", "check", workspace.file("run/ready/applied"))).code).toBe(0);
    expect(workspace.file("run/ready/applied")).not.toContain(password);
  });

  it("starts a WebUI again whose start was disturbed by somebody's poll", async () => {
    await started({ races: 1 });
    const { code, stderr } = await applyReady();
    expect(code, stderr).toBe(0);
    expect(stderr).toContain("the WebUI's start was disturbed by a request to its port");
    expect(workspace.file("src/webui/starts")).toBe("2");
  });

  it("leaves the password in no argument, no environment, no log and no file but the one", async () => {
    await started({});
    const apply = applyReady();
    const seen = spawn("sh", [
      "-c",
      "for i in 1 2 3 4 5 6 7 8; do cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null; sleep 0.1; done",
    ]);
    const { stdout } = await collect(seen);
    expect((await apply).code).toBe(0);
    expect(stdout.length).toBeGreaterThan(1000);
    expect(stdout).not.toContain(password);
    const found = execFileSync("grep", ["-rl", password, workspace.path], { encoding: "utf8" });
    expect(found.trim()).toBe(join(workspace.path, "data/credentials"));
  });
});
