import { randomBytes } from "node:crypto";
import { renameSync } from "node:fs";
import { request as ask } from "node:http";
import { createServer } from "node:net";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { freePort } from "../../rehearsal/lib/ports.ts";
import { until } from "../helpers/until.ts";
import { python } from "../rehearsal/standin.ts";
import { basic, Gate, Inner, login, tool, toolPicture } from "./lib/gate.ts";

const { path, missing } = python("gate");
const mark = (seconds = 0) =>
  `=== atelier start ${new Date(Date.now() - seconds * 1000).toISOString().slice(0, 19)}Z\n`;

describe.skipIf(missing)(`what the gate passes on${missing ? ` (skipped: ${missing})` : ""}`, () => {
  let gate: Gate;
  let inner: Inner;
  beforeAll(async () => {
    inner = new Inner();
    gate = new Gate(path);
    await gate.start(await inner.start());
  });
  afterAll(async () => {
    await gate.stop();
    await inner.stop();
  });

  it("keeps the reason of an error, whatever form the WebUI gives it, and says what to do; no page ever", async () => {
    const forms: [{ status?: number; json?: unknown; text?: string }, RegExp][] = [
      [
        {
          json: {
            error: "OutOfMemoryError",
            detail: "",
            body: "",
            errors: "CUDA out of memory. Tried to allocate 20 MiB",
          },
        },
        /^OutOfMemoryError: CUDA out of memory\. Tried to allocate 20 MiB: the GPU's memory is full: draw smaller/,
      ],
      [
        { json: { error: "HTTPException", detail: "Invalid encoded image", body: "", errors: "" } },
        /^Invalid encoded image: an image of the request/,
      ],
      [{ text: "Internal Server Error" }, /^The WebUI answered 500 Internal Server Error; its log/],
      [
        { text: "<!DOCTYPE html><html><body>Bad gateway</body></html>" },
        /^The WebUI answered 500 without a reason; its log/,
      ],
    ];
    for (const [form, sentence] of forms) {
      inner.own["POST /sdapi/v1/txt2img"] = () => ({ status: 500, ...form });
      const { status, json, headers } = await gate.api("txt2img", { prompt: "x" });
      expect([status, json.detail, headers["content-type"]]).toEqual([
        500,
        expect.stringMatching(sentence),
        expect.stringContaining("application/json"),
      ]);
    }
    delete inner.own["POST /sdapi/v1/txt2img"];
    // Below 500 the WebUI's own words are plain enough.
    inner.own["POST /sdapi/v1/png-info"] = () => ({
      status: 422,
      json: { detail: [{ loc: ["body"], msg: "field required" }] },
    });
    expect((await gate.api("png-info", {})).json).toEqual({ detail: [{ loc: ["body"], msg: "field required" }] });
  });

  it("leaves an error that comes compressed as it is", async () => {
    const told = { error: "HTTPException", detail: "x".repeat(2000), body: "", errors: "" };
    inner.own["POST /sdapi/v1/txt2img"] = (_, response) => {
      const packed = gzipSync(JSON.stringify(told));
      response.writeHead(500, { "content-encoding": "gzip", "content-length": packed.length }).end(packed);
      return undefined;
    };
    const answer = await fetch(`http://127.0.0.1:${gate.port}/sdapi/v1/txt2img`, {
      method: "POST",
      headers: { authorization: basic(login), "accept-encoding": "gzip" },
      body: "{}",
    });
    expect([answer.status, await answer.json()]).toEqual([500, told]);
    delete inner.own["POST /sdapi/v1/txt2img"];
  });

  it("leaves the WebUI to refuse what is not as it should be: nothing is put right on the way", async () => {
    for (const override of [[1], "x", { sd_model_checkpoint: 5 }]) {
      const body = { prompt: "x", override_settings: override };
      await gate.api("txt2img", body);
      expect(inner.of("POST /sdapi/v1/txt2img").at(-1)?.body).toEqual(body);
    }
  });

  it("says 502 with a sentence when the WebUI dies over a picture", async () => {
    inner.own["POST /sdapi/v1/txt2img"] = (_, response) => {
      response.destroy();
      return undefined;
    };
    const { status, json } = await gate.api("txt2img", { prompt: "x" });
    expect([status, json.error, json.detail]).toEqual([
      502,
      "WebuiEnded",
      expect.stringContaining("out of memory, or it was restarted"),
    ]);
    delete inner.own["POST /sdapi/v1/txt2img"];
    // Its place in line is free again.
    expect((await gate.api("txt2img", { prompt: "x" })).status).toBe(200);
  });

  it("does not make a whole answer of one that was cut", async () => {
    inner.own["GET /cut"] = (_, response) => {
      response.writeHead(200, { "content-length": "1000000" });
      response.write("half");
      setTimeout(() => response.destroy(), 50);
      return undefined;
    };
    await expect(gate.call("/cut")).rejects.toThrow(/aborted|socket hang up|ECONNRESET/);
  });

  it("takes JSON without a Content-Type, and leaves one that is there", async () => {
    for (const [name, body] of [
      ["txt2img", { prompt: "x" }],
      ["options", { samples_format: "png" }],
      ["png-info", { image: "" }],
    ] as const) {
      await gate.api(name, body);
      expect([name, inner.of(`POST /sdapi/v1/${name}`).at(-1)?.headers["content-type"]]).toEqual([
        name,
        "application/json",
      ]);
    }
    await gate.api("options", "a=b", { headers: { "content-type": "text/plain" } });
    expect(inner.of("POST /sdapi/v1/options").at(-1)?.headers["content-type"]).toBe("text/plain");
  });

  it("carries large pictures both ways, unchanged, also those that it has not looked into", async () => {
    const image = randomBytes(9_000_000).toString("base64");
    const body = JSON.stringify({ init_images: [image], prompt: "x" });
    inner.own["POST /sdapi/v1/img2img"] = ({ raw }) => ({
      text: `{"images":["${image}"],"same":${raw.toString() === body}}`,
    });
    const { status, json } = await gate.api("img2img", body);
    expect([status, json.same, json.images[0] === image]).toEqual([200, true, true]);
    const small = await gate.api("img2img", { init_images: [image.slice(0, 1_000_000)] });
    expect(small.json.images[0] === image).toBe(true);
    delete inner.own["POST /sdapi/v1/img2img"];
  });

  it("streams: the first piece of an answer is there before the last one is made", async () => {
    let finish = () => {};
    inner.own["POST /stream"] = (_, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write("first\n");
      finish = () => response.end("last\n");
      return undefined;
    };
    const pieces: string[] = [];
    await new Promise<void>((done, fail) => {
      const headers = { authorization: basic(login), "transfer-encoding": "chunked" };
      const asked = ask({ host: "127.0.0.1", port: gate.port, path: "/stream", method: "POST", headers }, (answer) => {
        answer.on("data", (piece: Buffer) => {
          pieces.push(piece.toString());
          if (pieces.length === 1) finish();
        });
        answer.on("end", done);
      });
      asked.on("error", fail);
      asked.write("a");
      asked.end("b");
    });
    expect(pieces).toEqual(["first\n", "last\n"]);
    expect(inner.of("POST /stream")[0]?.raw.toString()).toBe("ab");
  });

  it("leaves heads, redirects, encodings and cookies as they are", async () => {
    inner.own["GET /go"] = () => ({
      status: 307,
      text: "",
      headers: { location: "/elsewhere", "set-cookie": "a=b; Path=/", etag: '"1"' },
    });
    const { status, headers } = await gate.call("/go?x=%2F&y=a+b");
    expect([status, headers.location, headers["set-cookie"], headers.etag]).toEqual([
      307,
      "/elsewhere",
      ["a=b; Path=/"],
      '"1"',
    ]);
    inner.own["HEAD /go"] = () => ({ text: "", headers: { "content-length": "123" } });
    const head = await gate.call("/go", { method: "HEAD" });
    expect([head.status, head.headers["content-length"], head.text]).toEqual([200, "123", ""]);
    inner.own["GET /packed"] = (_, response) => {
      response.writeHead(200, { "content-encoding": "gzip", "content-length": "3" });
      response.end("abc");
      return undefined;
    };
    const packed = await gate.call("/packed", {
      headers: { "accept-encoding": "gzip", connection: "x-mine", "x-mine": "1" },
    });
    expect([packed.headers["content-encoding"], packed.text]).toEqual(["gzip", "abc"]);
    const { headers: heard } = inner.of("GET /packed")[0] ?? {};
    expect([heard?.["accept-encoding"], heard?.["x-mine"]]).toEqual(["gzip", undefined]);
  });
});

describe.skipIf(missing)(`a WebUI that is not there${missing ? ` (skipped: ${missing})` : ""}`, () => {
  it("is down: 503, a sentence and when to come again, for programs and browsers alike; back, it is served", async () => {
    const inner = new Inner();
    inner.port = await freePort();
    const gate = new Gate(path);
    try {
      await gate.start(inner.port);
      for (const call of [
        gate.call("/", { headers: { accept: "text/html" } }),
        gate.api("options"),
        gate.api("txt2img", toolPicture("v1-5"), { headers: tool }),
        gate.api("options", { sd_model_checkpoint: "v1-5" }),
        gate.call("/queue/join", {
          headers: {
            upgrade: "websocket",
            connection: "upgrade",
            "sec-websocket-version": "13",
            "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==",
          },
        }),
      ]) {
        const { status, json, headers } = await call;
        expect([status, json?.error, headers["retry-after"]]).toEqual([503, "WebuiDown", "5"]);
        expect(json.detail).toContain("The WebUI does not run");
      }
      await inner.start();
      expect((await gate.api("options")).status).toBe(200);
    } finally {
      await gate.stop();
      await inner.stop();
    }
  });

  it("is starting: nobody is let near its port until its log says that the start is over, which a request would disturb", async () => {
    const gate = new Gate(path);
    // Counts connections, not requests: even one that says nothing is too many.
    let connections = 0;
    const listener = createServer((socket) => {
      connections += 1;
      socket.destroy();
    });
    await new Promise<void>((done) => listener.listen(0, "127.0.0.1", done));
    try {
      gate.webuiSays(`${mark(300)}Startup time: 9.0s\nold\n${mark(7)}Launching Web UI\n`);
      await gate.start((listener.address() as { port: number }).port);
      for (const name of ["/", "/sdapi/v1/options", "/internal/ping"]) {
        const { status, json, headers } = await gate.call(name);
        expect([status, json.error, headers["retry-after"], headers.refresh]).toEqual([503, "WebuiStarting", "5", "5"]);
        expect(json.detail).toMatch(/^The WebUI is starting, for \d+ s now/);
      }
      expect((await gate.call("/", { auth: null })).status).toBe(401);
      // It polls nothing of itself.
      await new Promise((done) => setTimeout(done, 1500));
      expect(connections).toBe(0);
      gate.webuiSays("Running on local URL:  http://127.0.0.1:1\n");
      await new Promise((done) => setTimeout(done, 400));
      expect((await gate.call("/")).json.error).toBe("WebuiStarting");
      gate.webuiSays("Startup time: 12.3s (prepare environment: 1.0s).\n");
      await until("it is let near", async () => (await gate.call("/")).json.error === "WebuiEnded");
      // The log is moved away when it is large; what is known stays known.
      renameSync(gate.webuiLog, `${gate.webuiLog}.1`);
      gate.webuiSays("more\n");
      await new Promise((done) => setTimeout(done, 400));
      expect((await gate.call("/")).json.error).toBe("WebuiEnded");
      // It was killed over a picture: the line of its progress has no end, and the next start's mark stands in it.
      gate.webuiSays(`\r  2%|▏         | 1/60 [00:02<02:27,  2.50s/it]${mark()}`);
      await until("another start is seen", async () => (await gate.call("/")).json.error === "WebuiStarting");
      // A start that failed is none any more.
      gate.webuiSays("error: webui_start: the WebUI does not take these flags; see webui.flags in the settings\n");
      await until("its end is seen", async () => (await gate.call("/")).json.error === "WebuiEnded");
    } finally {
      await gate.stop();
      listener.close();
    }
  });
});
