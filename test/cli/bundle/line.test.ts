import { spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Manifest } from "../../../scripts/cli/bundle/manifest.ts";
import { asBox, noSshd, type Sshd, startSshd } from "../../helpers/sshd.ts";
import { until } from "../../helpers/until.ts";
import { Clone } from "../clone.ts";

describe.skipIf(noSshd)(`the line that carries a bundle to a host (${noSshd ?? "sshd is there"})`, () => {
  let clone: Clone;
  let sshd: Sshd;

  beforeAll(async () => {
    sshd = await startSshd();
    clone = new Clone();
    clone.settings("t", { host: asBox(sshd) });
    const manifest: Manifest = {
      form: 1,
      for: "t",
      git: [],
      wheels: [],
      models: [],
      tokenizer: { repository: "o/r", revision: "x", files: [] },
      images: [],
      plugins: [],
      pluginWheels: [],
      files: [],
    };
    mkdirSync(join(clone.dir, "bundle"));
    writeFileSync(join(clone.dir, "bundle/bundle.json"), JSON.stringify(manifest));
  });
  afterAll(async () => {
    clone?.remove();
    await sshd?.stop();
  });

  it("is made again on its port, also where the host holds that for the dead line at first", async () => {
    const use = JSON.stringify(pathToFileURL(join(clone.dir, "scripts/cli/bundle/use.ts")).href);
    const program = `const { useUpstreams } = await import(${use});
      const end = await useUpstreams("bundle:bundle", "t", { line: console.error });
      console.log(process.env.ATELIER_UPSTREAMS);
      process.stdin.resume().once("end", end);`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", program], {
      cwd: clone.dir,
      env: { PATH: process.env.PATH, HOME: sshd.dir, ATELIER_HOME: clone.home },
      stdio: ["pipe", "pipe", "inherit"],
    });
    const ended = new Promise((done) => child.once("close", done));
    let said = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      said += text;
    });
    let holding: Server | undefined;
    try {
      await until("the bundle is served", () => said.includes("\n"));
      const base = said.trim().replace("bundle:", "");
      const answers = () =>
        fetch(`${base}simple/`).then(
          (answer) => answer.ok,
          () => false,
        );
      expect(await answers()).toBe(true);
      sshd.dropConnections();
      const held = Date.now();
      await until("its port is held", async () => {
        holding = await listen(Number(new URL(base).port));
        return holding !== undefined;
      });
      // Its first attempts, the first of them after half a second, find the port taken.
      await until("the line was tried", () => Date.now() - held > 2500);
      holding?.close();
      await until("the bundle is served again", answers);
    } finally {
      holding?.close();
      child.stdin.end();
      await ended;
    }
  });
});

/** Nobody answers there; undefined where somebody else listens. */
function listen(port: number): Promise<Server | undefined> {
  return new Promise((resolve) => {
    const server = createServer((socket) => socket.destroy());
    server.once("error", () => resolve(undefined));
    server.listen(port, "127.0.0.1", () => resolve(server));
  });
}
