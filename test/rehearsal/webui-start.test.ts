import { rmSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import { waitForPort } from "../../rehearsal/lib/ports.ts";
import { until } from "../helpers/until.ts";
import { folder, removeFolders } from "./folders.ts";
import { basic, login, python, Standin } from "./standin.ts";

const { path, missing } = python();
const small = { prompt: "a cat", seed: 42, steps: 1, width: 64, height: 64 };

describe.skipIf(missing)(`the stand-in WebUI's start and end${missing ? ` (skipped: ${missing})` : ""}`, () => {
  let webui: Standin;
  const fresh = () => {
    webui = new Standin(path, folder());
    return webui;
  };
  afterEach(() => webui?.stop());
  afterAll(removeFolders);

  test("SIGTERM ends it", async () => {
    await fresh().start();
    webui.signal("SIGTERM");
    expect(await webui.ended()).toBe("SIGTERM");
  });

  test("between the port's opening and the API's adding, /sdapi is 404 and ping 200; then all is well", async () => {
    await fresh().start({ env: { ATELIER_STANDIN_ROUTES_SECONDS: "6" }, until: /Running on local URL/ });
    expect((await webui.api("sd-models")).status).toBe(404);
    expect((await webui.call("/internal/ping")).status).toBe(200);
    await webui.logged(/Startup time/);
    expect((await webui.api("sd-models")).status).toBe(200);
  });

  test("the start-up race, as ordered: a request in between, and the API never comes; a while later it ends with 1", async () => {
    fresh().tell("startup-race");
    const env = { ATELIER_STANDIN_ROUTES_SECONDS: "6", ATELIER_STANDIN_LINGER_SECONDS: "6" };
    await webui.start({ own: true, env, until: /Running on local URL/ });
    expect((await webui.api("sd-models")).status).toBe(404);
    await webui.logged(/RuntimeError: Cannot add middleware after an application has started/);
    expect((await webui.call("/internal/ping")).status).toBe(200);
    expect((await webui.api("sd-models")).status).toBe(404);
    expect(await webui.ended()).toBe(1);
  });

  test("the race is not lost by who waits for the log", async () => {
    fresh().tell("startup-race");
    await webui.start();
    expect((await webui.api("txt2img", small)).status).toBe(200);
  });

  test("a model that never loads: everything answers but the picture", async () => {
    fresh().tell("model-never-loads");
    await webui.start({ until: /Startup time/ });
    expect((await webui.api("sd-models")).status).toBe(200);
    await expect(webui.call("/sdapi/v1/txt2img", { body: small, ms: 700 })).rejects.toThrow(/timeout/);
    expect(webui.log()).not.toContain("Model loaded in");
  });

  test("an unknown checkpoint in config.json: the first is loaded, and the log says so", async () => {
    fresh().writeData("config.json", JSON.stringify({ sd_model_checkpoint: "gone.safetensors" }));
    await webui.start();
    expect(webui.log()).toContain("Checkpoint gone.safetensors not found; loading fallback v1-5-pruned-emaonly.ckpt");
  });

  test("a hash in config.json is told before any model is loaded", async () => {
    fresh().writeData("config.json", JSON.stringify({ sd_checkpoint_hash: "ab".repeat(32) }));
    webui.tell("model-never-loads");
    await webui.start({ until: /Startup time/ });
    expect((await webui.api("options")).json.sd_checkpoint_hash).toBe("ab".repeat(32));
  });

  test("no checkpoint: it serves, pictures fail by name; one added and refreshed heals it", async () => {
    rmSync(fresh().checkpoints, { recursive: true });
    await webui.start({ until: /Startup time/ });
    expect(webui.log()).toContain("Stable diffusion model failed to load");
    const failed = await webui.api("txt2img", small);
    expect([failed.status, failed.json.error]).toEqual([500, "FileNotFoundError"]);
    expect(failed.json.errors).toMatch(/^No checkpoints found/);
    new Standin(path, webui.folder);
    await webui.api("refresh-checkpoints", {});
    expect((await webui.api("txt2img", small)).status).toBe(200);
  });

  test("without the tokenizer's files: pictures fail as the real one's", async () => {
    fresh();
    rmSync(join(webui.folder, "hf"), { recursive: true });
    await webui.start({ until: /Startup time/ });
    const { status, json } = await webui.api("txt2img", small);
    expect([status, json.error]).toEqual([500, "OSError"]);
    expect(json.errors).toMatch(/^Can't load tokenizer for 'openai\/clip-vit-large-patch14'/);
  });

  test("without its repositories it does not start", async () => {
    fresh();
    rmSync(join(webui.folder, "webui", "repositories", "k-diffusion"), { recursive: true });
    await webui.launch({ own: true });
    expect(await webui.ended()).toBe(1);
    expect(webui.log()).toMatch(/AssertionError: Couldn't find k_diffusion/);
  });

  test("a port that is taken ends it", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    const port = (server.address() as { port: number }).port;
    await fresh().launch({ own: true, port });
    expect(await webui.ended()).toBe(1);
    expect(webui.log()).toContain(`OSError: Cannot find empty port in range: ${port}-${port}`);
    server.close();
  });

  test("a flag that it does not know ends it with 2; a colon in the API's password with 1", async () => {
    await fresh().launch({ own: true, flags: ["--nonsense"] });
    expect(await webui.ended()).toBe(2);
    await webui.launch({ own: true, flags: ["--api-auth", "u:p:q"] });
    expect(await webui.ended()).toBe(1);
    expect(webui.log()).toContain("ValueError: too many values to unpack");
  });

  test("--nowebui: the API and its description, nothing else, and no race", async () => {
    await fresh().launch({ flags: ["--nowebui"] });
    await until("its port is open", () => waitForPort(webui.port, 1000));
    expect((await webui.api("sd-models")).status).toBe(200);
    for (const path of ["/", "/config", "/internal/ping", "/file=README.md"]) {
      expect((await webui.call(path)).status).toBe(404);
    }
    expect((await webui.call("/openapi.json")).status).toBe(200);
    expect(webui.log()).toContain("Uvicorn running on");
  });

  test("a login in flags: two words are hidden in sysinfo, one with = is not; the UI stands open", async () => {
    const auth = `${login.user}:${login.password}`;
    await fresh().start({ own: true, flags: ["--api-auth", auth] });
    expect((await webui.call("/internal/sysinfo")).json.Commandline).toContain("<hidden>");
    expect((await webui.call("/config", { auth: null })).status).toBe(200);
    expect((await webui.call("/sdapi/v1/memory", { auth: null })).status).toBe(401);
    expect((await webui.call("/sdapi/v1/memory", { auth: basic(login.user, login.password) })).status).toBe(200);
    await webui.stop();
    await webui.start({ own: true, flags: [`--api-auth=${auth}`] });
    expect((await webui.call("/internal/sysinfo")).text).toContain(auth);
  });

  test("--ckpt wins at every refresh", async () => {
    fresh();
    await webui.start({ own: true, flags: ["--ckpt", join(webui.checkpoints, "v1-5-pruned-emaonly.ckpt")] });
    await webui.api("options", { sd_model_checkpoint: "sub/other.safetensors" });
    await webui.api("refresh-checkpoints", {});
    const { json } = await webui.api("options");
    expect(json.sd_model_checkpoint).toMatch(/^v1-5-pruned-emaonly\.ckpt/);
  });
});
