import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { createServer, type Server, type Socket } from "node:net";
import { delimiter, join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { Interrupt } from "../../scripts/cli/interrupt.ts";
import { Clone, nowhere } from "./clone.ts";

let interrupt: Interrupt | undefined;
afterEach(() => interrupt?.close());

test("one press that arrives twice, from the terminal and forwarded, stops but does not kill", () => {
  const said: string[] = [];
  interrupt = new Interrupt((text) => said.push(text));
  interrupt.press(1000);
  interrupt.press(1050);
  expect([interrupt.signal.aborted, interrupt.killSignal.aborted]).toEqual([true, false]);
  expect(said).toHaveLength(1);
});

test("a press held for a while stays one", () => {
  interrupt = new Interrupt(() => {});
  for (let now = 0; now < 2000; now += 100) interrupt.press(now);
  expect(interrupt.killSignal.aborted).toBe(false);
});

test("a press that came before it was waited for is one", async () => {
  interrupt = new Interrupt(() => {});
  interrupt.press();
  await interrupt.untilPressed();
  expect(interrupt.pressed).toBe(true);
});

test("no listener stays behind", () => {
  const before = process.listenerCount("SIGINT");
  new Interrupt(() => {}).close();
  expect(process.listenerCount("SIGINT")).toBe(before);
});

test.skipIf(process.platform === "win32").each([
  ["without one, as under nohup, is none of ours", false],
  ["is a press", true],
])("a terminal's end %s", async (_, terminal) => {
  const module = new URL("../../scripts/cli/interrupt.ts", import.meta.url).href;
  const program = `
    import { Interrupt } from "${module}";
    const interrupt = new Interrupt(() => {});
    setTimeout(() => process.exit(interrupt.pressed ? 3 : 4), 200);
    process.kill(process.pid, "SIGHUP");
  `;
  const node = [process.execPath, "--input-type=module", "-e", program];
  const quoted = node.map((word) => `'${word}'`).join(" ");
  const [command = "", ...args] = terminal ? ["script", "-qec", quoted, "/dev/null"] : node;
  const child = spawn(command, args, { stdio: "ignore" });
  expect(await once(child, "exit")).toEqual([terminal ? 3 : 4, null]);
});

const noDocker = (process.env.PATH ?? "").split(delimiter).some((folder) => existsSync(join(folder, "docker")))
  ? undefined
  : "no docker on PATH";

describe("Ctrl-C while somebody silent is waited for", () => {
  let clone: Clone;
  let server: Server;
  /** A Docker engine's socket that is as silent. */
  let engine: Server;
  let port: number;
  const sockets = new Set<Socket>();
  /** Who waits for an answer from now on. */
  const caller = () => new Promise<void>((resolve) => server.once("connection", () => resolve()));

  beforeAll(async () => {
    clone = new Clone();
    server = createServer((socket) => void sockets.add(socket.on("error", () => {})));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    port = (server.address() as AddressInfo).port;
    const socket = join(clone.dir, "docker.sock");
    engine = createServer((one) => void server.emit("connection", one)).listen(socket);
    clone.settings("boxed", { host: { kind: "docker", docker: { host: `unix://${socket}` }, gpu: "none" } });
    clone.settings("far", { host: { ...nowhere, port, hostKey: undefined } });
    clone.settings("seen", { host: { ...nowhere, port, platform: "auto" } });
    clone.settings("live", { host: nowhere });
    const input = JSON.stringify({
      url: `http://127.0.0.1:${port}`,
      user: "atelier",
      password: "a-long-password",
      model: "m.safetensors",
      reportDir: "r",
    });
    clone.program(`export const liveCheck = ${JSON.stringify(input)};\n`);
  });
  afterEach(() => {
    for (const socket of sockets) socket.destroy();
    sockets.clear();
  });
  afterAll(() => {
    server?.close();
    engine?.close();
    clone?.remove();
  });

  test.each(
    [
      ["trust", "--stack", "far"],
      ["up", "--stack", "far", "--yes"],
      ["up", "--stack", "seen", "--yes"],
      ["preview", "--stack", "seen"],
      ["models", "verify", "--stack", "seen"],
      ["lock", "--check"],
      ["up", "--stack", "live", "--yes"],
      ["bundle", "create", "laid", "--stack", "far"],
    ].map((args) => [args]),
  )("%j ends at once, with 130 and one JSON document", endsAtOnce);
  test.skipIf(noDocker)(`image does${noDocker ? `: ${noDocker}` : ""}`, () =>
    endsAtOnce(["image", "--stack", "boxed"]),
  );

  async function endsAtOnce(args: string[]) {
    const called = caller();
    const proxy = `http://127.0.0.1:${port}`;
    const env = ["lock", "bundle"].includes(args[0] as string)
      ? { HTTPS_PROXY: proxy, HTTP_PROXY: proxy, https_proxy: proxy }
      : {};
    const { child, finished } = clone.start([...args, "--json"], { env });
    await Promise.race([
      called,
      finished.then((end) => Promise.reject(new Error(`it ended without a call: ${JSON.stringify(end)}`))),
    ]);
    child.kill("SIGINT");
    const { code, stdout, stderr } = await finished;
    expect([code, stderr]).toEqual([130, expect.stringContaining("Interrupted")]);
    if (!args.includes("live")) expect(stderr).not.toContain("the state is saved");
    expect(JSON.parse(stdout)).toMatchObject({ command: args[0], result: "interrupted" });
  }
});
