import { inflateSync } from "node:zlib";
import { PNG } from "pngjs";

/** A decoded picture: 4 bytes (RGBA) a pixel, row by row. */
export interface Picture {
  width: number;
  height: number;
  data: Uint8Array;
  /** Text chunks of the PNG, by keyword. */
  text: Map<string, string>;
}

/** True for the pixels that a comparison looks at. */
export type Region = (x: number, y: number) => boolean;

const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
const maxPixels = 8192 * 8192;

/** Decodes a PNG, checksums included. @throws Error that says what is wrong with the bytes */
export function decodePicture(bytes: Buffer): Picture {
  if (!bytes.subarray(0, 8).equals(signature)) {
    const what =
      bytes.length === 0 ? "empty" : bytes[0] === 0xff && bytes[1] === 0xd8 ? "a JPEG" : "not a picture we know";
    throw new Error(`not a PNG but ${what} (${bytes.length} bytes)`);
  }
  if (bytes.length < 33) throw new Error(`a PNG cut short (${bytes.length} bytes)`);
  // Sizes are read before anything is inflated: a small file can claim a huge picture.
  const [width, height] = [bytes.readUInt32BE(16), bytes.readUInt32BE(20)];
  if (width * height > maxPixels) throw new Error(`a PNG that claims ${width}x${height} pixels`);
  try {
    const png = PNG.sync.read(bytes);
    return { width: png.width, height: png.height, data: png.data, text: textChunks(bytes) };
  } catch (error) {
    throw new Error(`a broken PNG (${error instanceof Error ? error.message : error})`);
  }
}

/** Encodes pixels as PNG, RGB. */
export function encodePicture(
  width: number,
  height: number,
  colour: (x: number, y: number) => readonly number[],
): Buffer {
  const png = new PNG({ width, height, colorType: 2 });
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const [r = 0, g = 0, b = 0] = colour(x, y);
      png.data.set([r, g, b, 255], (y * width + x) * 4);
    }
  }
  return PNG.sync.write(png, { colorType: 2 });
}

/** What is wrong with a picture at first sight (black, one flat colour), or nothing. */
export function blemish(picture: Picture): string | undefined {
  const pixels = picture.width * picture.height;
  let [sum, squares, brightest] = [0, 0, 0];
  const low = [255, 255, 255];
  const high = [0, 0, 0];
  for (let i = 0; i < picture.data.length; i += 4) {
    let light = 0;
    for (let c = 0; c < 3; c++) {
      const value = picture.data[i + c]!;
      light += value / 3;
      if (value < low[c]!) low[c] = value;
      if (value > high[c]!) high[c] = value;
    }
    sum += light;
    squares += light * light;
    brightest = Math.max(brightest, light);
  }
  const mean = sum / pixels;
  const deviation = Math.sqrt(Math.max(0, squares / pixels - mean * mean));
  if (brightest < 8 || mean < 1) return "black";
  const span = Math.max(...high.map((value, c) => value - low[c]!));
  // A drawn picture, even of a single step, spreads over tens of levels.
  if (span < 8 || deviation < 1)
    return `one flat colour (about ${low.map((v, c) => Math.round((v + high[c]!) / 2)).join(", ")})`;
  return undefined;
}

/** Mean and greatest difference of two pictures of one size, in levels of 255, over all pixels or a region. */
export function difference(a: Picture, b: Picture, where?: Region): { mean: number; max: number } {
  if (a.width !== b.width || a.height !== b.height) return { mean: 255, max: 255 };
  let [sum, max, count] = [0, 0, 0];
  for (let y = 0; y < a.height; y++) {
    for (let x = 0; x < a.width; x++) {
      if (where && !where(x, y)) continue;
      const i = (y * a.width + x) * 4;
      for (let c = 0; c < 3; c++) {
        const delta = Math.abs(a.data[i + c]! - b.data[i + c]!);
        sum += delta;
        max = Math.max(max, delta);
      }
      count += 3;
    }
  }
  return { mean: count ? sum / count : 0, max };
}

/** A picture of half the size, each pixel the mean of four. */
export function halve(picture: Picture): Picture {
  const width = picture.width >> 1;
  const height = picture.height >> 1;
  const data = new Uint8Array(width * height * 4);
  const row = picture.width * 4;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const from = y * 2 * row + x * 8;
      for (let c = 0; c < 4; c++) {
        const four =
          picture.data[from + c]! +
          picture.data[from + 4 + c]! +
          picture.data[from + row + c]! +
          picture.data[from + row + 4 + c]!;
        data[(y * width + x) * 4 + c] = Math.round(four / 4);
      }
    }
  }
  return { width, height, data, text: new Map() };
}

/** How alike two pictures of one size are: Pearson's r of their levels, 1 for the same, about 0 for unrelated ones. */
export function likeness(a: Picture, b: Picture): number {
  let [n, sa, sb, saa, sbb, sab] = [0, 0, 0, 0, 0, 0];
  for (let i = 0; i < a.data.length; i++) {
    if (i % 4 === 3) continue;
    const [va, vb] = [a.data[i]!, b.data[i]!];
    n += 1;
    sa += va;
    sb += vb;
    saa += va * va;
    sbb += vb * vb;
    sab += va * vb;
  }
  const spread = Math.sqrt((n * saa - sa * sa) * (n * sbb - sb * sb));
  return spread === 0 ? 0 : (n * sab - sa * sb) / spread;
}

/** Text chunks (tEXt, zTXt, iTXt) of a sound PNG. */
function textChunks(bytes: Buffer): Map<string, string> {
  const text = new Map<string, string>();
  for (let at = 8; at + 12 <= bytes.length; ) {
    const length = bytes.readUInt32BE(at);
    const type = bytes.toString("latin1", at + 4, at + 8);
    const body = bytes.subarray(at + 8, at + 8 + length);
    const nul = body.indexOf(0);
    if (nul > 0 && ["tEXt", "zTXt", "iTXt"].includes(type)) {
      text.set(body.toString("latin1", 0, nul), textOf(type, body.subarray(nul + 1)));
    }
    at += 12 + length;
  }
  return text;
}

function textOf(type: string, rest: Buffer): string {
  if (type === "tEXt") return rest.toString("latin1");
  const limit = { maxOutputLength: 1024 * 1024 };
  if (type === "zTXt") return inflateSync(rest.subarray(1), limit).toString("latin1");
  // iTXt: compressed?, method, language NUL, translated keyword NUL, text
  const language = rest.indexOf(0, 2);
  const keyword = rest.indexOf(0, language + 1);
  const value = rest.subarray(keyword + 1);
  return (rest[0] === 1 ? inflateSync(value, limit) : value).toString("utf8");
}
