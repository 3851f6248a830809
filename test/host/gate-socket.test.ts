import { type ChildProcess, spawn } from "node:child_process";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { freePort } from "../../rehearsal/lib/ports.ts";
import { until } from "../helpers/until.ts";
import { python } from "../rehearsal/standin.ts";
import { basic, Gate, login } from "./lib/gate.ts";
import { collect } from "./lib/workspace.ts";

const { path, missing } = python("gate");

/** Speaks as gradio's queue does: greets, takes a message, answers with a large one, closes; and tells what it heard. */
const server = `
import json, sys
from aiohttp import web, WSMsgType
async def join(request):
    ws = web.WebSocketResponse(protocols=["gradio"], max_msg_size=0)
    await ws.prepare(request)
    await ws.send_json({"msg": "send_hash", "authorization": request.headers.get("Authorization"), "cookie": request.headers.get("Cookie")})
    async for message in ws:
        if message.type == WSMsgType.BINARY: await ws.send_bytes(message.data[::-1])
        elif message.data == "close": await ws.close(code=4321, message=b"enough")
        elif message.data == "die": request.transport.abort(); break
        else: await ws.send_str(message.data * 2)
    print("closed", ws.close_code, flush=True)
    return ws
app = web.Application()
app.router.add_get("/queue/join", join)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
`;

/** What a client of websockets sees; it answers with JSON. */
const client = `
import asyncio, json, sys, aiohttp
url, headers = sys.argv[1], json.loads(sys.argv[2])
async def main():
    seen = {}
    async with aiohttp.ClientSession() as session:
        try:
            async with session.ws_connect(url, headers=headers, protocols=["gradio"], max_msg_size=0) as ws:
                seen["protocol"], seen["hello"] = ws.protocol, await ws.receive_json()
                await ws.send_str("é" * 10_000_000)
                seen["text"] = (await ws.receive_str()) == "é" * 20_000_000
                await ws.send_bytes(b"abc")
                seen["bytes"] = (await ws.receive_bytes()).decode()
                await ws.ping()
                if sys.argv[3] == "leave": return seen
                await ws.send_str(sys.argv[3])
                end = await ws.receive()
                seen["end"] = [end.type.name, end.data if end.type.name == "CLOSE" else None, end.extra]
        except aiohttp.WSServerHandshakeError as error:
            seen["status"] = error.status
    return seen
print(json.dumps(asyncio.run(main())))
`;

describe.skipIf(missing)(`websockets through the gate${missing ? ` (skipped: ${missing})` : ""}`, () => {
  let gate: Gate;
  let inner: ChildProcess;
  let said = "";
  beforeAll(async () => {
    const port = await freePort();
    inner = spawn(path, ["-c", server, String(port)], { stdio: ["ignore", "pipe", "inherit"] });
    inner.stdout?.on("data", (data: Buffer) => {
      said += data;
    });
    gate = new Gate(path);
    await gate.start(port);
    await until("the server is up", async () => (await gate.call("/queue/join")).status === 400);
  });
  afterAll(async () => {
    inner?.kill();
    await gate?.stop();
  });
  const talk = async (last: string, headers: object = { authorization: basic(login) }, place = "/queue/join") => {
    const url = `ws://127.0.0.1:${gate.port}${place}`;
    const child = spawn(path, ["-W", "ignore", "-c", client, url, JSON.stringify(headers), last], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    const { code, stdout, stderr } = await collect(child);
    expect(code, stderr).toBe(0);
    return JSON.parse(stdout);
  };

  it("are refused without the password, and where the WebUI opens none", async () => {
    expect(await talk("close", {})).toEqual({ status: 401 });
    expect(await talk("close", { authorization: basic("atelier:wrong") })).toEqual({ status: 401 });
    expect(await talk("close", undefined, "/elsewhere")).toEqual({ status: 404 });
  });

  it("are not opened by a stranger's question whether it may ask", async () => {
    const upgrade = {
      connection: "Upgrade",
      upgrade: "websocket",
      "sec-websocket-version": "13",
      "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    };
    const asks = { ...upgrade, "access-control-request-method": "GET" };
    said = "";
    const { status } = await gate.call("/queue/join", { method: "OPTIONS", auth: null, headers: asks });
    expect(status).toBe(405);
    // Nor by one who may enter: a websocket begins with GET.
    expect((await gate.call("/queue/join", { method: "POST", headers: upgrade })).status).toBe(405);
  });

  it("carry words and bytes of any size, the protocol and the way that it ended, with the WebUI's own password", async () => {
    expect(await talk("close")).toEqual({
      protocol: "gradio",
      hello: { msg: "send_hash", authorization: basic(login), cookie: null },
      text: true,
      bytes: "cba",
      end: ["CLOSE", 4321, "enough"],
    });
  });

  it("open to a browser's cookie, which browsers send where they don't send passwords", async () => {
    const page = await gate.call("/queue/join", { headers: { accept: "text/html" } });
    const cookie = (page.headers["set-cookie"]?.[0] ?? "").split(";")[0];
    expect((await talk("close", { cookie })).hello).toMatchObject({ authorization: basic(login), cookie: null });
  });

  it("end on the other side too when one side goes", async () => {
    expect((await talk("die")).end[0]).toMatch(/^CLOSE/);
    said = "";
    await talk("leave");
    await until("the WebUI's side is closed", () => /closed \d+/.test(said));
  });
});
