import { type AddressInfo, connect } from "node:net";
import { Server } from "ssh2";
import { expect, onTestFinished, test } from "vitest";
import { keyPair } from "../helpers/keyPair.ts";
import { fake, inputFor, prove } from "./prove.ts";

const keys = keyPair();
const login = { user: "root", password: "ssh-secret-1234" };

/** An SSH server that lets connections through to loopback. */
async function sshServer() {
  const forwarded: string[] = [];
  const server = new Server({ hostKeys: [keys.private] }, (client) => {
    client.on("error", () => {});
    client.on("authentication", (attempt) => {
      const right =
        attempt.method === "password" && attempt.username === login.user && attempt.password === login.password;
      if (right) attempt.accept();
      else attempt.reject(["password"]);
    });
    client.on("ready", () => {
      client.on("tcpip", (accept, _reject, { destIP, destPort }) => {
        forwarded.push(`${destIP}:${destPort}`);
        const socket = connect(destPort, destIP);
        const stream = accept();
        socket.on("error", () => stream.close());
        stream.on("error", () => socket.destroy());
        socket.pipe(stream).pipe(socket);
      });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const host = { address: "127.0.0.1", port, ...login, hostKey: keys.public.trim() };
  return { host, forwarded };
}

test("a WebUI on the host's loopback is proved through SSH, under its own name", async () => {
  const webui = await fake();
  const { host, forwarded } = await sshServer();
  const { proof, failed, lines } = await prove(
    inputFor(webui.url, { tunnel: { ...host, workspace: "/root/atelier" } }),
  );
  expect(failed).toEqual({});
  expect(proof.webui.url).toBe(webui.url);
  expect(new Set(forwarded)).toEqual(new Set([`127.0.0.1:${webui.port}`]));
  expect(JSON.stringify(proof) + lines.join()).not.toContain(login.password);
});

test("a host with another key than the pinned one gets no password", async () => {
  const webui = await fake();
  const { host } = await sshServer();
  const other = keyPair().public.trim();
  const { failed } = await prove(inputFor(webui.url, { tunnel: { ...host, hostKey: other } }));
  expect(failed.ready).toMatch(/No SSH connection to root@127\.0\.0\.1:\d+ .*atelier trust --replace/);
  expect(failed.txt2img).toBe("Not run: the WebUI is gone (see ready).");
});

test("a refused login is one clear error", async () => {
  const webui = await fake();
  const { host } = await sshServer();
  const { failed } = await prove(inputFor(webui.url, { tunnel: { ...host, password: "wrong-one" } }));
  expect(failed.ready).toMatch(/No SSH connection to .*authentication.* Check that the host runs/);
  expect(failed.ready).not.toContain("wrong-one");
});

test("a WebUI that does not run behind the tunnel", async () => {
  const { host } = await sshServer();
  const { failed } = await prove(inputFor("http://127.0.0.1:1", { tunnel: host, deadlines: { ready: 4 } }));
  expect(failed.ready).toMatch(/The WebUI at http:\/\/127\.0\.0\.1:1 had no API after 4 s/);
});
