import { posix } from "node:path";
import { inflateRawSync } from "node:zlib";

const END = 0x06054b50;
const ENTRY = 0x02014b50;
const LOCAL = 0x04034b50;
/** A field with this value has its real one in a zip64 record. */
const MOVED = 0xffffffff;

/**
 * The files of a zip archive in memory; folders are skipped.
 * @throws when it is damaged, encrypted, or packed in a way other than "stored" and "deflated"
 */
export function* readZip(archive: Buffer): Generator<{ name: string; content: Buffer }> {
  const end = archive.lastIndexOf(Buffer.from([0x50, 0x4b, 5, 6]));
  if (end < 0 || archive.readUInt32LE(end) !== END)
    throw new Error("The zip archive has no directory: it is damaged or cut short.");
  const count = archive.readUInt16LE(end + 10);
  let at = archive.readUInt32LE(end + 16);
  if (at === MOVED) throw new Error("The zip archive is larger than 4 GiB, which is not covered. Use a .tar or .tgz.");
  for (let i = 0; i < count; i++) {
    if (at + 46 > archive.length || archive.readUInt32LE(at) !== ENTRY)
      throw new Error("The zip archive's directory is damaged.");
    const [flags, method] = [archive.readUInt16LE(at + 8), archive.readUInt16LE(at + 10)];
    const [packed, size] = [archive.readUInt32LE(at + 20), archive.readUInt32LE(at + 24)];
    const [nameLength, extra, comment] = [28, 30, 32].map((offset) => archive.readUInt16LE(at + offset)) as [
      number,
      number,
      number,
    ];
    const start = archive.readUInt32LE(at + 42);
    const name = archive.toString("utf8", at + 46, at + 46 + nameLength);
    at += 46 + nameLength + extra + comment;
    if (name.endsWith("/")) continue;
    if (flags & 1) throw new Error(`${name} in the zip archive is encrypted, which is not covered.`);
    if (start + 30 > archive.length || archive.readUInt32LE(start) !== LOCAL)
      throw new Error(`${name} in the zip archive is damaged.`);
    const data = start + 30 + archive.readUInt16LE(start + 26) + archive.readUInt16LE(start + 28);
    const bytes = archive.subarray(data, data + packed);
    if (method !== 0 && method !== 8)
      throw new Error(`${name} in the zip archive is packed by method ${method}, which is not covered.`);
    const content = method === 0 ? bytes : inflateRawSync(bytes);
    if (content.length !== size)
      throw new Error(`${name} in the zip archive has ${content.length} bytes instead of ${size}: it is damaged.`);
    yield { name: posix.normalize(name), content };
  }
}
