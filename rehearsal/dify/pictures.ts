import { crc32, deflateSync } from "node:zlib";
import { PNG } from "pngjs";

const magicLength = 8;

/** A picture of one colour in the size of another, with the other's texts in it: it seems to be what was drawn. */
export function oneColour(original: Buffer, value: number): Buffer {
  return repainted(original, () => value);
}

/** Noise in the size of another picture, with its texts: no WebUI made it. */
export function noise(original: Buffer): Buffer {
  let seed = 12345;
  return repainted(original, () => {
    seed = (seed * 1103515245 + 12345) % 2147483648;
    return seed >> 16;
  });
}

/** The first half of a picture's bytes. */
export const half = (original: Buffer): Buffer => original.subarray(0, Math.floor(original.length / 2));

function repainted(original: Buffer, pixel: () => number): Buffer {
  const { width, height } = PNG.sync.read(original);
  const rows = Buffer.alloc(height * (1 + 3 * width));
  for (let row = 0; row < height; row++)
    for (let at = 0; at < 3 * width; at++) rows[row * (1 + 3 * width) + 1 + at] = pixel() & 0xff;
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2, 0, 0, 0], 8);
  const texts = chunksOf(original).filter(({ type }) => ["tEXt", "iTXt", "zTXt"].includes(type));
  return Buffer.concat([
    original.subarray(0, magicLength),
    chunk("IHDR", header),
    ...texts.map(({ type, data }) => chunk(type, data)),
    chunk("IDAT", deflateSync(rows)),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

function chunksOf(png: Buffer): { type: string; data: Buffer }[] {
  const found: { type: string; data: Buffer }[] = [];
  for (let at = magicLength; at + 12 <= png.length; ) {
    const length = png.readUInt32BE(at);
    found.push({ type: png.toString("latin1", at + 4, at + 8), data: png.subarray(at + 8, at + 8 + length) });
    at += 12 + length;
  }
  return found;
}

function chunk(type: string, data: Buffer): Buffer {
  const named = Buffer.concat([Buffer.from(type, "latin1"), data]);
  const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(data.length);
  sum.writeUInt32BE(crc32(named));
  return Buffer.concat([length, named, sum]);
}
