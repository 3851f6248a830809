import { existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { freePort } from "../../rehearsal/lib/ports.ts";
import { until } from "../helpers/until.ts";
import { basic, callTo } from "./lib/gate.ts";
import { WebuiHost } from "./lib/webui.ts";
import type { Inputs } from "./lib/workspace.ts";

const lockOf = (name: string) =>
  readFileSync(resolve(import.meta.dirname, "..", "..", "images", "wheels", `${name}.txt`), "utf8");
const host = new WebuiHost();
const { workspace } = host;
let port: number;
let innerPort: number;
let password = "Pass_word-4711";

const common = () => ({ manager: "supervisor", listen: "127.0.0.1" });
const service = (more: Inputs = {}): Inputs => ({
  ...common(),
  ...{ supervisor_lock: lockOf("supervisor"), port: innerPort, gate: "yes", config: "1", ...more },
});
const gate = (more: Inputs = {}): Inputs => ({
  ...common(),
  ...{ port, inner_port: innerPort, queue: 4, deadline: 110, interrupt: "yes", gate_lock: lockOf("gate"), ...more },
});
const apply = (more?: Inputs, options = {}) => workspace.run("85-gate.sh", "apply", gate(more), options);
const check = (more?: Inputs) => workspace.run("85-gate.sh", "check", gate(more));
const applyService = async (more?: Inputs) => {
  const { code, stderr } = await workspace.run("80-service.sh", "apply", service(more));
  expect(code, stderr).toBe(0);
};
const applyConfig = async (at = innerPort) => {
  const inputs = {
    listen: "127.0.0.1",
    port: at,
    options: "{}",
    flags: ["--no-half"],
    user: "atelier",
    password_secret: password,
  };
  const { code, stderr } = await workspace.run("70-config.sh", "apply", inputs);
  expect(code, stderr).toBe(0);
};
const gates = () => host.processes(`${workspace.bin}/gate.py`);
const webuis = () => host.processes(`${workspace.bin}/webui_start.py`);
const login = () => basic(`atelier:${password}`);
const answers = async (at = port) => (await callTo(at, "/sdapi/v1/sd-models", { auth: login() })).status;

beforeAll(async () => {
  [port, innerPort] = [await freePort(), await freePort()];
  await host.prepare();
});
afterAll(() => workspace.destroy());

describe("the step gate", () => {
  beforeAll(async () => {
    await applyConfig();
    await applyService();
  });

  it("refuses what it can't work with", async () => {
    for (const [bad, sentence] of [
      [{ queue: "many" }, "queue=many is not a number"],
      [{ interrupt: "perhaps" }, "interrupt=perhaps: yes or no"],
      [{ inner_port: port }, "the gate and the WebUI can't share one"],
      [{ gate_lock: "" }, "gate_lock is empty"],
    ] as const) {
      const { code, stderr } = await apply(bad as Inputs);
      expect([bad, code, stderr]).toEqual([bad, 2, expect.stringContaining(sentence)]);
    }
    expect((await check()).stderr).toContain("never applied here");
  });

  it("refuses a port that another holds, and names it", async () => {
    const other = createServer().listen(port, "127.0.0.1");
    await until("it listens", () => other.listening);
    const { code, stderr } = await apply();
    other.close();
    expect([code, stderr]).toEqual([1, expect.stringContaining(`port ${port} is taken by process ${process.pid} `)]);
  });

  it("stands before the WebUI under the same supervisor, the WebUI left alone, and no password in its surroundings", async () => {
    const before = webuis();
    const { code, stderr, facts } = await apply();
    expect(code, stderr).toBe(0);
    expect(facts).toMatchObject({ step: "gate", manager: "supervisor", restarted: true });
    await until("it answers", async () => (await answers().catch(() => 0)) === 200);
    expect(webuis()).toEqual(before);
    expect((await check()).code).toBe(0);
    // Without inputs, from what was applied.
    expect((await workspace.run("85-gate.sh", "check", workspace.file("run/gate/applied"))).code).toBe(0);
    const [pid] = gates();
    for (const name of ["cmdline", "environ"])
      expect(readFileSync(`/proc/${pid}/${name}`, "utf8")).not.toContain(password);
    for (const file of ["run/gate/config.json", "run/gate.sh", "run/supervisor.d/gate.conf", "logs/gate.log"])
      expect(workspace.file(file)).not.toContain(password);
    // The WebUI knows that it is behind a gate.
    expect(JSON.parse(workspace.file("src/webui/seen.json")).environ.ATELIER_GATE).toBe("1");
  });

  it("is left alone by an apply that changes nothing; another setting restarts it, and not the WebUI", async () => {
    const [before, webui] = [gates(), webuis()];
    const same = await apply();
    expect([same.facts.restarted, gates()]).toEqual([false, before]);
    expect((await check({ queue: 5 })).stderr).toContain("older configuration");
    const other = await apply({ queue: 5 });
    expect(other.code, other.stderr).toBe(0);
    expect(gates()).not.toEqual(before);
    expect(webuis()).toEqual(webui);
    expect((await callTo(port, "/internal/gate", { auth: login() })).json).toMatchObject({ queue: 5 });
  });

  it("that still runs, and whose Python or manager's is gone, would not start again: that is seen", async () => {
    for (const [tool, said] of [
      ["gate", () => check()],
      ["supervisor", () => workspace.run("80-service.sh", "check", service())],
    ] as const) {
      const python = join(workspace.path, "tools", tool, "bin/python");
      renameSync(python, `${python}.gone`);
      expect((await said()).stderr).toMatch(/their Python is gone/);
      renameSync(`${python}.gone`, python);
      expect((await said()).stderr).not.toMatch(/their Python is gone/);
    }
  });

  it("comes back when it is killed, and when its supervisor is, with the service", async () => {
    const [killed] = gates();
    process.kill(killed as number, "SIGKILL");
    await until("supervisor starts another", () => gates().some((pid) => pid !== killed));
    await until("it answers", async () => (await answers().catch(() => 0)) === 200);
    // The supervisor goes; its gate stays behind and holds the port.
    for (const pid of host.processes(`${workspace.path}/run/supervisord.conf`)) process.kill(pid, "SIGKILL");
    await until("it is seen", async () => (await check()).stderr.includes("service manager (supervisor) does not run"));
    await applyService();
    const { code, stderr } = await apply();
    expect(code, stderr).toBe(0);
    expect(gates()).toHaveLength(1);
    await until("it answers", async () => (await answers().catch(() => 0)) === 200);
  });

  it("that its supervisor, started anew, is just starting is waited for, not restarted", async () => {
    const [python] = readdirSync(join(workspace.path, "tools/gate/lib"));
    const slow = join(workspace.path, "tools/gate/lib", String(python), "site-packages/slow.pth");
    // As on a busy host: it runs, and listens seconds later.
    writeFileSync(slow, 'import time; time.sleep(4 if b"gate.py" in open("/proc/self/cmdline", "rb").read() else 0)\n');
    await applyService({ config: "2" });
    await until("supervisor starts it", () => gates().length === 1);
    const before = gates();
    const { code, stderr, facts } = await apply();
    rmSync(slow);
    expect(code, stderr).toBe(0);
    expect([facts.restarted, gates()]).toEqual([false, before]);
    await until("it answers", async () => (await answers().catch(() => 0)) === 200);
  });

  it("goes by a new password", async () => {
    const old = login();
    password = "Another-word_1";
    await applyConfig();
    expect((await check()).stderr).toContain("older configuration");
    await applyService();
    const { code, stderr } = await apply();
    expect(code, stderr).toBe(0);
    await until("it answers", async () => (await answers().catch(() => 0)) === 200);
    expect((await callTo(port, "/sdapi/v1/sd-models", { auth: old })).status).toBe(401);
  });

  it("that lost its packages, or whose port is dead, is seen", async () => {
    rmSync(join(workspace.path, "tools/gate/.lock"));
    expect((await check()).stderr).toContain("packages are not those of its lock");
    expect((await apply()).code).toBe(0);
    expect((await check()).code).toBe(0);
    expect((await check({ port: await freePort() })).stderr).toContain("older configuration");
  });

  it("makes room when it is switched off: the WebUI takes its port; and again when it is switched on", async () => {
    await applyConfig(port);
    await applyService({ port, gate: "no" });
    await until("it answers", async () => (await answers().catch(() => 0)) === 200);
    expect(gates()).toEqual([]);
    expect(JSON.parse(workspace.file("src/webui/seen.json")).environ).not.toHaveProperty("ATELIER_GATE");
    const removed = await workspace.run("85-gate.sh", "remove", gate());
    expect(removed.code, removed.stderr).toBe(0);
    expect(await answers()).toBe(200);
    await applyConfig();
    await applyService();
    expect((await apply()).code).toBe(0);
    await until("it answers", async () => (await answers().catch(() => 0)) === 200);
  });

  it("changes places with the WebUI when the two ports are exchanged", async () => {
    [port, innerPort] = [innerPort, port];
    await applyConfig();
    await applyService();
    const { code, stderr } = await apply();
    expect(code, stderr).toBe(0);
    await until("it answers", async () => (await answers().catch(() => 0)) === 200);
    expect((await callTo(port, "/", { auth: null })).headers.server).toBe("atelier-gate");
  });

  it("is gone after remove, and the WebUI runs on", async () => {
    const before = webuis();
    const { code, stderr } = await workspace.run("85-gate.sh", "remove", gate());
    expect(code, stderr).toBe(0);
    expect([gates(), webuis()]).toEqual([[], before]);
    for (const path of ["tools/gate", "run/gate", "run/gate.sh", "run/supervisor.d/gate.conf"])
      expect([path, existsSync(join(workspace.path, path))]).toEqual([path, false]);
    expect((await workspace.run("85-gate.sh", "remove", gate())).code).toBe(0);
  });
});

describe("the gate under systemd", () => {
  beforeEach(async () => {
    await applyConfig();
  });

  it("has a unit of its own beside the WebUI's", async () => {
    const units = workspace.commands({});
    const calls = join(workspace.top, "calls");
    const disabled = join(workspace.top, "disabled");
    const path = workspace.commands({
      systemctl: `#!/bin/sh
echo "$@" >>'${calls}'
case "$1 $2 $3" in
  "restart "*-gate*) setsid sh '${workspace.path}/run/gate.sh' >/dev/null 2>&1 </dev/null & ;;
  "is-enabled -q "*-gate) [ ! -e '${disabled}' ] ;;
  "enable -q "*-gate) rm -f '${disabled}' ;;
esac
`,
    });
    const inputs = gate({ manager: "systemd", unit_dir: units });
    const { code, stderr } = await workspace.run("85-gate.sh", "apply", inputs, { path: [path] });
    expect(code, stderr).toBe(0);
    const file = workspace.file("run/gate/unit").trim();
    const unit = readFileSync(file, "utf8");
    expect(file).toMatch(/atelier-\S+-gate\.service$/);
    expect(unit).toContain(`ExecStart=/bin/sh '${workspace.path}/run/gate.sh'`);
    expect(unit).toContain("Restart=always");
    expect(readFileSync(calls, "utf8")).toMatch(/daemon-reload\nenable -q (\S+-gate)\nrestart \1\n/);
    expect((await workspace.run("85-gate.sh", "check", inputs, { path: [path] })).code).toBe(0);
    // By somebody's hand, while it runs.
    writeFileSync(disabled, "");
    const off = await workspace.run("85-gate.sh", "check", inputs, { path: [path] });
    expect([off.code, off.stderr]).toEqual([10, expect.stringMatching(/^the unit \S+-gate was disabled/)]);
    expect((await workspace.run("85-gate.sh", "apply", inputs, { path: [path] })).facts.restarted).toBe(false);
    expect((await workspace.run("85-gate.sh", "check", inputs, { path: [path] })).code).toBe(0);
    expect((await workspace.run("85-gate.sh", "remove", inputs, { path: [path] })).code).toBe(0);
    expect([existsSync(file), gates()]).toEqual([false, []]);
  });
});
