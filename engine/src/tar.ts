import { posix } from "node:path";

const BLOCK = 512;
const NAME_BYTES = 100;
const PREFIX_BYTES = 155;
/** What 11 octal digits hold. */
const LARGEST_OCTAL = 8 ** 11 - 1;

/**
 * The header of a file in the tar form that Pulumi hashes archives in: byte for byte what Go's writer makes of a name,
 * the mode 0600 and a size; names that ustar cannot say get a PAX record before it.
 */
export function tarHeader(name: string, size: number): Buffer {
  const bytes = Buffer.from(name);
  const isAscii = bytes.length === name.length;
  const split = isAscii ? splitName(name) : undefined;
  const fits = isAscii && (bytes.length <= NAME_BYTES || split !== undefined) && size <= LARGEST_OCTAL;
  if (fits) return header(split?.suffix ?? name, "0", 0o600, size, split?.prefix ?? "");
  const records: [string, string][] = [];
  if (!isAscii || (bytes.length > NAME_BYTES && split === undefined)) records.push(["path", name]);
  if (size > LARGEST_OCTAL) records.push(["size", String(size)]);
  const data = Buffer.concat(records.map(([key, value]) => paxRecord(key, value)));
  const { dir, base } = posix.parse(name);
  const short = toAscii(posix.join(dir, "PaxHeaders.0", base))
    .slice(0, NAME_BYTES)
    .replace(/\/+$/, "");
  return Buffer.concat([
    header(short, "x", 0, data.length, ""),
    data,
    tarPadding(data.length),
    header(toAscii(name).slice(0, NAME_BYTES).replace(/\/$/, ""), "0", 0o600, size > LARGEST_OCTAL ? 0 : size, ""),
  ]);
}

/** What follows a file's content up to the next block. */
export function tarPadding(size: number): Buffer {
  return Buffer.alloc((BLOCK - (size % BLOCK)) % BLOCK);
}

/** What follows the last file. */
export function tarEnd(): Buffer {
  return Buffer.alloc(2 * BLOCK);
}

/**
 * The regular files of a tar archive in memory; folders are skipped.
 * @throws when it is cut short or holds something else, such as a link
 */
export function* readTar(archive: Buffer): Generator<{ name: string; content: Buffer; mode: number }> {
  let longName: string | undefined;
  for (let at = 0; at + BLOCK <= archive.length; ) {
    const block = archive.subarray(at, at + BLOCK);
    if (block.every((byte) => byte === 0)) return;
    const size = number(block.subarray(124, 136));
    const type = String.fromCharCode(block[156]!);
    const content = archive.subarray(at + BLOCK, at + BLOCK + size);
    if (content.length < size) throw new Error("The tar archive is cut short. Make it anew.");
    at += BLOCK + Math.ceil(size / BLOCK) * BLOCK;
    if (type === "x") longName = paxPath(content) ?? longName;
    else if (type === "L") longName = text(content);
    else if (type === "0" || type === "\0" || type === "5") {
      const prefix = block.toString("latin1", 257, 262) === "ustar" ? text(block.subarray(345, 500)) : "";
      const name =
        longName ?? (prefix === "" ? text(block.subarray(0, 100)) : `${prefix}/${text(block.subarray(0, 100))}`);
      longName = undefined;
      if (type !== "5" && !name.endsWith("/")) {
        yield { name: posix.normalize(name), content, mode: number(block.subarray(100, 108)) };
      }
    } else if (type !== "g") {
      throw new Error(
        `The tar archive holds ${text(block.subarray(0, 100))}, which is neither a file nor a folder (type ${type}).`,
      );
    }
  }
}

function header(name: string, type: string, mode: number, size: number, prefix: string): Buffer {
  const block = Buffer.alloc(BLOCK);
  const octal = (value: number, at: number, width: number) =>
    block.write(value.toString(8).padStart(width - 1, "0"), at, width - 1, "latin1");
  block.write(name, 0, NAME_BYTES, "latin1");
  octal(mode, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(size, 124, 12);
  octal(0, 136, 12);
  block.write(type, 156, 1, "latin1");
  block.write("ustar\0" + "00", 257, 8, "latin1");
  // A PAX record's own header has no numbers of devices.
  if (type !== "x") {
    octal(0, 329, 8);
    octal(0, 337, 8);
  }
  block.write(prefix, 345, PREFIX_BYTES, "latin1");
  block.fill(" ", 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, 8, "latin1");
  return block;
}

/** Where ustar can cut a long name at a slash; undefined: it need not, or cannot. */
function splitName(name: string): { prefix: string; suffix: string } | undefined {
  if (name.length <= NAME_BYTES) return undefined;
  const end = Math.min(name.length, PREFIX_BYTES + 1) - (name.length <= PREFIX_BYTES + 1 && name.endsWith("/") ? 1 : 0);
  const cut = name.lastIndexOf("/", end - 1);
  const suffix = name.slice(cut + 1);
  return cut <= 0 || suffix.length > NAME_BYTES || suffix === "" ? undefined : { prefix: name.slice(0, cut), suffix };
}

/** `<length> key=value\n`, where the length counts itself. */
function paxRecord(key: string, value: string): Buffer {
  const rest = Buffer.byteLength(` ${key}=${value}\n`);
  let length = rest + String(rest).length;
  if (String(length).length + rest !== length) length = rest + String(length).length;
  return Buffer.from(`${length} ${key}=${value}\n`);
}

function paxPath(records: Buffer): string | undefined {
  return /(?:^|\n)\d+ path=([^\n]*)\n/.exec(records.toString("utf8"))?.[1];
}

function toAscii(name: string): string {
  return [...name].filter((letter) => letter.charCodeAt(0) < 128).join("");
}

function text(bytes: Buffer): string {
  const end = bytes.indexOf(0);
  return bytes.toString("utf8", 0, end < 0 ? bytes.length : end);
}

function number(bytes: Buffer): number {
  if (bytes[0]! & 0x80) return Number(BigInt(`0x${bytes.toString("hex", 1)}`));
  return Number.parseInt(text(bytes).trim() || "0", 8);
}
