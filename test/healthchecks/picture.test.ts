import { crc32, deflateSync } from "node:zlib";
import { PNG } from "pngjs";
import { describe, expect, test } from "vitest";
import { parseInfotext } from "../../healthchecks/infotext.ts";
import { blemish, decodePicture, difference, encodePicture, halve, likeness } from "../../healthchecks/picture.ts";
import { golden, noise } from "./fake-webui.ts";

const real = Buffer.from(JSON.parse(golden("txt2img")).images[0], "base64");

describe("decoding", () => {
  test("the real WebUI's picture, with its text", () => {
    const picture = decodePicture(real);
    expect([picture.width, picture.height]).toEqual([64, 64]);
    expect(blemish(picture)).toBeUndefined();
    expect(parseInfotext(picture.text.get("parameters")!)).toMatchObject({
      seed: 42,
      model: "v1-5-pruned-emaonly",
      modelHash: "c955cc14f8",
      sampler: "Euler a",
      schedule: "Automatic",
    });
  });

  test.each([
    ["nothing", Buffer.alloc(0), /not a PNG but empty/],
    ["a JPEG", Buffer.from([0xff, 0xd8, 0xff, 0xe0]), /not a PNG but a JPEG/],
    ["a cut PNG", real.subarray(0, 4000), /a broken PNG/],
    ["only a signature", real.subarray(0, 12), /cut short/],
    ["a flipped bit", Buffer.from(real).fill(0, 2000, 2001), /a broken PNG/],
    ["a bomb", bomb(), /claims 100000x100000 pixels/],
  ])("%s is refused", (_name, bytes, message) => {
    expect(() => decodePicture(bytes)).toThrow(message);
  });

  test("compressed and international text", () => {
    const text = (type: string, body: Buffer) => decodePicture(chunked(type, body)).text.get("parameters");
    expect(text("zTXt", Buffer.concat([Buffer.from("parameters\0\0"), deflateSync("packed")]))).toBe("packed");
    expect(text("iTXt", Buffer.from("parameters\0\0\0\0\0猫"))).toBe("猫");
    expect(text("iTXt", Buffer.concat([Buffer.from("parameters\0\x01\0en\0\0"), deflateSync(Buffer.from("猫"))]))).toBe(
      "猫",
    );
  });
});

describe("infotext", () => {
  test("a prompt can't pretend to be the settings", () => {
    const text = "a cat, Seed: 1, Model: evil\nSteps: 1, Seed: 42, Model hash: c955cc14f8, Model: good";
    expect(parseInfotext(text)).toMatchObject({ seed: 42, model: "good", modelHash: "c955cc14f8" });
  });
  test("a quoted value may hold commas, and nothing is found in nothing", () => {
    expect(parseInfotext('Seed: 3, Model: "a, b", Version: v1').model).toBe("a, b");
    expect(parseInfotext("")).toEqual({
      seed: undefined,
      model: undefined,
      modelHash: undefined,
      sampler: undefined,
      schedule: undefined,
      loras: new Map(),
      controlnet: undefined,
    });
  });
  test("LoRAs and ControlNet, as the real one writes them; a unit's Model is not the checkpoint", () => {
    const text = `a cat <lora:one:1>
Steps: 1, Sampler: Euler a, Schedule type: Automatic, CFG scale: 7.0, Seed: 42, Size: 64x64, Model hash: 317ee0e444, Model: v1-5, ControlNet 0: "Module: canny, Model: control_v11p_sd15_canny_fp16, Weight: 1.0, Resize Mode: Crop and Resize, Processor Res: 512", Lora hashes: "one: 68e093ccb577, two: 0123456789ab", Version: v1.10.1`;
    const { model, loras, controlnet } = parseInfotext(text);
    expect(model).toBe("v1-5");
    expect([...loras]).toEqual([
      ["one", "68e093ccb577"],
      ["two", "0123456789ab"],
    ]);
    expect(controlnet?.get("Module")).toBe("canny");
    expect(controlnet?.get("Model")).toBe("control_v11p_sd15_canny_fp16");
  });
});

describe("looking", () => {
  const plain = (...colour: number[]) => decodePicture(encodePicture(32, 32, () => colour));
  test.each([
    [plain(0, 0, 0), /^black$/],
    [plain(3, 3, 3), /^black$/],
    [plain(255, 255, 255), /^one flat colour \(about 255, 255, 255\)$/],
    [decodePicture(encodePicture(32, 32, (x) => [100 + (x % 4), 50, 50])), /^one flat colour/],
  ])("nothing to see (%#)", (picture, sentence) => expect(blemish(picture)).toMatch(sentence));

  test("a dark picture and a pale one are pictures", () => {
    expect(blemish(decodePicture(encodePicture(32, 32, (x, y) => [x, y, 0])))).toBeUndefined();
    expect(blemish(decodePicture(encodePicture(32, 32, (x) => [240 + (x % 16), 250, 250])))).toBeUndefined();
  });

  test("difference, by region", () => {
    const [a, b] = [decodePicture(real), decodePicture(real)];
    b.data[0] = a.data[0]! ^ 64;
    expect(difference(a, b)).toEqual({ mean: 64 / (64 * 64 * 3), max: 64 });
    expect(difference(a, b, (x) => x > 0)).toEqual({ mean: 0, max: 0 });
    expect(difference(a, plain(1, 2, 3)).mean).toBe(255);
  });

  test("an enlarged picture is like its original, another one is not", () => {
    const original = decodePicture(real);
    const enlarged = decodePicture(
      encodePicture(128, 128, (x, y) => [...original.data.subarray(((y >> 1) * 64 + (x >> 1)) * 4).subarray(0, 3)]),
    );
    expect(likeness(original, halve(enlarged))).toBeGreaterThan(0.999);
    const other = decodePicture(PNG.sync.write(noise({ width: 128, height: 128, seed: 9 })));
    expect(Math.abs(likeness(original, halve(other)))).toBeLessThan(0.3);
    expect(likeness(plain(9, 9, 9), plain(9, 9, 9))).toBe(0);
  });
});

function chunked(type: string, body: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(body.length);
  const data = Buffer.concat([Buffer.from(type), body]);
  const crc = Buffer.alloc(4);
  crc.writeUInt32BE(crc32(data));
  return Buffer.concat([real.subarray(0, 33), length, data, crc, real.subarray(33 + textChunkLength())]);
}

/** The real picture's own text chunk, which comes first. */
function textChunkLength(): number {
  return real.readUInt32BE(33) + 12;
}

function bomb(): Buffer {
  const bytes = Buffer.from(real);
  bytes.writeUInt32BE(100_000, 16);
  bytes.writeUInt32BE(100_000, 20);
  return bytes;
}
