import { createServer, type RequestListener, type Server } from "node:http";
import { createServer as createTls } from "node:https";
import type { AddressInfo } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { Console } from "../../scripts/dify/client.ts";
import { setup } from "../../scripts/dify/setup.ts";
import { endsKeptLines, selfSigned } from "../helpers/faults.ts";
import { until } from "../helpers/until.ts";
import { secrets, World } from "./world.ts";

describe("the first admin, and every later login", () => {
  let world: World;
  beforeAll(async () => {
    world = await new World().start();
  });
  afterAll(() => world.stop());
  const logins = () => world.asked.filter((line) => line === "POST /console/api/login").length;

  test("without the right INIT_PASSWORD nobody becomes admin", async () => {
    const { code, stderr } = await world.run(world.items.setup, "apply", { dify: { initPassword: "another" } });
    expect([code, stderr]).toEqual([1, expect.stringMatching(/POST \/console\/api\/init .*401[\s\S]*INIT_PASSWORD/)]);
    expect(world.dify.state.account).toBeUndefined();
  });

  test("in somebody's Dify no admin is made", async () => {
    const { code, stderr } = await world.run(world.items.setup, "apply", { own: false });
    expect([code, stderr]).toEqual([1, expect.stringMatching(/has no admin yet[\s\S]*dify\.password/)]);
    const later = await world.run(world.items.tool);
    expect([later.code, later.stderr]).toEqual([1, expect.stringMatching(/has no admin yet/)]);
    expect(world.dify.state.account).toBeUndefined();
  });

  test("a password that Dify refuses is explained, and not shown", async () => {
    const { code, stderr } = await world.run(world.items.setup, "apply", { dify: { password: "letters-only" } });
    expect([code, stderr]).toEqual([1, expect.stringMatching(/422[\s\S]*a letter and a digit/)]);
    expect(stderr).not.toContain("letters-only");
  });

  test("then it is set up, twice without a change, and plugins upgrade themselves no longer", async () => {
    const facts = { version: "1.14.2", workspaceId: expect.stringMatching(/^[0-9a-f-]{36}$/) };
    expect(await world.apply(world.items.setup)).toEqual(facts);
    expect(await world.apply(world.items.setup)).toEqual(facts);
    expect(world.dify.state.preferences.auto_upgrade).toMatchObject({ strategy_setting: "disabled" });
    expect(world.dify.state.preferences.permission).toMatchObject({ install_permission: "everyone" });
  });

  test("in somebody's Dify a silent plugin daemon is waited for a minute, whatever a new one may take", async () => {
    world.dify.lies.order("daemon_down");
    const before = world.asked.length;
    vi.useFakeTimers({ toFake: ["Date"] });
    try {
      const late = world.run(world.items.setup, "apply", { own: false });
      // Its clock is read once the daemon was first asked.
      await until("the daemon was asked", () =>
        world.asked.slice(before).some((line) => line.includes("/plugin/list")),
      );
      vi.setSystemTime(Date.now() + 61_000);
      expect(await late).toMatchObject({ code: 1, stderr: expect.stringContaining("did not answer for 60 s") });
    } finally {
      vi.useRealTimers();
      world.dify.lies.clear();
    }
  });

  test("as a command it answers by its streams and its exit code", async () => {
    const { item, ...rest } = world.items.setup;
    const input = { ...rest, dify: world.login(), own: true, token: "" };
    const [done, wrong, silent] = await Promise.all([
      world.spawn([item, "apply"], input, { PULUMI_COMMAND_STDOUT: '{"version":"1"}' }),
      world.spawn([item], input),
      world.spawn(["check"], { dify: world.login({ url: "http://127.0.0.1:9", timeout: 1 }), own: true, items: {} }),
    ]);
    expect([done.code, done.facts]).toEqual([0, { version: "1.14.2", workspaceId: expect.any(String) }]);
    expect([wrong.code, wrong.stdout, wrong.stderr]).toEqual([2, "", expect.stringMatching(/usage: .*apply\|remove/)]);
    expect([silent.code, silent.stdout, silent.stderr]).toEqual([4, "", expect.stringContaining("127.0.0.1:9")]);
  });

  test("at `down` the last up's password counts, and that is said", async () => {
    const { code, stderr } = await world.run(world.items.agent, "remove", {
      own: false,
      dify: { password: "wrong-1" },
    });
    expect([code, stderr]).toEqual([1, expect.stringMatching(/401 .*run `npx atelier up` first/)]);
  });

  test("a wrong password is tried once, and said so", async () => {
    const before = logins();
    for (const ran of [
      await world.run(world.items.tool, "apply", { dify: { password: "wr0ng-password" } }),
      await world.check(world.items, { dify: { password: "wr0ng-password" } }),
    ]) {
      expect(ran.code).toBe(1);
      expect(ran.stderr).toMatch(/401 authentication_failed: Invalid email or password\. It was tried once/);
      expect(ran.stderr).toMatch(
        /Check dify\.email.*changed in Dify's own pages, also .* `up` made, .*dify\.passwordEnv/,
      );
    }
    expect(logins() - before).toBe(2);
  });

  test("too many of them are told from one", async () => {
    const dify = { email: "other@example.com", password: "wr0ng-password" };
    let last = "";
    for (let tries = 0; tries < 7; tries++) last = (await world.run(world.items.tool, "apply", { dify })).stderr;
    expect(last).toMatch(/429 email_code_login_limit[\s\S]*for a day[\s\S]*the right password too/);
  });

  test("behind https the cookies have other names, and are sent all the same", async () => {
    const https = { CONSOLE_API_URL: "https://dify.example.com", CONSOLE_WEB_URL: "https://dify.example.com" };
    await world.serve(world.newDify(https));
    await world.apply(world.items.setup);
    expect((await world.check({ setup: world.items.setup })).facts).toEqual({ items: { setup: { ok: true } } });
  });

  test("no secret was printed", () => {
    for (const secret of [...Object.values(secrets), Buffer.from(secrets.password).toString("base64")])
      expect(world.printed).not.toContain(secret);
  });
});

describe("what is not a tested Dify gets no password", () => {
  let server: Server;
  let bodies = "";
  const serve = async (answer: RequestListener) => {
    server = createServer(async (request, response) => {
      for await (const part of request) bodies += part;
      answer(request, response);
    });
    await new Promise<void>((listens) => server.listen(0, "127.0.0.1", listens));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  };
  const console = (url: string) => new Console({ url, email: "a@example.com", password: secrets.password });
  afterEach(async () => {
    bodies = "";
    server.closeAllConnections();
    await new Promise((closed) => server.close(closed));
  });

  test("another version", async () => {
    const url = await serve((_, response) => response.writeHead(200, { "X-Version": "1.13.3" }).end("{}"));
    await expect(console(url).login()).rejects.toThrow(/is Dify 1\.13\.3; this wiring was tried with 1\.14\.2/);
    expect(bodies).toBe("");
  });

  test("another program", async () => {
    const url = await serve((_, response) => response.writeHead(200).end("<h1>Welcome</h1>"));
    await expect(console(url).login()).rejects.toThrow(/without the header X-Version, so it is not Dify's API/);
    expect(bodies).toBe("");
  });

  const pair = selfSigned();
  test.skipIf(!pair)("a certificate of an unknown authority", async () => {
    server = createTls(pair ?? {}, (_, response) => response.end("{}"));
    await new Promise<void>((listens) => server.listen(0, "127.0.0.1", listens));
    const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
    await expect(console(url).login()).rejects.toThrow(/self-signed certificate.*NODE_EXTRA_CA_CERTS/);
    // An own Dify is waited for while nobody answers; waiting would not mend this.
    const input = { dify: { url, timeout: 60 }, own: true };
    await expect(setup.apply({ console: console(url), input, say: () => {} } as never)).rejects.toThrow(
      /NODE_EXTRA_CA_CERTS/,
    );
  });

  test("nobody", async () => {
    const url = await serve(() => {});
    server.closeAllConnections();
    await new Promise((closed) => server.close(closed));
    await expect(console(url).login()).rejects.toThrow(/ECONNREFUSED[\s\S]*dify\.url/);
    server = createServer().listen(0);
  });
});

describe("a session", () => {
  let server: Server;
  const asked: string[] = [];
  let tokens = 0;
  let expired = false;
  let stubborn = false;
  let down = 0;
  let url = "";
  beforeAll(async () => {
    server = createServer((request, response) => {
      const path = `${request.method} ${request.url?.replace("/console/api", "")}`;
      asked.push(path);
      response.setHeader("X-Version", "1.14.2");
      if (path === "POST /login" || path === "POST /refresh-token") {
        tokens++;
        expired = stubborn;
        const names = ["access_token", "refresh_token", "csrf_token"];
        response.setHeader(
          "Set-Cookie",
          names.map((name) => `${name}=${name}-of-this-login-${tokens}; Path=/`),
        );
        return response.end('{"result": "success"}');
      }
      if (path === "GET /setup") return response.end('{"step": "finished"}');
      if (down-- > 0) return response.writeHead(502).end("<html>Bad Gateway</html>");
      const right = request.headers["x-csrf-token"] === `csrf_token-of-this-login-${tokens}`;
      if (expired || stubborn || !right)
        return response.writeHead(401).end('{"code": "unauthorized", "message": "Token has expired."}');
      return response.end('{"fine": true}');
    });
    endsKeptLines(server);
    await new Promise<void>((listens) => server.listen(0, "127.0.0.1", listens));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(async () => {
    server.closeAllConnections();
    await new Promise((closed) => server.close(closed));
  });

  test("whose token has expired gets another one, once", async () => {
    const console = new Console({ url, email: "a@example.com", password: secrets.password });
    await console.login();
    expired = true;
    expect(await console.get("/anything")).toEqual({ fine: true });
    expect(asked.slice(-3)).toEqual(["GET /anything", "POST /refresh-token", "GET /anything"]);
  });

  test("that is refused all the same says what came back, without its cookies", async () => {
    const console = new Console({ url, email: "a@example.com", password: secrets.password });
    await console.login();
    const token = `csrf_token-of-this-login-${tokens}`;
    stubborn = true;
    const refused = console.get(`/with/${token}`).catch((error: Error) => error.message);
    expect(await refused).toMatch(
      /^GET \/console\/api\/with\/\*\*\* at .* answered 401 unauthorized: Token has expired\./,
    );
    stubborn = false;
  });

  test("outlives a moment without an API, where it only reads", async () => {
    const console = new Console({ url, email: "a@example.com", password: secrets.password });
    await console.login();
    down = 2;
    expect(await console.get("/again")).toEqual({ fine: true });
    down = 1;
    await expect(console.post("/again")).rejects.toThrow(/POST \/console\/api\/again at .* answered 502: Bad Gateway/);
  });
});
