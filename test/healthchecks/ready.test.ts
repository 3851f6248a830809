import { expect, test } from "vitest";
import { live } from "../../healthchecks/live.ts";
import { freePort } from "../../rehearsal/lib/ports.ts";
import { FakeWebui, type Reply } from "./fake-webui.ts";
import { fake, inputFor, patient, prove } from "./prove.ts";

const missing: Reply = { status: 404, body: { detail: "Not Found" } };
const progress = "GET /sdapi/v1/progress";
const txt2img = "POST /sdapi/v1/txt2img";

test("a start that crashed in the race (404 for long) is said so, and nothing else is tried", async () => {
  const webui = await fake({ [progress]: () => missing });
  const { failed, proof } = await prove(inputFor(webui.url));
  expect(failed.ready).toMatch(
    /start has crashed: its port answers, but \/sdapi has been 404 for 2 s\. Restart its service/,
  );
  expect(proof.checks).toHaveLength(15);
  expect(failed["auth-api"]).toBe("Not run: the WebUI is gone (see ready).");
  expect(new Set(webui.seen.map(({ name }) => name))).toEqual(new Set([progress]));
});

test("a port that opens before its API is waited for, slowly", async () => {
  const webui = await fake({ [progress]: ({ call, honest }) => (call < 3 ? missing : honest()) });
  const { failed, lines } = await prove(inputFor(webui.url, { deadlines: { ...patient, crashed: 100 } }));
  expect(failed).toEqual({});
  expect(lines.filter((line) => line.startsWith("waiting for the WebUI"))).toEqual([
    "waiting for the WebUI: 404 Not Found",
  ]);
  const polls = webui.seen.filter(({ name }) => name === progress).slice(0, 3);
  const gaps = polls.slice(1).map(({ at }, i) => at - polls[i]!.at);
  expect(Math.min(...gaps)).toBeGreaterThan(2500);
});

test("a WebUI that comes up late is waited for", async () => {
  const port = await freePort();
  const webui = new FakeWebui();
  const proving = prove(inputFor(`http://127.0.0.1:${port}`, { deadlines: patient }), live);
  await new Promise((resolve) => setTimeout(resolve, 1000));
  await webui.start(port);
  try {
    expect((await proving).failed).toEqual({});
  } finally {
    await webui.stop();
  }
});

test("nobody there: one clear error within the deadline", async () => {
  const url = `http://127.0.0.1:${await freePort()}`;
  const { failed, proof } = await prove(inputFor(url, { deadlines: { ready: 4 } }));
  expect(failed.ready).toContain(
    `The WebUI at ${url} had no API after 4 s; last: GET /sdapi/v1/progress: no connection to ${url}`,
  );
  expect(proof.images).toEqual([]);
});

test("a model that never loads: the API answers, no picture comes", async () => {
  const webui = await fake({ [txt2img]: () => "hang" });
  const { failed, proof } = await prove(inputFor(webui.url, { deadlines: { ...patient, ready: 5 } }));
  expect(failed.ready).toMatch(/No picture after 5 s: the API answers, but the model does not load\. .*failed to load/);
  expect(failed.txt2img).toBe("Not run: the WebUI was never ready to draw (see ready).");
  // What needs no picture is still checked.
  const passed = proof.checks.filter(({ ok }) => ok).map(({ name }) => name);
  expect(passed).toEqual(["auth-api", "auth-ui", "page", "exposure", "options", "upscale"]);
});

test("a WebUI that draws for someone else is left to it", async () => {
  const webui = await fake({ [txt2img]: () => "hang" });
  webui.lies[progress] = ({ honest }) => {
    const state = { job: "scripts_txt2img", sampling_step: 3, sampling_steps: 50 };
    return { body: { ...JSON.parse(String(honest().body)), state } };
  };
  const { failed } = await prove(inputFor(webui.url, { deadlines: { ...patient, ready: 5 } }));
  expect(failed.ready).toMatch(/the WebUI is still drawing \(scripts_txt2img, step 3 of 50\)\. Wait until it is idle/);
  expect(webui.seen.some(({ name }) => name === "POST /sdapi/v1/interrupt")).toBe(false);
});

test("a model that cannot load says why and what to do", async () => {
  const body = { error: "OSError", errors: "Can't load tokenizer for 'openai/clip-vit-large-patch14'" };
  const webui = await fake({ [txt2img]: () => ({ status: 500, body }) });
  const { failed } = await prove(inputFor(webui.url, { deadlines: patient }));
  expect(failed.ready).toBe(
    "POST /sdapi/v1/txt2img answered 500 OSError: Can't load tokenizer for 'openai/clip-vit-large-patch14'. The CLIP tokenizer is missing: apply the models step again.",
  );
  expect(webui.seen.filter(({ name }) => name === txt2img).length).toBeGreaterThanOrEqual(3);
});

test("one failed first picture is forgiven", async () => {
  const webui = await fake({ [txt2img]: ({ call, honest }) => (call === 1 ? { status: 500, body: {} } : honest()) });
  const { failed } = await prove(inputFor(webui.url, { deadlines: patient }));
  expect(failed).toEqual({});
});

test("a picture that hangs stops the other pictures, not the other checks", async () => {
  const webui = await fake({ [txt2img]: ({ json, honest }) => (json.steps === 1 ? honest() : "hang") });
  const { failed } = await prove(inputFor(webui.url, { deadlines: { ...patient, picture: 1 } }));
  expect(failed.txt2img).toMatch(/txt2img at .* had no answer after 1\.0 s/);
  expect(failed.inpaint).toBe("Not run: the WebUI did not finish a picture (see txt2img).");
  expect(failed.options).toBeUndefined();
  // What was begun for us is ended.
  expect(webui.seen.some(({ name }) => name === "POST /sdapi/v1/interrupt")).toBe(true);
});

test("a WebUI that dies while drawing ends the proof", async () => {
  const webui = await fake();
  webui.lies["POST /sdapi/v1/img2img"] = () => {
    setImmediate(() => void webui.stop());
    return "cut";
  };
  const { failed } = await prove(inputFor(webui.url));
  expect(failed.img2img).toMatch(/ended the connection before the answer.*run out of memory/);
  expect(failed.inpaint).toBe("Not run: the WebUI does not answer any more (see img2img).");
  expect(failed.txt2img).toBeUndefined();
});

test("a page that is no WebUI", async () => {
  const webui = await fake({ [txt2img]: () => ({ body: "<html>Sign in</html>" }) });
  const { failed } = await prove(inputFor(webui.url));
  expect(failed.ready).toMatch(/not JSON \("<html>Sign in<\/html>"\)\. Check that a WebUI, and not a login page/);
});

test("the steps of a picture are said", async () => {
  const webui = await fake();
  let step = 0;
  // The picture is there when it has been asked for its progress once more than is told.
  let finish = () => {};
  webui.held = new Promise((done) => {
    finish = done;
  });
  webui.lies[progress] = ({ honest }) => {
    const honestly = JSON.parse(String(honest().body));
    step += 4;
    if (step > 12) finish();
    return {
      body: {
        ...honestly,
        state: { ...honestly.state, job: "scripts_txt2img", sampling_step: step, sampling_steps: 20 },
      },
    };
  };
  const { lines } = await prove(inputFor(webui.url, { width: 256, height: 256 }), live);
  expect(lines.filter((line) => /^picture \d+\/20$/.test(line)).slice(0, 2)).toEqual(["picture 8/20", "picture 12/20"]);
});
