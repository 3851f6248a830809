import { rmSync } from "node:fs";
import { PNG } from "pngjs";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { events } from "./client.ts";
import { Stage } from "./replay.ts";
import { type Wired, wire } from "./wired.ts";

const stage = new Stage();
let wired: Wired;

beforeAll(async () => {
  await stage.start();
  wired = await wire(stage);
});

afterEach(() => {
  stage.dify.lies.clear();
  stage.webui.instead.clear();
  stage.dify.config.toolTimeout = 120_000;
});

afterAll(async () => {
  await stage.stop();
  for (const folder of stage.folders) rmSync(folder, { recursive: true, force: true });
});

const ask = (name: "agent" | "chatflow", options: { until?: string; ms?: number } = {}) =>
  events(
    `${stage.url}/v1/chat-messages`,
    wired.keys[name],
    { inputs: {}, query: "a red fox", response_mode: "streaming", conversation_id: "", user: "u1" },
    options,
  );

// biome-ignore lint/suspicious/noExplicitAny: events are what the tests are about
const last = (all: any[], event: string) => all.findLast((each) => each.event === event);
// biome-ignore lint/suspicious/noExplicitAny: the same
const toolNode = (all: any[]) =>
  all.find((each) => each.event === "node_finished" && each.data.node_type === "tool").data;

describe("what goes out to the WebUI", () => {
  test("is the checkpoint, then txt2img with the app's fixed values as numbers, without a Content-Type", async () => {
    const before = stage.webui.seen.length;
    await ask("chatflow");
    const [options, txt2img] = stage.webui.seen.slice(before);
    expect(options).toMatchObject({
      method: "POST",
      path: "/sdapi/v1/options",
      body: { sd_model_checkpoint: "v1-5-pruned-emaonly" },
    });
    expect(txt2img).toMatchObject({ method: "POST", path: "/sdapi/v1/txt2img" });
    expect(Object.keys(txt2img?.headers ?? {})).toEqual([
      "Host",
      "User-Agent",
      "Accept-Encoding",
      "Accept",
      "Connection",
      "Authorization",
      "Content-Length",
    ]);
    expect(txt2img?.body).toEqual({
      prompt: expect.stringMatching(/^REHEARSAL picture of a red fox/),
      negative_prompt: "bad art, ugly, deformed, watermark, duplicated, discontinuous lines",
      seed: -1,
      subseed: -1,
      subseed_strength: 0,
      seed_resize_from_h: -1,
      seed_resize_from_w: -1,
      sampler_name: "DPM++ 2M",
      batch_size: 1,
      n_iter: 1,
      steps: 20,
      cfg_scale: 7,
      width: 512,
      height: 512,
      do_not_save_samples: false,
      do_not_save_grid: false,
      override_settings: { sd_model_checkpoint: "v1-5-pruned-emaonly" },
      override_settings_restore_afterwards: true,
      refiner_checkpoint: "",
      refiner_switch_at: 0,
      disable_extra_networks: false,
      enable_hr: false,
      firstphase_width: 0,
      firstphase_height: 0,
      hr_scale: 2,
      hr_second_pass_steps: 0,
      hr_resize_x: 0,
      hr_resize_y: 0,
      hr_prompt: "",
      hr_negative_prompt: "",
      script_args: [],
      send_images: true,
      save_images: false,
      alwayson_scripts: {},
      lora: "",
      model: "v1-5-pruned-emaonly",
    });
  });
});

describe("what goes out to the language model", () => {
  test("an agent's: streamed, with one tool that has only a prompt, without a user", async () => {
    const before = stage.modelRequests.length;
    await ask("agent");
    const [first, second] = stage.modelRequests.slice(before).map(({ body }) => body);
    expect(first).toMatchObject({
      model: "stub-model",
      stream: true,
      stream_options: { include_usage: true },
      max_tokens: 4096,
      tool_choice: "auto",
      tools: [{ function: { name: "stable_diffusion", parameters: { required: ["prompt"] } } }],
    });
    expect(first).not.toHaveProperty("user");
    // As a real Dify 1.14.2 was seen to send it.
    expect(Object.keys(first as object)).toEqual([
      "model",
      "stream",
      "temperature",
      "max_tokens",
      "stream_options",
      "messages",
      "tool_choice",
      "tools",
    ]);
    expect((second as { messages: object[] }).messages.at(-1)).toMatchObject({
      role: "tool",
      content:
        "image has been created and sent to user already, you do not need to create it, just tell the user to check it now.",
    });
  });

  test("a chatflow's: with a user, without tools", async () => {
    const before = stage.modelRequests.length;
    await ask("chatflow");
    const [only, ...more] = stage.modelRequests.slice(before).map(({ body }) => body);
    expect(more).toEqual([]);
    expect(only).toMatchObject({ stream: true, user: expect.stringMatching(/^[0-9a-f-]{36}$/) });
    expect(only).not.toHaveProperty("tools");
  });
});

describe("what the WebUI does wrong", () => {
  test("wrong password or gone: an agent's observation says so, and nothing else; a chatflow fails", async () => {
    stage.webui.instead.set("/sdapi/v1/options", { status: 401, body: "{}" });
    const agent = await ask("agent");
    expect(last(agent, "message_end").files).toEqual([]);
    expect(agent.find((each) => each.event === "error")).toBeUndefined();
    expect(
      agent.some((each) => String(each.observation).includes("Failed to set model, please tell user to set model")),
    ).toBe(true);
    const chatflow = await ask("chatflow");
    expect(toolNode(chatflow)).toMatchObject({
      status: "failed",
      error: expect.stringMatching(
        /ToolProviderCredentialValidationError, error details: Failed to set model, please tell user to set model$/,
      ),
    });
    expect(last(chatflow, "workflow_finished").data).toMatchObject({ status: "failed", files: [] });
    expect(chatflow.at(-1)?.event).toBe("workflow_finished");
  });

  test.each([
    ["txt2img answers 500", { status: 500, body: "{}" }, "Failed to generate imageFailed to generate image"],
    ["txt2img is slower than the tool's patience", "hang", "Failed to generate image"],
  ] as const)("%s: everything has succeeded, and there is no picture", async (_, answer, text) => {
    stage.webui.instead.set("/sdapi/v1/txt2img", answer);
    if (answer === "hang") stage.dify.config.toolTimeout = 2000;
    const chatflow = await ask("chatflow");
    expect(toolNode(chatflow)).toMatchObject({ status: "succeeded", outputs: { text, files: [] } });
    expect(last(chatflow, "workflow_finished").data).toMatchObject({ status: "succeeded", files: [] });
    const agent = await ask("agent");
    expect(last(agent, "message_end").files).toEqual([]);
  });
});

describe("signed links", () => {
  const linked = async () => last(await ask("agent"), "message_file").url as string;

  test("give the picture without a login", async () => {
    const response = await fetch(await linked());
    expect([response.status, response.headers.get("content-type")]).toEqual([200, "image/png"]);
    expect(PNG.sync.read(Buffer.from(await response.arrayBuffer()))).toMatchObject({ width: 512, height: 512 });
  });

  test("are refused when they are old, changed, or another SECRET_KEY's, and incomplete ones are a mistake", async () => {
    const link = await linked();
    const status = async (url: string) => (await fetch(url)).status;
    expect(await status(link.replace(/timestamp=(\d)/, "timestamp=2"))).toBe(403);
    expect(await status(link.replace(/\?.*/, ""))).toBe(400);
    stage.dify.config.filesTimeout = -1;
    expect(await (await fetch(link)).json()).toEqual({ code: "forbidden", message: "Invalid request.", status: 403 });
    stage.dify.config.filesTimeout = 300_000;
    const key = stage.dify.config.secretKey;
    stage.dify.config.secretKey = "another";
    expect(await status(link)).toBe(403);
    stage.dify.config.secretKey = key;
    expect(await status(link)).toBe(200);
  });

  test("have no address in them where FILES_URL is empty", async () => {
    const { filesUrl } = stage.dify.config;
    stage.dify.config.filesUrl = "";
    expect(await linked()).toMatch(/^\/files\/tools\//);
    stage.dify.config.filesUrl = filesUrl;
  });
});
