import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { until } from "../helpers/until.ts";
import { python } from "../rehearsal/standin.ts";
import { Gate, Inner, type Reply, tool, toolPicture } from "./lib/gate.ts";

const { path, missing } = python("gate");
const picture = (prompt: string) => ({ prompt, steps: 20 });
const drawn = "POST /sdapi/v1/txt2img";
const interrupts = "POST /sdapi/v1/interrupt";

describe.skipIf(missing)(`the line before the GPU${missing ? ` (skipped: ${missing})` : ""}`, () => {
  let gate: Gate;
  let inner: Inner;
  beforeAll(async () => {
    inner = new Inner();
    gate = new Gate(path);
    await gate.start(await inner.start(), { queue: 2 });
    inner.holds = true;
  });
  afterEach(async () => {
    inner.busyWith = undefined;
    await until("the line is empty", async () => {
      for (const { finish } of [...inner.held]) finish();
      return !(await gate.call("/internal/gate")).json.drawing;
    });
    inner.asked.length = 0;
  });
  afterAll(async () => {
    await gate.stop();
    await inner.stop();
  });
  const prompts = () => inner.of(drawn).map(({ body }) => body.prompt);

  it("sends the next one away when enough wait, with 503, when to come again and a plain sentence", async () => {
    const all = [gate.api("txt2img", picture("one"))];
    await inner.draws(1);
    for (const [index, name] of ["two", "three"].entries()) {
      all.push(gate.api("txt2img", picture(name)));
      await gate.waiting(index + 1);
    }
    const { status, headers, json } = await gate.api("txt2img", picture("four"));
    expect([status, Number(headers["retry-after"])]).toEqual([503, expect.any(Number)]);
    expect(Number(headers["retry-after"])).toBeGreaterThan(0);
    expect(json).toMatchObject({ error: "QueueFull", detail: expect.stringMatching(/^2 pictures wait already/) });
    for (const name of ["one", "two", "three"]) {
      await until(`${name} is drawn`, () => inner.held[0]?.body.prompt === name);
      inner.held[0]?.finish();
    }
    expect((await Promise.all(all)).map(({ status: each }) => each)).toEqual([200, 200, 200]);
  });

  it("draws one at a time, in order of arrival, whatever the call is called; what is small waits for nobody", async () => {
    const calls: [string, object][] = [
      ["txt2img", picture("a")],
      ["img2img", { prompt: "b", init_images: ["x"] }],
      ["extra-single-image", { prompt: "c", image: "x" }],
    ];
    const answers: Promise<Reply>[] = [];
    for (const [index, [name, body]] of calls.entries()) {
      answers.push(gate.api(name, body));
      if (index === 0) await inner.draws(1);
      else await gate.waiting(index);
    }
    for (const name of ["progress", "options", "sd-models"]) expect((await gate.api(name)).status).toBe(200);
    expect((await gate.call("/")).status).toBe(200);
    for (const prompt of ["a", "b", "c"]) {
      await until(`${prompt} is drawn`, () => inner.held[0]?.body.prompt === prompt);
      expect(inner.held.length).toBe(1);
      inner.held[0]?.finish();
    }
    expect((await Promise.all(answers)).map(({ status }) => status)).toEqual([200, 200, 200]);
  });

  it("lets go of who hangs up while waiting: the WebUI never hears of it, and its place is free", async () => {
    const first = gate.api("txt2img", picture("first"));
    await inner.draws(1);
    const gone = new AbortController();
    const second = gate.api("txt2img", picture("second"), { signal: gone.signal });
    const third = gate.waiting(1).then(() => gate.api("txt2img", picture("third")));
    await gate.waiting(2);
    gone.abort();
    await expect(second).rejects.toThrow(/abort/i);
    await gate.waiting(1);
    inner.held[0]?.finish();
    await until("the third is drawn", () => inner.held[0]?.body.prompt === "third");
    inner.held[0]?.finish();
    expect([(await first).status, (await third).status, prompts()]).toEqual([200, 200, ["first", "third"]]);
    expect(inner.of(interrupts)).toEqual([]);
  });

  it("breaks off the picture of who hangs up, and the next one is drawn", async () => {
    const gone = new AbortController();
    const first = gate.api("txt2img", picture("first"), { signal: gone.signal });
    await inner.draws(1);
    const second = gate.api("txt2img", picture("second"));
    await gate.waiting(1);
    gone.abort();
    await expect(first).rejects.toThrow(/abort/i);
    await until("the second is drawn", () => inner.held[0]?.body.prompt === "second");
    expect(inner.of(interrupts)).toHaveLength(1);
    inner.held[0]?.finish();
    expect((await second).status).toBe(200);
  });

  it("breaks off nobody else's picture: while somebody at the page draws, ours waits behind it, and is broken off when it begins", async () => {
    inner.busyWith = "task(page)";
    const gone = new AbortController();
    const ours = gate.api("txt2img", picture("ours"), { signal: gone.signal });
    await inner.draws(1);
    gone.abort();
    await expect(ours).rejects.toThrow(/abort/i);
    await until("the gate has asked twice whose it is", () => inner.of("POST /internal/progress").length > 2);
    expect(inner.of(interrupts)).toEqual([]);
    // The GPU is not free yet, so the next one stays in line.
    const next = gate.api("txt2img", picture("next"));
    await gate.waiting(1);
    inner.busyWith = undefined;
    await until("it is broken off", () => inner.of(interrupts).length === 1);
    await until("the next is drawn", () => inner.held[0]?.body.prompt === "next");
    inner.held[0]?.finish();
    expect((await next).status).toBe(200);
  });

  it("tells by the job's name whose it is where the WebUI has no page", async () => {
    inner.own["POST /internal/progress"] = () => ({ status: 404, json: { detail: "Not Found" } });
    const gone = new AbortController();
    const ours = gate.api("txt2img", picture("ours"), { signal: gone.signal });
    await inner.draws(1);
    gone.abort();
    await expect(ours).rejects.toThrow(/abort/i);
    await until("it is broken off", () => inner.of(interrupts).length === 1);
    delete inner.own["POST /internal/progress"];
  });

  it("answers Dify's tool before it gives up, says how far it was, and breaks the picture off", async () => {
    const began = Date.now();
    // The header stands for the setting here: 110 s are long.
    const headers = { ...tool, "x-atelier-deadline": "1.5" };
    const late = await gate.api("txt2img", toolPicture("", { prompt: "late" }), { headers });
    expect(late.status).toBe(504);
    expect(Date.now() - began).toBeGreaterThan(1400);
    expect(late.json).toMatchObject({ error: "TooLate" });
    expect(late.json.detail).toMatch(
      /^No picture within 2 s\. It waited \d s for its turn, step 7 of 20 was reached\. It was broken off\. Ask for fewer/,
    );
    expect(Number(late.headers["retry-after"])).toBeGreaterThan(0);
    await until("it is broken off", () => inner.of(interrupts).length === 1);
  });

  it("goes on when a caller hangs up at its deadline, in the moment in which it is asked how far the picture was", async () => {
    let asked = () => {};
    const wasAsked = new Promise<void>((done) => {
      asked = done;
    });
    let tell = () => {};
    const usual = inner.own["GET /sdapi/v1/progress"];
    inner.own["GET /sdapi/v1/progress"] = async () => {
      asked();
      await new Promise<void>((done) => {
        tell = done;
      });
      return { json: {} };
    };
    const gone = new AbortController();
    const late = gate.api("txt2img", picture("late"), {
      signal: gone.signal,
      headers: { "x-atelier-deadline": "0.2" },
    });
    await wasAsked;
    gone.abort();
    await expect(late).rejects.toThrow(/abort/i);
    await until("it is broken off", () => inner.of(interrupts).length === 1);
    tell();
    if (usual) inner.own["GET /sdapi/v1/progress"] = usual;
    else delete inner.own["GET /sdapi/v1/progress"];
    const next = gate.api("txt2img", picture("next"));
    await until("the next is drawn", () => inner.held[0]?.body.prompt === "next");
    inner.held[0]?.finish();
    expect((await next).status).toBe(200);
  });

  it("says so when a turn never came, and the picture is never drawn", async () => {
    const first = gate.api("txt2img", picture("first"));
    await inner.draws(1);
    const late = await gate.api("txt2img", picture("late"), { headers: { "x-atelier-deadline": "0.5" } });
    expect([late.status, late.json.detail]).toEqual([
      504,
      expect.stringContaining("It never began: 1 were before it. Ask for fewer"),
    ]);
    inner.held[0]?.finish();
    expect((await first).status).toBe(200);
    expect([prompts(), inner.of(interrupts)]).toEqual([["first"], []]);
  });

  it("refuses a deadline that is none", async () => {
    for (const bad of ["soon", "-1", "inf", "nan"]) {
      const answer = await gate.api("txt2img", picture("x"), { headers: { "x-atelier-deadline": bad } });
      expect([bad, answer.status]).toEqual([bad, 400]);
    }
    expect(prompts()).toEqual([]);
  });
});

describe.skipIf(missing)(`whose deadline it is${missing ? ` (skipped: ${missing})` : ""}`, () => {
  let gate: Gate;
  let inner: Inner;
  beforeAll(async () => {
    inner = new Inner();
    gate = new Gate(path);
    await gate.start(await inner.start(), { queue: 8, deadline: 1, interrupt: false });
    inner.holds = true;
  });
  afterAll(async () => {
    await gate.stop();
    await inner.stop();
  });

  it("Dify's tool alone is told by what it sends; a long picture of anybody else is drawn to its end", async () => {
    const json = { "content-type": "application/json" };
    const others: [string, object, object][] = [
      ["a script with requests", { ...tool, ...json }, toolPicture("")],
      ["the same body by another client", { "user-agent": "curl/8" }, toolPicture("")],
      ["python-requests with a plain body", tool, { prompt: "x", steps: 20 }],
      ["the tool that waits as long as it takes", { ...tool, "x-atelier-deadline": "0" }, toolPicture("")],
    ];
    for (const [who, headers, body] of others) {
      const answer = gate.api("txt2img", body, { headers: headers as Record<string, string> });
      await inner.draws(1);
      await new Promise((done) => setTimeout(done, 1500));
      inner.held[0]?.finish();
      expect([who, (await answer).status]).toEqual([who, 200]);
    }
    const dify = await gate.api("txt2img", toolPicture(""), { headers: tool });
    expect([dify.status, dify.json.detail]).toEqual([
      504,
      expect.stringContaining("It is drawn to its end all the same"),
    ]);
    // So it is: the line waits for its end.
    const next = gate.api("txt2img", picture("next"));
    await gate.waiting(1);
    expect(inner.of(interrupts)).toEqual([]);
    inner.held[0]?.finish();
    await until("the next is drawn", () => inner.held[0]?.body.prompt === "next");
    inner.held[0]?.finish();
    expect((await next).status).toBe(200);
  });
});
