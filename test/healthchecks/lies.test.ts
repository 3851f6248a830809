import { PNG } from "pngjs";
import { describe, expect, test } from "vitest";
import { drawing, golden, type Lie, modelSha256, noise, type Reply, read } from "./fake-webui.ts";
import { fake, inputFor, prove } from "./prove.ts";

const txt2img = "POST /sdapi/v1/txt2img";
const img2img = "POST /sdapi/v1/img2img";
const upscale = "POST /sdapi/v1/extra-single-image";

const edited = (name: string, edit: (value: never) => void) => (): Reply => {
  const value = JSON.parse(golden(name));
  edit(value as never);
  return { body: value };
};

const refused: Lie = () => ({ status: 403, body: { detail: "File not allowed: style.css." } });

// Besides those that the stand-in tells (standin.test.ts). For each lie: what the WebUI does instead, the check that has to fail, its sentence, and the input's differences.
const lies: [string, Record<string, Lie>, string, RegExp, Record<string, unknown>?][] = [
  [
    "another seed than asked",
    { [txt2img]: ({ json }) => drawing(json, noise(json), { seed: 7 }) },
    "txt2img",
    /seed 42.* drew with 7/,
  ],
  [
    "a text chunk of another model",
    {
      [txt2img]: ({ json, honest }) => ({
        body: {
          ...(honest().body as object),
          images: (drawing(json, noise(json), { sd_model_hash: "0000000000" }).body as { images: string[] }).images,
        },
      }),
    },
    "txt2img",
    /text says model v1-5-pruned-emaonly \[0000000000\], the WebUI says v1-5-pruned-emaonly \[c955cc14f8\]/,
  ],
  [
    "a JPEG",
    {
      [txt2img]: ({ honest }) => ({
        body: { ...(honest().body as object), images: [Buffer.from([0xff, 0xd8, 0xff, 0xe0]).toString("base64")] },
      }),
    },
    "txt2img",
    /not a PNG but a JPEG.*samples_format/,
  ],
  [
    "another model than asked",
    { [txt2img]: ({ json }) => drawing(json, noise(json), { sd_model_name: "other", sd_model_hash: "1234567890" }) },
    "model",
    /drawn by other \[1234567890\], not by v1-5-pruned-emaonly.safetensors \[c955cc14f8\]/,
  ],
  [
    "a checkpoint that is not there",
    {},
    "options",
    /knows no checkpoint nope\.safetensors; it has v1-5-pruned-emaonly\.safetensors, v1-5-pruned-emaonly\.ckpt/,
    { model: "nope.safetensors", modelSha256: undefined },
  ],
  [
    "the .ckpt of the same stem",
    {},
    "options",
    /is set to v1-5-pruned-emaonly\.safetensors, not to v1-5-pruned-emaonly\.ckpt/,
    { model: "v1-5-pruned-emaonly.ckpt", modelSha256: undefined },
  ],
  [
    "another file under the model's name",
    {},
    "model",
    /has sha256 c955cc14f8…, expected aaaaaaaaaa…/,
    { modelSha256: "a".repeat(64) },
  ],
  ["another version", {}, "version", /is v1\.10\.1, installed was v1\.9\.0/, { version: "v1.9.0" }],
  [
    "the same seed drawn otherwise, with xformers",
    { [txt2img]: ({ json, call }) => drawing(json, noise({ ...json, seed: call })) },
    "same-seed",
    /same seed gave two pictures/,
    { xformers: true },
  ],
  [
    "one picture for every seed",
    { [txt2img]: ({ json }) => drawing(json, noise({ ...json, seed: 1 })) },
    "other-seed",
    /Another seed gave the same picture/,
  ],
  [
    "img2img that copies",
    {
      [img2img]: ({ json }) =>
        json.mask || !json.init_images ? undefined : drawing(json, read((json.init_images as string[])[0]!)),
    },
    "img2img",
    /gave back the picture that it was given/,
  ],
  [
    "inpainting nothing",
    { [img2img]: ({ json }) => (json.mask ? drawing(json, read((json.init_images as string[])[0]!)) : undefined) },
    "inpaint",
    /left the masked part as it was/,
  ],
  [
    "an upscale that does nothing",
    { [upscale]: ({ json }) => (json.image ? { body: { image: json.image } } : undefined) },
    "upscale",
    /is 64x64, asked for was 128x128/,
  ],
  [
    "an upscale of something else",
    {
      [upscale]: ({ json }) =>
        json.image
          ? { body: { image: PNG.sync.write(noise({ width: 128, height: 128, seed: 5 })).toString("base64") } }
          : undefined,
    },
    "upscale",
    /enlarged picture is another one/,
  ],
  [
    "a style that is refused",
    { "GET /file=style.css": refused },
    "page",
    /page lacks 1 of 3 scripts and styles: \/file=style\.css answered 403\. Restart/,
  ],
  [
    "a page in a script's place",
    { "GET /file=script.js": () => ({ body: "<!DOCTYPE html><html></html>" }) },
    "page",
    /lacks 1 of 3 scripts and styles: \/file=script\.js is a page\./,
  ],
  ["a page without scripts", { "GET /": () => ({ body: "<html></html>" }) }, "page", /names no script of the WebUI/],
  [
    "a page without styles",
    { "GET /": () => ({ body: '<script src="file=script.js?1"></script>' }) },
    "page",
    /names no style of the WebUI/,
  ],
  ["no page", { "GET /": () => ({ status: 500, body: "no" }) }, "page", /page answered 500 no/],
];

describe("each lie is caught by its check", () => {
  test.each(lies)("%s", async (_name, told, check, sentence, more = {}) => {
    const webui = await fake(told);
    const { proof, failed } = await prove(inputFor(webui.url, more));
    expect(proof.ok).toBe(false);
    expect(failed[check]).toMatch(sentence);
    // One lie stops no other check.
    expect(Object.values(failed).join("\n")).not.toContain("Not run");
    expect(proof.checks).toHaveLength(15);
  });
});

test("with xformers a slight difference is the same picture, without it is not", async () => {
  const slightly: Lie = ({ json, call }) => {
    const png = noise(json);
    if (call % 2)
      for (let i = 0; i < png.data.length; i++) if (i % 4 !== 3) png.data[i] = Math.min(255, png.data[i]! + 1);
    return drawing(json, png);
  };
  const webui = await fake({ [txt2img]: slightly });
  const without = await prove(inputFor(webui.url));
  expect(without.failed["same-seed"]).toMatch(/differ by 1\.00 of 255.*xformers/);
  const second = await fake({ [txt2img]: slightly });
  const { failed } = await prove(inputFor(second.url, { xformers: true }));
  expect(failed).toEqual({});
});

test("another checkpoint, chosen in the WebUI, gives way to the settings' one", async () => {
  let set = "v1-5-pruned-emaonly.ckpt";
  const webui = await fake({
    "GET /sdapi/v1/options": ({ honest }) => ({
      body: { ...JSON.parse(String(honest().body)), sd_model_checkpoint: set },
    }),
    "POST /sdapi/v1/options": ({ json }) => {
      set = String(json.sd_model_checkpoint ?? set);
      return { body: null };
    },
  });
  const { failed, proof } = await prove(inputFor(webui.url));
  expect(failed).toEqual({});
  expect(proof.checks[0]?.detail).toMatch(
    /It was set to v1-5-pruned-emaonly\.ckpt; v1-5-pruned-emaonly\.safetensors was asked for\./,
  );
});

test("a model is known by its file though its title gains a hash", async () => {
  const bare = edited("sd-models", (models: { title: string; hash: null; sha256: null }[]) => {
    Object.assign(models[0]!, { title: "v1-5-pruned-emaonly.safetensors", hash: null, sha256: null });
  });
  const webui = await fake({ "GET /sdapi/v1/sd-models": bare });
  const { failed } = await prove(inputFor(webui.url, { modelSha256 }));
  expect(failed).toEqual({});
});

test("a sampler may be asked for by alias or with its schedule", async () => {
  const webui = await fake();
  const { failed } = await prove(inputFor(webui.url, { sampler: "DPM++ 2M Karras" }));
  expect(failed).toEqual({});
  const aliased = await fake({
    [txt2img]: ({ json, honest }) =>
      json.sampler_name ? drawing(json, noise(json), { sampler_name: "Euler a" }) : honest(),
  });
  expect((await prove(inputFor(aliased.url, { sampler: "k_euler_a" }))).failed.sampler).toBeUndefined();
});
