import { readFileSync } from "node:fs";
import { join } from "node:path";
import { PNG } from "pngjs";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { newChat, takeAnswer } from "../../../healthchecks/dify/chat.ts";
import { dify } from "../../../healthchecks/dify/prove.ts";
import { live } from "../../../healthchecks/live.ts";
import { startProxy } from "../../host/lib/proxy.ts";
import type { Lie } from "../fake-webui.ts";
import { fake, inputFor, patient, prove } from "../prove.ts";
import { FakeDify, keys, type Lies, type Mode, prompt } from "./fake-dify.ts";

async function setUp(lies: Lies = {}, webuiLies: Record<string, Lie> = {}) {
  const webui = await fake(webuiLies);
  const server = await new FakeDify(webui.url).start();
  onTestFinished(() => server.stop());
  server.lies = lies;
  const apps = (Object.keys(keys) as Mode[]).map((mode) => ({ name: mode, mode, apiKey: keys[mode], query: "a fox" }));
  const input = (modes: Mode[] = ["agent-chat", "advanced-chat"], chat = patient.picture) =>
    inputFor(webui.url, {
      dify: { url: server.url, apps: apps.filter(({ mode }) => modes.includes(mode)), width: 64, height: 64 },
      deadlines: { ...patient, crashed: 2, chat },
    });
  return { webui, server, input };
}

type Event = Record<string, unknown> & { event: string };
const without = (test: (event: Event) => boolean) => (events: Event[]) => events.filter((event) => !test(event));
const words = (text: string) => (events: Event[]) =>
  events
    .filter(({ event }) => event === "agent_message" || event === "message_end")
    .map((event) => ({ ...event, ...(event.event === "message_end" ? { files: [] } : { answer: text }) }));
/** The tool says this, and there is no file: what each kind of app streams then. */
const toolSaid =
  (text: string, seconds = 0.2) =>
  (events: Event[]) =>
    events
      .filter(({ event }) => event !== "message_file")
      .map((event) => {
        if (event.event === "agent_thought" && event.observation)
          return { ...event, observation: JSON.stringify({ stable_diffusion: text }), message_files: [] };
        if (event.event === "message_end") return { ...event, files: [] };
        if (event.event === "message") return { ...event, answer: text };
        const data = event.data as Record<string, unknown> | undefined;
        if (event.event === "node_finished" && data?.node_type === "tool")
          return { ...event, data: { ...data, elapsed_time: seconds, outputs: { text, files: [] } } };
        if (event.event === "node_finished") return { ...event, data: { ...data, outputs: {} } };
        return event;
      });
const nodeFailed = (error: string) => (events: Event[]) => [
  ...toolSaid("")(events).filter(({ event }) => !["message", "message_end", "workflow_finished"].includes(event)),
  { event: "node_finished", data: { node_type: "tool", title: "Stable Diffusion WebUI", status: "failed", error } },
  { event: "workflow_finished", data: { status: "failed", error } },
];
/** The plugin's own words, as the real Dify hands them on. */
const refusedBy = (status: number, body: string) => {
  const description = `[models] Error: API request failed with status code ${status}: ${body}`;
  return JSON.stringify({ args: { description }, error_type: "InvokeError", message: description });
};
const notThere =
  "[models] Server Unavailable Error, HTTPConnectionPool(host='127.0.0.1', port=1): Max retries exceeded with url: /v1/chat/completions (Caused by NewConnectionError(\"Failed to establish a new connection: [Errno 111] Connection refused\"))";
const noise = (seed: number) => {
  const png = new PNG({ width: 64, height: 64 });
  for (let i = 0; i < png.data.length; i++) png.data[i] = i % 4 === 3 ? 255 : (i * seed) % 251;
  return PNG.sync.write(png);
};

const agent: Mode[] = ["agent-chat"];
const chatflow: Mode[] = ["advanced-chat"];
const denied = { error: "HTTPException", detail: "Incorrect username or password", body: "", errors: "" };
const cases: [string, Mode[], Lies, RegExp, Record<string, Lie>?][] = [
  [
    "an agent that answers in words",
    agent,
    { events: words("Here is a fox.") },
    /never called the tool: Here is a fox\..*function calling/,
  ],
  [
    "no credential for the model",
    agent,
    { chat: { status: 400, body: { code: "provider_not_initialize", message: "Model provider is not initialized" } } },
    /no working credential for the app's language model.*dify\.model/,
  ],
  [
    "an error in the stream, left open",
    chatflow,
    {
      open: true,
      events: () => [{ event: "error", code: "invalid_param", status: 400, message: "Model stub-model not exist." }],
    },
    /no working credential/,
  ],
  [
    "too many tokens",
    agent,
    {
      events: () => [
        {
          event: "error",
          code: "invalid_param",
          status: 400,
          message: "Model Parameter max_tokens should be less than or equal to 2048.0.",
        },
      ],
    },
    /more tokens than its credential.*2048/,
  ],
  [
    "the wrong LLM key",
    agent,
    {
      events: () => [
        {
          event: "error",
          code: "completion_request_error",
          status: 400,
          message: "API request failed with status code 401: Incorrect API key provided",
        },
      ],
    },
    /language model refused its API key/,
  ],
  [
    "a language model that takes no more, by an agent",
    agent,
    { events: () => [{ event: "error", code: "invalid_param", status: 400, message: refusedBy(429, "rate limit") }] },
    /takes no more requests for now, or its account is spent.*Look at that account/,
  ],
  [
    "a language model that fails, in a flow",
    chatflow,
    { events: nodeFailed(`req_id: 7fd91895a2 PluginInvokeError: ${refusedBy(500, "broken")}`) },
    /endpoint answered with an error of its own.*status code 500/,
  ],
  [
    "a language model that is not there, by an agent",
    agent,
    { events: () => [{ event: "error", code: "completion_request_error", status: 400, message: notThere }] },
    /plugin daemon does not reach the language model.*Connection refused.*dify\.model\.baseUrl/,
  ],
  [
    "a language model that is not there, in a flow",
    chatflow,
    { events: nodeFailed(notThere) },
    /plugin daemon does not reach the language model.*Connection refused/,
  ],
  [
    "an unknown error",
    agent,
    {
      events: () => [{ event: "error", code: "internal_server_error", status: 500, message: "Internal Server Error" }],
    },
    /ended the chat with internal_server_error \(500\)/,
  ],
  [
    "succeeded without a picture",
    chatflow,
    { events: toolSaid("Failed to generate image") },
    /answered Dify's tool with an error after 0\.2 s/,
  ],
  [
    "the tool's time limit",
    chatflow,
    { events: toolSaid("Failed to generate image", 120.3) },
    /longer than the 120 s.*\(120 s\)/,
  ],
  [
    "the gate's time limit, which comes before the tool's",
    chatflow,
    { events: toolSaid("Failed to generate image", 60.3) },
    /longer than the 60 s that the WebUI's gate gives Dify's tool.*after 120 s \(60 s\)/,
    { "GET /internal/gate": () => ({ status: 200, body: { deadline: 60 } }) },
  ],
  [
    "an error before the gate's time limit",
    chatflow,
    { events: toolSaid("Failed to generate image", 30) },
    /answered Dify's tool with an error after 30\.0 s/,
    { "GET /internal/gate": () => ({ status: 200, body: { deadline: 60 } }) },
  ],
  [
    "an agent whose tool failed",
    agent,
    { events: toolSaid("Failed to generate image") },
    /answered Dify's tool with an error/,
  ],
  [
    "a wrong password in the credential",
    agent,
    { events: toolSaid("Failed to set model, please tell user to set model") },
    /could not set the WebUI's model, while this check reaches.*another password or an address/,
  ],
  [
    "a model that is missing",
    chatflow,
    { events: nodeFailed("Failed to get models, model nope does not exist") },
    /WebUI has no checkpoint nope; it has v1-5-pruned-emaonly/,
  ],
  [
    "a plugin that is missing",
    chatflow,
    { events: nodeFailed("PluginNotFoundError: plugin not found") },
    /plugin is not installed.*installs it/,
  ],
  [
    "a credential that is missing",
    chatflow,
    { events: nodeFailed("Failed to get tool runtime: no default provider for langgenius/stablediffusion") },
    /has no credential in Dify/,
  ],
  [
    "a WebUI that went away",
    chatflow,
    { events: nodeFailed("ToolProviderCredentialValidationError: Failed to set model, please tell user to set model") },
    /WebUI is down.*starts it/,
    { "GET /sdapi/v1/sd-models": () => "cut" },
  ],
  [
    "a WebUI with another password",
    agent,
    { events: toolSaid("Failed to set model, please tell user to set model") },
    /WebUI refuses user and password/,
    { "GET /sdapi/v1/sd-models": () => ({ status: 401, body: denied }) },
  ],
  ["a picture that is gone", agent, { pictureStatus: 404 }, /link \(http\S+\.png\) answered 404.*FILES_URL/],
  ["a link that is refused", chatflow, { pictureStatus: 403 }, /signed link.*refused: 403.*SECRET_KEY/],
  [
    "a link that leads elsewhere",
    agent,
    { serve: (response) => response.writeHead(302, { location: "https://dify.example.com/x.png?sign=s" }).end() },
    /answered 302 to https:\/\/dify\.example\.com\/x\.png\. FILES_URL/,
  ],
  [
    "a picture that breaks off",
    agent,
    { serve: (response) => response.writeHead(200, { "content-length": 9999 }).write("x", () => response.destroy()) },
    /^GET \/files\/tools\/0\.png at http:\S+ broke off/,
  ],
  [
    "a link that is no address",
    agent,
    { events: (events) => JSON.parse(JSON.stringify(events).replaceAll(/http:[^"]*\.png/g, "nonsense")) as Event[] },
    /link \(nonsense\) is no address.*FILES_URL/,
  ],
  ["HTML for a picture", chatflow, { picture: () => Buffer.from("<html>") }, /not a PNG/],
  [
    "a black picture",
    agent,
    { picture: () => PNG.sync.write(Object.assign(new PNG({ width: 64, height: 64 }), {})) },
    /is black/,
  ],
  [
    "a picture of another size",
    agent,
    { picture: () => PNG.sync.write(new PNG({ width: 32, height: 32 })) },
    /32x32, asked for was 64x64/,
  ],
  ["a picture of nobody", agent, { picture: () => noise(7) }, /does not say how it was made/],
  [
    "another picture than the WebUI draws",
    chatflow,
    {},
    /draws another picture from the same seed.*base_url/,
    {
      "POST /sdapi/v1/txt2img": ({ honest, call, json }) => {
        if (call > 1) json.seed = 5;
        return honest();
      },
    },
  ],
  [
    "a picture of an earlier chat",
    agent,
    { events: (events) => JSON.parse(JSON.stringify(events).replaceAll(prompt, "a blue whale")) as Event[] },
    /drawn for another prompt \("a red fox.*than this chat's \("a blue whale"/,
  ],
  [
    "a stream that ends in the middle",
    chatflow,
    { events: (events) => events.slice(0, 6) },
    /ended before its drawing node|ended in the middle/,
  ],
  [
    "an agent's stream that ends behind the picture",
    agent,
    { events: without(({ event }) => event === "message_end") },
    /ended in the middle.*proxy/,
  ],
  [
    "a chatflow's stream that ends behind the picture",
    chatflow,
    { events: without(({ event }) => event === "message_end" || event === "workflow_finished") },
    /ended in the middle/,
  ],
  [
    "a chatflow that fails behind the picture",
    chatflow,
    {
      events: (events) => [
        ...without(({ event }) => event === "message_end" || event === "workflow_finished")(events),
        { event: "node_finished", data: { node_type: "answer", title: "Answer", status: "failed", error: "no way" } },
        { event: "workflow_finished", data: { status: "failed" } },
      ],
    },
    /drew, and then the chatflow failed: Answer: no way\. Look at the run/,
  ],
  [
    "a chatflow whose answer shows no picture",
    chatflow,
    {
      events: (events) =>
        without(({ answer }) => /!\[/.test(String(answer)))(events).map((event) =>
          event.event === "message_end" ? { ...event, files: [] } : event,
        ),
    },
    /tool drew a picture, and the chatflow's answer does not show it.*up --force/,
  ],
  [
    "an event of another form",
    agent,
    { events: (events) => events.map((event) => (event.event === "message_file" ? { ...event, url: 5 } : event)) },
    /event of a form that Dify 1\.14\.2 does not have \(url: /,
  ],
  [
    "a stream that says nothing more",
    agent,
    { open: true, events: (events) => events.slice(0, 3) },
    /not done after 5 s/,
  ],
  [
    "an app of another mode",
    agent,
    { info: { status: 200, body: { name: "x", mode: "workflow" } } },
    /is of mode workflow, not agent-chat/,
  ],
  [
    "an API that is switched off",
    agent,
    {
      info: {
        status: 403,
        body: { code: "forbidden", message: "The app's API service has been disabled.", status: 403 },
      },
    },
    /API is switched off/,
  ],
  ["no Dify at the address", agent, { info: { status: 200, body: "hello" } }, /something else than an app's name/],
];

test("a Dify that only this machine's proxy reaches is asked through it, as the wiring asks it; one on loopback is not", async () => {
  const { input, server } = await setUp({ relative: true });
  const proxy = await startProxy({ "dify.invalid": Number(new URL(server.url).port) });
  vi.stubEnv("HTTP_PROXY", proxy.url);
  onTestFinished(() => {
    vi.unstubAllEnvs();
    proxy.close();
  });
  expect([(await prove(input(agent), dify)).failed, proxy.asked]).toEqual([{}, []]);
  const far = input(agent);
  Object.assign(far.dify as object, { url: "http://dify.invalid" });
  expect((await prove(far, dify)).failed).toEqual({});
  expect(proxy.asked.join()).toContain("dify.invalid");
});

describe("what Dify passes over in silence, the proof says", () => {
  test.each(cases)("%s", async (_name, modes, lies, sentence, webuiLies) => {
    const { input } = await setUp(lies, webuiLies);
    const { proof, failed } = await prove(input(modes, lies.open ? 5 : undefined), dify);
    expect(proof.ok).toBe(false);
    expect(Object.keys(failed)).toEqual([modes === agent ? "dify-agent" : "dify-chatflow"]);
    expect(Object.values(failed)[0]).toMatch(sentence);
    expect(proof.dify?.apps).toMatchObject([
      { mode: modes[0], ok: false, image: null, detail: Object.values(failed)[0] },
    ]);
    expect(proof.images).toEqual([]);
  });

  test("the same picture from both apps", async () => {
    const { input, server } = await setUp({
      events: (events) => {
        server.seed = 1000;
        return events;
      },
    });
    const { failed } = await prove(input(), dify);
    expect(failed).toEqual({ "dify-chatflow": expect.stringMatching(/very same picture/) });
  });

  test("a wrong API key", async () => {
    const { input } = await setUp();
    const told = input(agent);
    (told.dify as { apps: { apiKey: string }[] }).apps[0]!.apiKey = "app-somebody-elses";
    const { failed, lines } = await prove(told, dify);
    expect(failed["dify-agent"]).toMatch(/API key was refused/);
    expect(JSON.stringify([failed, lines])).not.toContain("app-somebody-elses");
  });

  test("nothing listens there", async () => {
    const { input, server } = await setUp();
    const told = input(agent);
    await server.stop();
    const { failed } = await prove(told, dify);
    expect(failed["dify-agent"]).toMatch(/GET \/v1\/info at http:\/\/127\.0\.0\.1:\d+ broke off.*Check that Dify runs/);
  });
});

test("each app's picture is downloaded, traced and kept", async () => {
  const { input } = await setUp();
  const told = input();
  const { proof, failed, lines } = await prove(told, dify);
  expect(failed).toEqual({});
  expect(proof.ok).toBe(true);
  expect(proof.dify).toMatchObject({
    version: "1.14.2",
    apps: [
      {
        name: "agent-chat",
        mode: "agent-chat",
        ok: true,
        detail: expect.stringMatching(
          /64x64, seed 1000, by v1-5-pruned-emaonly \[c955cc14f8\].*the same again.*red fox/,
        ),
      },
      { name: "advanced-chat", mode: "advanced-chat", ok: true, detail: expect.stringMatching(/seed 1001/) },
    ],
  });
  expect(proof.images.map(({ kind, seed, width, sampler }) => ({ kind, seed, width, sampler }))).toEqual([
    { kind: "dify-agent", seed: 1000, width: 64, sampler: "DPM++ 2M" },
    { kind: "dify-chatflow", seed: 1001, width: 64, sampler: "DPM++ 2M" },
  ]);
  for (const [index, image] of proof.images.entries()) {
    expect(proof.dify?.apps[index]?.image).toBe(image.path);
    expect(readFileSync(join(told.reportDir as string, image.path)).length).toBeGreaterThan(1000);
  }
  expect(lines.join("\n")).not.toMatch(/app-(agent|chatflow)/);
});

describe("a picture by another checkpoint than the settings'", () => {
  const other = { model: "dreamshaper.safetensors", modelSha256: "ab".repeat(32) };

  test("fails: the WebUI answers 200 to a name that it does not know, and draws with what it has", async () => {
    const { input } = await setUp();
    const { proof, failed } = await prove({ ...input(), ...other }, dify);
    expect(proof.ok).toBe(false);
    const sentence =
      /drawn by v1-5-pruned-emaonly \[c955cc14f8\], not by dreamshaper\.safetensors \[ababababab\].*\.ckpt beside/;
    expect(failed).toEqual({
      "dify-agent": expect.stringMatching(sentence),
      "dify-chatflow": expect.stringMatching(sentence),
    });
  });

  test("fails, too, without a known sha256, by the file", async () => {
    const { input } = await setUp();
    const { failed } = await prove({ ...input(agent), model: other.model, modelSha256: undefined }, dify);
    expect(failed["dify-agent"]).toMatch(/not by dreamshaper\.safetensors \[which this WebUI does not have\]/);
  });
});

test("links without a host belong to Dify's own address", async () => {
  const { input } = await setUp({ relative: true });
  const { failed } = await prove(input(), dify);
  expect(failed).toEqual({});
});

test("a stream that lost its file events still has the link in the answer", async () => {
  const { input } = await setUp({
    events: (events) =>
      without(({ event, data }) => event === "node_finished" && (data as { node_type?: string }).node_type !== "tool")(
        events,
      ).map((event) => (event.event === "message_end" ? { ...event, files: [] } : event)),
  });
  const { failed } = await prove(input(chatflow), dify);
  expect(failed).toEqual({});
});

test("an answer of nothing but beginnings of pictures is read in bounded time", () => {
  const link = "http://dify/a.png?sign=s";
  const chat = { ...newChat(), answer: `${"![".repeat(500_000)}![a.png](${link})` };
  takeAnswer(chat);
  expect(chat.pictures).toEqual([link]);
});

test("a prompt that stayed Chinese is said", async () => {
  const { input, webui } = await setUp({
    events: (events) => JSON.parse(JSON.stringify(events).replaceAll(prompt, "雪地里的红狐狸")) as Event[],
  });
  webui.lies["POST /sdapi/v1/txt2img"] = ({ json, honest }) => {
    json.prompt = "雪地里的红狐狸";
    return honest();
  };
  const { proof } = await prove(input(agent), dify);
  expect(proof.dify?.apps[0]?.detail).toMatch(/not in English/);
});

test("the live check asks each app for its name, and draws nothing in Dify", async () => {
  const { input, server } = await setUp();
  const good = await prove(input(), live);
  expect(good.proof.checks.find(({ name }) => name === "live-dify")).toMatchObject({
    ok: true,
    detail: expect.stringMatching(/Dify 1\.14\.2 answers: agent-chat \(agent-chat\), advanced-chat/),
  });
  expect(server.seed).toBe(1000);
  server.lies.info = { status: 401, body: { code: "unauthorized", message: "Access token is invalid", status: 401 } };
  const bad = await prove(input(), live);
  expect(bad.failed["live-dify"]).toMatch(/API key was refused/);
});
