import { createHash } from "node:crypto";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { PNG } from "pngjs";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { safetensors } from "../../rehearsal/upstreams/checkpoints.ts";
import { until } from "../helpers/until.ts";
import { folder, removeFolders } from "./folders.ts";
import { basic, login, python, Standin } from "./standin.ts";

const { path, missing } = python();
const golden = (name: string) =>
  JSON.parse(readFileSync(join(import.meta.dirname, "../golden/webui", `${name}.json`), "utf8"));

/** The shape of a value: keys and kinds. Of a list, that of its first entry; `null` fits anything, on both sides. */
function shapeDifference(got: unknown, wanted: unknown, place = ""): string[] {
  if (wanted === null || got === null) return [];
  const kind = (value: unknown) => (Array.isArray(value) ? "list" : typeof value);
  if (kind(got) !== kind(wanted)) return [`${place}: ${kind(got)}, the real one: ${kind(wanted)}`];
  if (Array.isArray(got) && Array.isArray(wanted)) {
    return got.length && wanted.length ? shapeDifference(got[0], wanted[0], `${place}[0]`) : [];
  }
  if (typeof got !== "object" || typeof wanted !== "object") return [];
  const [own, real] = [got as Record<string, unknown>, wanted as Record<string, unknown>];
  const keys = new Set([...Object.keys(own), ...Object.keys(real)]);
  return [...keys].flatMap((key) => {
    if (!(key in own)) return [`${place}.${key}: missing`];
    if (!(key in real)) return [`${place}.${key}: the real one has none`];
    return shapeDifference(own[key], real[key], `${place}.${key}`);
  });
}

interface Pixels {
  width: number;
  height: number;
  at(x: number, y: number): number[];
  colours: number;
}

function decode(base64: string): Pixels {
  const { width, height, data } = PNG.sync.read(Buffer.from(base64, "base64"));
  const at = (x: number, y: number) => [...data.subarray(4 * (y * width + x), 4 * (y * width + x) + 3)];
  const colours = new Set<number>();
  for (let i = 0; i < data.length; i += 4) colours.add(data.readUIntBE(i, 3));
  return { width, height, at, colours: colours.size };
}

function encode(width: number, height: number, colour: (x: number, y: number) => number[]): string {
  const png = new PNG({ width, height });
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) png.data.set([...colour(x, y), 255], 4 * (y * width + x));
  }
  return PNG.sync.write(png).toString("base64");
}

/** A text chunk of a PNG. */
function textOf(base64: string, key: string): string | undefined {
  const bytes = Buffer.from(base64, "base64");
  for (let at = 8; at < bytes.length; ) {
    const length = bytes.readUInt32BE(at);
    const body = bytes.subarray(at + 8, at + 8 + length);
    if (bytes.toString("latin1", at + 4, at + 8) === "tEXt" && body.toString("latin1").startsWith(`${key}\0`)) {
      return body.subarray(key.length + 1).toString("latin1");
    }
    at += 12 + length;
  }
  return undefined;
}

const small = {
  prompt: "a cat",
  negative_prompt: "dog",
  seed: 42,
  steps: 1,
  width: 64,
  height: 64,
  sampler_name: "Euler a",
};
const firstSha = createHash("sha256").update(safetensors("one")).digest("hex");
const otherSha = createHash("sha256").update(safetensors("other")).digest("hex");

describe.skipIf(missing)(`the stand-in WebUI${missing ? ` (skipped: ${missing})` : ""}`, () => {
  let webui: Standin;
  beforeAll(async () => {
    webui = new Standin(path, folder());
    await webui.start();
  });
  afterAll(async () => {
    await webui?.stop();
    removeFolders();
  });
  afterEach(() => webui.tell());

  describe("answers as the real one", () => {
    test.each([
      "cmd-flags",
      "embeddings",
      "extensions",
      "face-restorers",
      "hypernetworks",
      "latent-upscale-modes",
      "loras",
      "memory",
      "options",
      "progress",
      "prompt-styles",
      "realesrgan-models",
      "samplers",
      "schedulers",
      "script-info",
      "scripts",
      "sd-models",
      "sd-vae",
      "upscalers",
    ])("GET %s", async (name) => {
      const { status, json, headers } = await webui.api(name);
      expect([status, headers.get("content-type")]).toEqual([200, "application/json"]);
      expect(shapeDifference(json, golden(name))).toEqual([]);
    });

    test.each(["samplers", "schedulers", "upscalers", "latent-upscale-modes", "scripts", "face-restorers"])(
      "GET %s holds the very same names",
      async (name) => {
        expect((await webui.api(name)).json).toEqual(golden(name));
      },
    );

    test("openapi.json, open to anyone", async () => {
      expect((await webui.call("/openapi.json", { auth: null })).json).toEqual(golden("openapi"));
    });

    test.each([
      ["txt2img", small],
      ["txt2img-unknown-sampler", { prompt: "a cat", seed: 42, steps: 1, width: 64, height: 64, sampler_name: "nope" }],
    ])("POST %s", async (name, body) => {
      const wanted = golden(name);
      const { status, json } = await webui.api("txt2img", body);
      expect(status).toBe(200);
      expect(json.parameters).toEqual(wanted.parameters);
      const [info, real] = [JSON.parse(json.info), JSON.parse(wanted.info)];
      expect(shapeDifference(info, real)).toEqual([]);
      const own = { sd_model_hash: firstSha.slice(0, 10), version: "v1.10.1-rehearsal" };
      const { subseed, all_subseeds, job_timestamp, infotexts, ...same } = real;
      expect(info).toMatchObject({ ...same, ...own });
      const text = infotexts[0].replace(real.sd_model_hash, own.sd_model_hash).replace(/v1.10.1$/, own.version);
      expect(info.infotexts).toEqual([text]);
      expect(textOf(json.images[0], "parameters")).toBe(text);
    });

    test("the log has the lines that a start is known by", () => {
      expect(webui.log()).toContain(`Running on local URL:  ${webui.url}\n`);
      expect(webui.log()).toMatch(/^Startup time: [\d.]+s \(/m);
      expect(webui.log()).toMatch(/^Model loaded in [\d.]+s \(/m);
      expect(webui.log()).toContain(`Loading weights [${firstSha.slice(0, 10)}]`);
      expect(webui.log()).not.toContain(login.password);
    });
  });

  describe("pictures", () => {
    const draw = async (body: object) => (await webui.api("txt2img", { ...small, ...body })).json.images as string[];

    test("the same request gives the same bytes; seed, prompt, steps and sampler change them", async () => {
      const [first] = await draw({});
      expect(await draw({})).toEqual([first]);
      const others = await Promise.all(
        [{ seed: 43 }, { prompt: "a dog" }, { steps: 2 }, { sampler_name: "Euler" }].map(
          async (body) => (await draw(body))[0],
        ),
      );
      expect(new Set([first, ...others]).size).toBe(5);
    });

    test.each([
      [64, 64],
      [256, 128],
      [512, 768],
    ])("%i x %i, not flat, with the word in it", async (width, height) => {
      const [image = ""] = await draw({ width, height });
      const pixels = decode(image);
      expect([pixels.width, pixels.height]).toEqual([width, height]);
      expect(pixels.colours).toBeGreaterThan(500);
      // The letters are one near-white, on one near-black band.
      let light = 0;
      let dark = 0;
      for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; x++) {
          const colour = pixels.at(x, y).join();
          if (colour === "240,240,240") light++;
          if (colour === "16,16,24") dark++;
        }
      }
      expect(light).toBeGreaterThan(100);
      expect(dark).toBeGreaterThan(light / 2);
    });

    test("a batch has a seed each", async () => {
      const { json } = await webui.api("txt2img", { ...small, batch_size: 2, n_iter: 2 });
      expect(new Set(json.images).size).toBe(4);
      expect(JSON.parse(json.info).all_seeds).toEqual([42, 43, 44, 45]);
    });

    test("pictures come in the form that samples_format says", async () => {
      const first = async (samples_format: string) => {
        await webui.api("options", { samples_format });
        return Buffer.from((await webui.api("txt2img", small)).json.images[0], "base64");
      };
      expect((await first("jpg")).subarray(0, 3).toString("hex")).toBe("ffd8ff");
      expect((await first("webp")).subarray(8, 12).toString()).toBe("WEBP");
      expect((await first("png")).subarray(1, 4).toString()).toBe("PNG");
    });

    test("without a seed, each is another; without a sampler it is Euler; 65 is rounded to 64", async () => {
      const ask = async () => (await webui.api("txt2img", { steps: 1, width: 65, height: 64 })).json;
      const [one, two] = [await ask(), await ask()];
      expect(one.images[0]).not.toBe(two.images[0]);
      expect(JSON.parse(one.info).sampler_name).toBe("Euler");
      expect(decode(one.images[0]).width).toBe(64);
    });

    test("a sampler with its schedule behind it, and an unknown schedule", async () => {
      const info = async (body: object) => JSON.parse((await webui.api("txt2img", { ...small, ...body })).json.info);
      expect((await info({ sampler_name: "DPM++ 2M Karras" })).infotexts[0]).toContain(
        "Sampler: DPM++ 2M, Schedule type: Karras",
      );
      expect((await info({ scheduler: "nope" })).infotexts[0]).toContain("Sampler: Euler a, Schedule type: Automatic");
      expect((await info({ scheduler: "Exponential" })).extra_generation_params).toEqual({
        "Schedule type": "Exponential",
      });
    });

    test("progress while it draws, and interrupt: 200 with the picture so far", async () => {
      await webui.stop();
      await webui.start({ env: { ATELIER_STANDIN_STEP_SECONDS: "0.5" } });
      const drawing = webui.api("txt2img", { ...small, steps: 150 });
      await until("a step is done", async () => (await webui.api("progress")).json.progress > 0.01);
      const { json } = await webui.api("progress");
      expect(json.state).toMatchObject({ job: "scripts_txt2img", job_count: 1, sampling_steps: 150 });
      expect(decode(json.current_image).width).toBe(64);
      expect((await webui.api("progress?skip_current_image=true")).json.current_image).toBeNull();
      expect((await webui.api("interrupt", {})).json).toEqual({});
      const { status, json: drawn } = await drawing;
      expect([status, drawn.images.length]).toEqual([200, 1]);
      expect((await webui.api("progress")).json).toEqual(golden("progress"));
      await webui.stop();
      await webui.start();
    });

    const blue = () => [10, 20, 230];
    const init = encode(64, 64, blue);

    test("img2img: an init picture in base64 or as data URI, mixed by its strength", async () => {
      const ask = async (body: object) =>
        (await webui.api("img2img", { ...small, denoising_strength: 0.5, ...body })).json;
      const one = await ask({ init_images: [init] });
      expect(await ask({ init_images: [`data:image/png;base64,${init}`] })).toMatchObject({ images: one.images });
      expect(one.parameters).toMatchObject({ init_images: null, mask: null, denoising_strength: 0.5 });
      expect(JSON.parse(one.info).infotexts[0]).toContain("Denoising strength: 0.5");
      const strong = await ask({ init_images: [init], denoising_strength: 1 });
      const distance = (image: string) => Math.abs((decode(image).at(5, 5)[2] ?? 0) - 230);
      expect(distance(one.images[0])).toBeLessThanOrEqual(distance(strong.images[0]));
      expect(one.images[0]).not.toBe(init);
    });

    test("inpainting: white is painted anew, what is far from it stays to the bit, near it is blurred as in the real one", async () => {
      const mask = encode(64, 64, (x) => (x < 24 ? [255, 255, 255] : [0, 0, 0]));
      const ask = (body: object) =>
        webui.api("img2img", { ...small, init_images: [init], mask, denoising_strength: 1, ...body });
      const pixels = decode((await ask({})).json.images[0]);
      for (let y = 0; y < 64; y++) for (let x = 36; x < 64; x++) expect(pixels.at(x, y)).toEqual(blue());
      expect(pixels.at(8, 8)).not.toEqual(blue());
      const sharp = decode((await ask({ mask_blur: 0 })).json.images[0]);
      for (let y = 0; y < 64; y++) for (let x = 24; x < 64; x++) expect(sharp.at(x, y)).toEqual(blue());
      const inverted = decode((await ask({ mask_blur: 0, inpainting_mask_invert: 1 })).json.images[0]);
      expect(inverted.at(8, 8)).toEqual(blue());
      expect(inverted.at(50, 8)).not.toEqual(blue());
    });

    test("upscaling by two, keeping the picture's text; also by a model that can't be downloaded", async () => {
      const [image = ""] = await draw({});
      for (const upscaler_1 of ["Lanczos", "R-ESRGAN 4x+"]) {
        const { status, json } = await webui.api("extra-single-image", { image, upscaler_1, upscaling_resize: 2 });
        expect(status).toBe(200);
        expect(json.html_info).toContain(upscaler_1);
        expect([decode(json.image).width, decode(json.image).height]).toEqual([128, 128]);
        expect(textOf(json.image, "parameters")).toContain("Seed: 42");
      }
    });

    test("png-info reads what was written", async () => {
      const [image = ""] = await draw({});
      expect((await webui.api("png-info", { image })).json.info).toContain("Seed: 42, Size: 64x64");
    });
  });

  describe("mistakes", () => {
    const apiError = (error: string, errors: unknown, detail = "") => ({ error, detail, body: "", errors });
    const refused = (detail: string) => apiError("HTTPException", "", detail);
    test.each<[string, string, unknown, number, unknown]>([
      ["width 0", "txt2img", { ...small, width: 0 }, 500, apiError("RuntimeError", expect.any(String))],
      ["steps 0", "txt2img", { ...small, steps: 0 }, 500, apiError("ZeroDivisionError", expect.any(String))],
      ["no init picture", "img2img", small, 404, refused("Init image not found")],
      ["bad init picture", "img2img", { ...small, init_images: ["nope"] }, 500, refused("Invalid encoded image")],
      ["no picture", "extra-single-image", { upscaler_1: "Lanczos" }, 500, refused("Invalid encoded image")],
      [
        "unknown upscaler",
        "extra-single-image",
        { image: encode(8, 8, () => [1, 2, 3]), upscaler_1: "nope" },
        500,
        apiError("AssertionError", "could not find upscaler named nope"),
      ],
      ["unknown option", "options", { nope: 1 }, 500, apiError("KeyError", "'nope'")],
      [
        "unknown checkpoint",
        "options",
        { sd_model_checkpoint: "nope" },
        500,
        apiError("RuntimeError", "model 'nope' not found"),
      ],
      [
        "a word for a number",
        "txt2img",
        { steps: "many", prompt: [] },
        422,
        {
          detail: [
            { loc: ["body", "prompt"], msg: "str type expected", type: "type_error.str" },
            { loc: ["body", "steps"], msg: "value is not a valid integer", type: "type_error.integer" },
          ],
        },
      ],
    ])("%s", async (_what, name, body, status, answer) => {
      const got = await webui.api(name, body);
      expect([got.status, got.json]).toEqual([status, answer]);
    });

    test("no JSON and no body: 422, even before the password", async () => {
      const broken = await webui.call("/sdapi/v1/txt2img", { raw: "{", auth: null });
      expect([broken.status, broken.json.detail[0].type]).toEqual([422, "value_error.jsondecode"]);
      const empty = await webui.call("/sdapi/v1/txt2img", { method: "POST" });
      expect([empty.status, empty.json]).toEqual([
        422,
        { detail: [{ loc: ["body"], msg: "field required", type: "value_error.missing" }] },
      ]);
    });

    test("unknown fields are ignored; unknown paths are 404 without a password; server-stop is not there", async () => {
      expect((await webui.api("txt2img", { ...small, nonsense: 1 })).status).toBe(200);
      for (const path of ["/nothing", "/sdapi/v1/nothing", "/sdapi/v1/server-stop"]) {
        const { status, json } = await webui.call(path, { auth: null });
        expect([status, json]).toEqual([404, { detail: "Not Found" }]);
      }
      expect((await webui.call("/sdapi/v1/txt2img")).status).toBe(405);
    });
  });

  describe("doors", () => {
    test.each([
      ["none", null, "Not authenticated"],
      ["a bearer's", "Bearer x", "Not authenticated"],
      ["a wrong password", basic(login.user, "wrong"), "Incorrect username or password"],
      ["a wrong user", basic("root", login.password), "Incorrect username or password"],
      ["no base64", "Basic !!!", "Invalid authentication credentials"],
    ])("the API refuses %s", async (_what, auth, detail) => {
      const { status, json, headers } = await webui.call("/sdapi/v1/sd-models", { auth });
      expect([status, json]).toEqual([401, { error: "HTTPException", detail, body: "", errors: "" }]);
      expect(headers.get("www-authenticate")).toBeNull();
    });

    test.each([
      ["/config", 401],
      ["/info", 401],
      ["/file=README.md", 401],
      ["/", 200],
      ["/internal/ping", 200],
      ["/internal/sysinfo", 200],
      ["/internal/pending-tasks", 200],
      ["/docs", 200],
      ["/openapi.json", 200],
    ])("without a login %s is %i, and the API's password changes nothing", async (path, status) => {
      expect((await webui.call(path, { auth: null })).status).toBe(status);
      expect((await webui.call(path)).status).toBe(status);
    });

    test("the UI's login is a cookie, which opens its doors and not the API", async () => {
      const post = (password: string) =>
        webui.call("/login", {
          raw: new URLSearchParams({ username: login.user, password }).toString(),
          auth: null,
          headers: { "content-type": "application/x-www-form-urlencoded" },
        });
      const wrong = await post("wrong");
      expect([wrong.status, wrong.json]).toEqual([400, { detail: "Incorrect credentials." }]);
      const right = await post(login.password);
      expect([right.status, right.json]).toEqual([200, { success: true }]);
      const cookie = right.headers
        .getSetCookie()
        .map((line) => line.split(";")[0])
        .join("; ");
      const ask = (path: string) => webui.call(path, { auth: null, headers: { cookie } });
      expect((await ask("/config")).json.version).toBe("3.41.2");
      expect((await ask("/file=README.md")).text).toContain("REHEARSAL");
      expect((await ask("/file=../credentials")).status).toBe(403);
      expect((await ask("/file=/etc/passwd")).status).toBe(403);
      expect((await ask("/file=nothing.txt")).status).toBe(404);
      expect((await ask("/sdapi/v1/memory")).status).toBe(401);
    });

    test("sysinfo says the commit and the flags, not the password of the file", async () => {
      const { text, json } = await webui.call("/internal/sysinfo", { auth: null });
      expect(json.Commandline).toContain("--api");
      expect(text).not.toContain(login.password);
    });
  });

  describe("models", () => {
    const models = async () =>
      (await webui.api("sd-models")).json as { title: string; model_name: string; sha256: string | null }[];
    const info = async (body: object = {}) => JSON.parse((await webui.api("txt2img", { ...small, ...body })).json.info);
    const choose = (sd_model_checkpoint: string) => webui.api("options", { sd_model_checkpoint });

    test("the loaded one has its hash in the title, the others have none; two of one stem have one model name", async () => {
      expect((await models()).map(({ title, model_name, sha256 }) => ({ title, model_name, sha256 }))).toEqual([
        { title: "v1-5-pruned-emaonly.ckpt", model_name: "v1-5-pruned-emaonly", sha256: null },
        {
          title: `v1-5-pruned-emaonly.safetensors [${firstSha.slice(0, 10)}]`,
          model_name: "v1-5-pruned-emaonly",
          sha256: firstSha,
        },
        { title: "sub/other.safetensors", model_name: "sub_other", sha256: null },
      ]);
      expect((await webui.api("options")).json.sd_checkpoint_hash).toBe(firstSha);
    });

    test("a switch answers 200 null, is used, gives the title its hash, and is kept in config.json", async () => {
      const answer = await choose("sub/other.safetensors");
      expect([answer.status, answer.json]).toEqual([200, null]);
      expect(await info()).toMatchObject({ sd_model_name: "other", sd_model_hash: otherSha.slice(0, 10) });
      const title = `sub/other.safetensors [${otherSha.slice(0, 10)}]`;
      expect((await models()).map((model) => model.title)).toContain(title);
      const config = JSON.parse(readFileSync(join(webui.folder, "data", "config.json"), "utf8"));
      expect(config).toMatchObject({ sd_model_checkpoint: title, sd_checkpoint_hash: otherSha });
      await choose("v1-5-pruned-emaonly.safetensors");
      expect((await info()).sd_model_hash).toBe(firstSha.slice(0, 10));
    });

    test("override_settings: for one picture; an unknown checkpoint is ignored with 200", async () => {
      const other = { override_settings: { sd_model_checkpoint: "sub/other.safetensors" } };
      expect((await info(other)).sd_model_name).toBe("other");
      expect((await info()).sd_model_name).toBe("v1-5-pruned-emaonly");
      expect((await info({ override_settings: { sd_model_checkpoint: "nope" } })).sd_model_name).toBe(
        "v1-5-pruned-emaonly",
      );
    });

    test.each([
      ["cut", safetensors("cut").subarray(0, 100_000)],
      ["empty", ""],
      ["a page of HTML", "<!doctype html><title>Login</title>".repeat(9)],
    ])(
      "a file that is %s: listed like a good one, 200 null and back again, then no new picture until another loads",
      async (_what, content) => {
        webui.addCheckpoint("bad.safetensors", content);
        expect((await models()).some(({ title }) => title.startsWith("bad"))).toBe(false);
        expect((await webui.api("refresh-checkpoints", {})).json).toBeNull();
        expect((await models()).some(({ title }) => title.startsWith("bad"))).toBe(true);
        const answer = await choose("bad.safetensors");
        expect([answer.status, answer.json]).toEqual([200, null]);
        expect((await webui.api("options")).json.sd_model_checkpoint).toContain("v1-5-pruned-emaonly.safetensors");
        await choose("v1-5-pruned-emaonly.safetensors");
        const failed = await webui.api("txt2img", small);
        expect([failed.status, failed.json.errors]).toEqual([500, expect.stringContaining("Found no NVIDIA driver")]);
        await choose("sub/other.safetensors");
        expect((await info()).sd_model_name).toBe("other");
        await choose("v1-5-pruned-emaonly.safetensors");
        rmSync(join(webui.checkpoints, "bad.safetensors"));
        await webui.api("refresh-checkpoints", {});
      },
    );

    test("unloaded, it is loaded again by the next picture", async () => {
      expect((await webui.api("unload-checkpoint", {})).json).toEqual({});
      expect((await info()).sd_model_hash).toBe(firstSha.slice(0, 10));
      expect((await webui.api("reload-checkpoint", {})).json).toEqual({});
    });
  });

  describe("lies", () => {
    const draw = async (body: object = {}) => (await webui.api("txt2img", { ...small, ...body })).json;

    test("black, flat, of a wrong size, without text", async () => {
      webui.tell("black-picture");
      const black = decode((await draw()).images[0]);
      expect([black.colours, black.at(9, 9)]).toEqual([1, [0, 0, 0]]);
      webui.tell("flat-picture");
      const flat = decode((await draw()).images[0]);
      expect([flat.colours, flat.at(9, 9)]).toEqual([1, [127, 127, 127]]);
      webui.tell("wrong-size");
      expect(decode((await draw()).images[0]).width).toBe(32);
      webui.tell("no-text-chunk");
      expect(textOf((await draw()).images[0], "parameters")).toBeUndefined();
    });

    test("the same seed gives another picture", async () => {
      webui.tell("different-seed-picture");
      expect((await draw()).images[0]).not.toBe((await draw()).images[0]);
    });

    test("inpainting changes what the mask leaves alone", async () => {
      webui.tell("unmasked-changed");
      const black = () => [0, 0, 0];
      const body = { ...small, init_images: [encode(64, 64, black)], mask: encode(64, 64, black) };
      expect(decode((await webui.api("img2img", body)).json.images[0]).colours).toBeGreaterThan(100);
    });

    test("a stale hash, and 200 for an unknown checkpoint that changes nothing", async () => {
      webui.tell("stale-hash", "unknown-checkpoint-200");
      expect((await webui.api("options")).json.sd_checkpoint_hash).toBe("0".repeat(64));
      const answer = await webui.api("options", { sd_model_checkpoint: "nope" });
      expect([answer.status, answer.json]).toEqual([200, null]);
      await webui.api("options", { sd_model_checkpoint: "sub/other.safetensors" });
      expect(JSON.parse((await draw()).info).sd_model_name).toBe("v1-5-pruned-emaonly");
    });

    test("an API and a UI that ask for no password", async () => {
      webui.tell("open-api, open-config");
      for (const path of ["/sdapi/v1/sd-models", "/config", "/info", "/file=README.md"]) {
        expect((await webui.call(path, { auth: null })).status).toBe(200);
      }
    });

    test("no answer at all", async () => {
      webui.tell("hang");
      await expect(webui.call("/internal/ping", { ms: 500 })).rejects.toThrow(/timeout/);
      webui.tell();
      expect((await webui.call("/internal/ping")).status).toBe(200);
    });
  });
});
