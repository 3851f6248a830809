import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { until } from "../helpers/until.ts";
import { python } from "../rehearsal/standin.ts";
import { basic, callTo, Gate, Inner, login } from "./lib/gate.ts";

const { path, missing } = python("gate");
const [user = "", password = ""] = login.split(":");
const form = (name: string, word: string) => ({
  body: `username=${encodeURIComponent(name)}&password=${encodeURIComponent(word)}`,
  headers: { "content-type": "application/x-www-form-urlencoded" },
  auth: null,
});

/** What comes back for these pieces, the second of which waits for this answer to the first. */
const raw = (port: number, [first = "", ...rest]: string[], awaited?: string) =>
  new Promise<string>((done, fail) => {
    let text = "";
    const socket = connect(port, "127.0.0.1", async () => {
      socket.write(first);
      if (awaited !== undefined) await until("it is asked for the rest", () => text === awaited);
      for (const piece of rest) {
        await new Promise((next) => setTimeout(next, 100));
        socket.write(piece);
      }
    });
    socket.setEncoding("utf8").on("data", (data: string) => {
      text += data;
    });
    socket.on("error", fail).on("close", () => done(text));
  });

describe.skipIf(missing)(`the gate's door${missing ? ` (skipped: ${missing})` : ""}`, () => {
  let gate: Gate;
  let inner: Inner;
  beforeEach(async () => {
    inner = new Inner();
    gate = new Gate(path);
    await gate.start(await inner.start());
  });
  afterEach(async () => {
    await gate.stop();
    await inner.stop();
  });

  it("keeps a stranger out of everything, with the WebUI's own words, and the WebUI hears nothing of it", async () => {
    const paths = [
      "/",
      "/docs",
      "/openapi.json",
      "/internal/ping",
      "/internal/sysinfo",
      "/internal/gate",
      "/file=config.json",
    ];
    for (const one of [
      ...paths,
      "/queue/join",
      "/config",
      "/theme.css",
      "/nothing-here",
      "/sdapi/v1/options",
      "/controlnet/model_list",
    ]) {
      const { status, json, headers } = await gate.call(one, { auth: null });
      expect([one, status, json]).toEqual([
        one,
        401,
        { error: "HTTPException", detail: "Not authenticated", body: "", errors: "" },
      ]);
      // A browser asks its user for the password; a program has no use for the question.
      const api = /^\/(sdapi|controlnet)\//.test(one);
      expect([one, headers["www-authenticate"]]).toEqual([
        one,
        api ? undefined : expect.stringMatching(/^Basic realm=/),
      ]);
    }
    for (const [auth, why] of [
      ["Bearer abc", "Not authenticated"],
      ["Basic ???", "Invalid authentication credentials"],
      [basic(`${user}:wrong`), "Incorrect username or password"],
      [basic(`${user}:${password}x`), "Incorrect username or password"],
      [basic(`other:${password}`), "Incorrect username or password"],
    ] as const)
      expect([auth, (await gate.api("txt2img", {}, { auth })).json.detail]).toEqual([auth, why]);
    expect(inner.asked).toEqual([]);
  });

  it("lets the right password in, gives the WebUI its own and says whose the call is", async () => {
    const { status, text } = await gate.call("/", { headers: { "x-forwarded-for": "203.0.113.7" } });
    expect([status, text]).toEqual([200, "<html>the page</html>"]);
    expect(inner.asked[0]?.headers).toMatchObject({
      authorization: basic(login),
      "x-forwarded-for": "203.0.113.7, 127.0.0.1",
      host: `127.0.0.1:${gate.port}`,
    });
  });

  it("gives a browser a cookie that opens everything, also where browsers send no password; others' cookies pass, ours does not", async () => {
    const page = await gate.call("/", { headers: { accept: "text/html,*/*" } });
    const [cookie = ""] = page.headers["set-cookie"] ?? [];
    expect(cookie).toMatch(/; HttpOnly;.*SameSite=Lax/);
    const [word = ""] = cookie.split(";");
    expect((await gate.call("/", { auth: null, headers: { cookie: `${word}; theme=dark` } })).status).toBe(200);
    expect(inner.asked.at(-1)?.headers.cookie).toBe("theme=dark");
    expect(word).not.toContain(password);
    const [name = "", value = ""] = word.split("=");
    const [ends = "", seal = ""] = value.split(".");
    const forged = [`${Number(ends) + 1}.${seal}`, `${ends}.${"0".repeat(64)}`, `1.${seal}`, `${ends}.é`, ".", ""];
    for (const bad of forged)
      expect([
        bad,
        (await gate.call("/", { auth: null, headers: { cookie: `${name}=${encodeURI(bad)}` } })).status,
      ]).toEqual([bad, 401]);
    // A program that says the password with each call needs none.
    expect((await gate.api("options")).headers["set-cookie"]).toBeUndefined();
  });

  it("takes gradio's own login, so that its Python client and its form work", async () => {
    expect((await gate.call("/login", form(user, "wrong"))).status).toBe(400);
    const right = await gate.call("/login", form(user, password));
    expect([right.status, right.json]).toEqual([200, { success: true }]);
    const cookie = (right.headers["set-cookie"]?.[0] ?? "").split(";")[0] ?? "";
    expect((await gate.call("/", { auth: null, headers: { cookie } })).status).toBe(200);
    expect(inner.of("POST /login")).toEqual([]);
  });

  it("takes a login in pieces, and as a browser's form data", async () => {
    const { body, headers } = form(user, password);
    const type = headers["content-type"];
    const whole = await raw(gate.port, [
      `POST /login HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: ${type}\r\nContent-Length: ${body.length}\r\n\r\n`,
      body.slice(0, 9),
      body.slice(9),
    ]);
    expect(whole).toMatch(/^HTTP\/1\.1 200 /);
    const data = new FormData();
    data.set("username", user);
    data.set("password", password);
    expect((await fetch(`${gate.url}/login`, { method: "POST", body: data })).status).toBe(200);
    data.set("password", "wrong");
    expect((await fetch(`${gate.url}/login`, { method: "POST", body: data })).status).toBe(400);
    const broken = { "content-type": "multipart/form-data; boundary=x" };
    expect((await gate.call("/login", { auth: null, body: "--y\r\n", headers: broken })).status).toBe(400);
  });

  it("asks for the body of a caller that waits for that, once it may enter", async () => {
    const head = (auth: string) =>
      `POST /sdapi/v1/options HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${auth}Content-Type: application/json\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n`;
    const answer = await raw(
      gate.port,
      [head(`Authorization: ${basic(login)}\r\n`), "{}"],
      "HTTP/1.1 100 Continue\r\n\r\n",
    );
    expect(answer).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 /);
    expect(inner.of("POST /sdapi/v1/options")).toHaveLength(1);
    expect(await raw(gate.port, [head("")])).toMatch(/^HTTP\/1\.1 401 /);
  });

  it("slows wrong guesses of an address down, and never the right password", async () => {
    const guesses = Array.from({ length: 130 }, (_, number) =>
      gate.api("options", undefined, { auth: basic(`${user}:${number}`) }),
    );
    const answers = await Promise.all(guesses);
    const late = answers.filter(({ status }) => status === 429);
    expect(answers.filter(({ status }) => status === 401).length).toBeGreaterThanOrEqual(100);
    expect(late.length).toBeGreaterThan(10);
    expect([late[0]?.headers["retry-after"], late[0]?.json.error]).toEqual(["1", "TooManyGuesses"]);
    // Of several at once: a second may have passed, and lets one through.
    const logins = await Promise.all(Array.from({ length: 10 }, () => gate.call("/login", form(user, "wrong"))));
    expect(logins.map(({ status }) => status)).toContain(429);
    expect((await gate.api("options")).status).toBe(200);
    // Another address has its own; and who guesses nothing is no guesser.
    expect((await gate.api("options", undefined, { auth: null })).status).toBe(401);
  });

  it("passes a browser's question whether it may ask, and no other OPTIONS", async () => {
    inner.own["OPTIONS /sdapi/v1/options"] = () => ({
      json: {},
      headers: { "access-control-allow-origin": "https://a.example" },
    });
    const headers = { origin: "https://a.example", "access-control-request-method": "POST" };
    const preflight = await gate.api("options", undefined, { method: "OPTIONS", auth: null, headers });
    expect([preflight.status, preflight.headers["access-control-allow-origin"]]).toEqual([200, "https://a.example"]);
    expect(inner.of("OPTIONS /sdapi/v1/options")[0]?.headers.authorization).toBeUndefined();
    expect((await gate.api("options", undefined, { method: "OPTIONS", auth: null })).status).toBe(401);
    expect((await gate.call("/internal/gate", { method: "OPTIONS", auth: null, headers })).status).toBe(404);
  });

  it("goes nowhere but to the WebUI, whatever stands in the place of a path", async () => {
    const status = async (line: string) => {
      const text = await raw(gate.port, [
        `${line}\r\nHost: x\r\nAuthorization: ${basic(login)}\r\nConnection: close\r\n\r\n`,
      ]);
      return text.split("\r\n")[0] ?? "";
    };
    for (const target of ["@127.0.0.1:9/", "http://127.0.0.1:9/", "*", "127.0.0.1:9"])
      expect([target, await status(`GET ${target} HTTP/1.1`)]).toEqual([target, expect.stringMatching(/ 400 /)]);
    expect(inner.asked).toEqual([]);
    expect(await status("GET //127.0.0.1:9/ HTTP/1.1")).toMatch(/ 404 /);
  });

  it("shows the password nowhere: not in its log, its arguments, its environment or its configuration", async () => {
    await gate.call(`/file=a?token=${password}`);
    await gate.call("/login", form(user, password));
    await gate.api("txt2img", { prompt: password }, { auth: basic(`${user}:wrong`) });
    const about = ["cmdline", "environ"].map((name) => readFileSync(`/proc/${gate.pid}/${name}`, "utf8"));
    const all = [gate.log(), readFileSync(`${gate.folder}/gate.json`, "utf8"), ...about].join("\n");
    for (const secret of [password, basic(login).slice(6)]) expect(all).not.toContain(secret);
    expect(gate.log()).toMatch(/127\.0\.0\.1 POST \/sdapi\/v1\/txt2img 401 \d+\.\d+ s/);
  });
});

describe.skipIf(missing)(`the gate's start${missing ? ` (skipped: ${missing})` : ""}`, () => {
  it("fails with a sentence where it can't listen, and where its credentials are open to others", async () => {
    const inner = new Inner();
    const port = await inner.start();
    const gate = new Gate(path);
    await expect(gate.start(1, { port })).rejects.toThrow();
    expect((await gate.ended()).said).toMatch(
      new RegExp(`error: gate: can't listen on 127.0.0.1 port ${port}: .*set another webui.port`),
    );
    await expect(gate.start(1, { credentials: "/etc/passwd" })).rejects.toThrow(/can be read by others .mode 0644/);
    await expect(gate.start(1, { queue: -1 })).rejects.toThrow(/queue is -1; wanted: int/);
    await expect(gate.start(1, { surprise: 1 })).rejects.toThrow(/and nothing else/);
    await gate.stop();
    await inner.stop();
    await expect(callTo(gate.port, "/", {})).rejects.toThrow();
  });
});
