import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { asBox, noSshd, type Sshd, startSshd } from "../helpers/sshd.ts";
import { until } from "../helpers/until.ts";
import { Clone } from "./clone.ts";

describe.skipIf(noSshd)("atelier tunnel", () => {
  let clone: Clone;
  let sshd: Sshd;
  let webui: Server;
  let port: number;
  const settings = () =>
    clone.settings("t", { host: { ...asBox(sshd), platform: "plain" }, webui: { port, exposure: "tunnel" } });
  beforeAll(async () => {
    sshd = await startSshd();
    clone = new Clone();
    webui = createServer((request, response) => {
      // An answer that does not end, as gradio's events do not.
      if (request.url === "/events") return void response.write("first\n");
      response.end(`${request.url} by the WebUI`);
    });
    await new Promise<void>((resolve) => webui.listen(0, "127.0.0.1", resolve));
    ({ port } = webui.address() as AddressInfo);
    settings();
  });
  afterAll(async () => {
    webui?.closeAllConnections();
    webui?.close();
    clone?.remove();
    await sshd?.stop();
  });

  it("says where nothing listens on the host", async () => {
    const open = port;
    port = 9;
    settings();
    port = open;
    const { code, stderr } = await clone.run(["tunnel", "--stack", "t"]);
    settings();
    expect([code, stderr]).toEqual([
      1,
      expect.stringMatching(/^\S+ reaches no 127\.0\.0\.1:9: .*Does the WebUI run\? npx atelier status --stack t\n$/),
    ]);
  });

  it("takes no port that is taken, where one was asked for, and nothing that is none", async () => {
    const taken = await clone.run(["tunnel", "--stack", "t", "--port", String(port)]);
    expect([taken.code, taken.stderr]).toEqual([1, expect.stringContaining(`Port ${port} of this machine`)]);
    const none = await clone.run(["tunnel", "--stack", "t", "--port", "http"]);
    expect([none.code, none.stderr]).toEqual([2, expect.stringContaining("--port is a number")]);
  });

  it("brings it to a port of this machine, over dropped lines, until Ctrl-C", async () => {
    const { child, told, finished } = clone.start(["tunnel", "--stack", "t", "--json"]);
    await until("the tunnel stands", () => told.stderr.includes("Its login"));
    const { url, host } = JSON.parse(told.stdout) as { url: string; host: string };
    // The WebUI's own port is taken here: by the WebUI.
    expect(url).not.toBe(`http://127.0.0.1:${port}`);
    expect(host).toBe(`${sshd.user}@127.0.0.1:${sshd.port}`);
    const get = async (path: string) => (await fetch(`${url}${path}`)).text();
    expect(await Promise.all(["/a", "/b", "/c"].map(get))).toEqual(
      ["/a", "/b", "/c"].map((at) => `${at} by the WebUI`),
    );
    const before = sshd.logins();
    sshd.dropConnections();
    await until(
      "it goes on over a new line",
      async () => (await get("/again").catch(() => "")) === "/again by the WebUI",
    );
    expect(sshd.logins()).toBe(before + 1);

    const events = await fetch(`${url}/events`);
    const reader = events.body?.getReader();
    expect(new TextDecoder().decode((await reader?.read())?.value)).toBe("first\n");
    child.kill("SIGINT");
    expect((await finished).code).toBe(130);
    await expect(reader?.read()).rejects.toThrow();
  });
});
